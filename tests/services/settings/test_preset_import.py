from __future__ import annotations

import json
from typing import Any

import pytest

from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.settings.parameter_presets import MAX_PRESETS
from sdcpp_rest.services.settings.preset_import import read_presets
from tests.cases import for_each_case

SOFT = {"title": "Soft", "description": "d", "param_map": {"steps": "12", "x": 5}, "is_starred": True, "author": "a"}


@for_each_case("content", [{"Soft": SOFT}, [SOFT], {"presets": [SOFT]}, {"Soft": {**SOFT, "title": "Soft"}}])
def test_presets_of_an_export_are_read(content: Any) -> None:
    wanted = ParameterPreset(title="Soft", description="d", parameters={"steps": "12", "x": "5"}, is_starred=True)
    assert read_presets(json.dumps(content)) == ([wanted], [])


@for_each_case(
    ("one", "reason"),
    [
        (5, "no param_map"),
        ({"title": "a"}, "no param_map"),
        ({"title": "a", "param_map": []}, "no param_map"),
        ({"title": "..", "param_map": {}}, "title:"),
        ({"title": "x" * 201, "param_map": {}}, "title:"),
        ({"title": 5, "param_map": {}}, "title:"),
        ({"title": "a", "param_map": {"prompt": "a\0b"}}, "NUL"),
        ({**SOFT, "title": "sOFT"}, "two presets"),
    ],
)
def test_what_is_no_preset_is_told(one: Any, reason: str) -> None:
    presets, skipped = read_presets(json.dumps([SOFT, one]))
    assert [preset.title for preset in presets] == ["Soft"]
    assert reason in skipped[0].reason


def test_no_more_are_read_than_can_be_kept() -> None:
    presets, skipped = read_presets(json.dumps([{**SOFT, "title": f"p{n}"} for n in range(MAX_PRESETS + 2)]))
    assert (len(presets), len(skipped)) == (MAX_PRESETS, 2)


@for_each_case("text", ["", "x", "[]", "{}", "5", "null", "[" * 100_000, '{"presets": 5}'])
def test_a_file_without_presets_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_presets(text)
    assert caught.value.detail["field"] == "text"
