"""The web page's picture of the API is the API; whatever is published carries the page."""

from __future__ import annotations

import json

from tests.house.test_scaffolding import ROOT, project, workflow
from tools.webui.api_types import is_stale


def test_the_pages_types_are_those_of_the_api() -> None:
    assert not is_stale(), "the native API has changed: run `make webui-types`"


def test_releases_build_the_page_first_and_fail_without_it() -> None:
    jobs = workflow("release.yml")["jobs"]
    for title in ("sdist", "wheels"):
        text = json.dumps(jobs[title]["steps"])
        built, made, looked = (
            text.index(word)
            for word in (
                "python -m tools.webui build",
                "python -m build --sdist" if title == "sdist" else "cibuildwheel@",
                "python -m tools.webui inside",
            )
        )
        assert built < made < looked, title
        assert "actions/setup-node@" in text
    assert "is_built" in json.dumps(jobs["install"])


def test_the_built_page_is_packed_although_git_ignores_it_and_its_sources_are_not() -> None:
    packing = project()["tool"]["scikit-build"]["sdist"]
    assert packing["include"] == ["sdcpp_rest/webui_dist"]
    assert {"webui", "tools"} <= set(packing["exclude"]), "who installs needs no Node"
    assert "sdcpp_rest/webui_dist/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "webui_dist/index.html" in (ROOT / "CMakeLists.txt").read_text(), "a wheel without it says so"
