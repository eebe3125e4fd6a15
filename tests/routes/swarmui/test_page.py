"""The dialect's page names every route, and the documents' table of parameters is made from the code."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.routes.swarmui.dialect import SWARMUI

PAGE = Path(__file__).parents[3] / "docs" / "dialects" / "swarmui.md"


def test_every_route_is_told_of() -> None:
    text = PAGE.read_text(encoding="utf-8")
    routes = {path.rpartition("/")[2] for path in SWARMUI.caseless}
    assert len(routes) >= 40
    assert sorted(route for route in routes if f"`{route}`" not in text) == []
