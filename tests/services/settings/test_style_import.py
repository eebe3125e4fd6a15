from __future__ import annotations

import json
from typing import Any

import pytest

from sdcpp_rest.core.prompt_style import PromptStyle
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.settings.style_import import read_styles
from tests.cases import for_each_case

INK = PromptStyle(name="Ink", prompt="ink drawing of {prompt}", negative_prompt="photo")


@for_each_case(
    "text",
    [
        'name,prompt,negative_prompt\r\nInk,"ink drawing of {prompt}",photo\r\n',
        "\ufeffname,text,negative_prompt\nInk,ink drawing of {prompt},photo\n",
        json.dumps([{"name": "Ink", "prompt": "ink drawing of {prompt}", "negative_prompt": "photo"}]),
        json.dumps(
            {"Ink": {"title": "Ink", "param_map": {"prompt": "ink drawing of {value}", "negativeprompt": "photo"}}}
        ),
        json.dumps([{"title": "Ink", "param_map": {"Prompt": "ink drawing of {value}", "Negative Prompt": "photo"}}]),
        json.dumps({"presets": [{"title": "Ink", "param_map": {"prompt": INK.prompt, "negativeprompt": "photo"}}]}),
    ],
)
def test_styles_of_other_programs_are_read(text: str) -> None:
    assert read_styles(text) == ([INK], [])


@for_each_case(
    ("entry", "reason"),
    [
        ("text", "it is no object"),
        ({"name": ""}, "is empty"),
        ({"name": "a/../b", "prompt": "x"}, "no part between"),
        ({"name": "x" * 201, "prompt": "x"}, "201 characters"),
        ({"name": "export", "prompt": "x"}, "address of its own"),
        ({"name": "A\nB", "prompt": "x"}, "cannot be shown"),
        ({"name": "A", "prompt": 1.5}, "no texts"),
        ({"name": "A", "prompt": "x" * 16_001}, "too long"),
        ({"name": "A"}, "has no text"),
        ({"title": "A", "param_map": {"prompt": "x", "steps": "3"}}, "sets more than prompts (steps)"),
        ({"title": "A", "param_map": []}, "no object"),
        ({"name": "Good", "prompt": "again"}, "two styles of this name"),
    ],
)
def test_what_cannot_be_taken_over_is_told(entry: Any, reason: str) -> None:
    read = read_styles(json.dumps([{"name": "Good", "prompt": "x"}, entry]))
    assert [style.name for style in read.styles] == ["Good"]
    assert reason in read.skipped[0].reason


@for_each_case("text", ["[", "{}", "[]", "a,b\n1,2", "name\n\n", "[" * 100_000, '{"a": ' * 50_000, "just words"])
def test_a_file_without_styles_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_styles(text)
    assert caught.value.detail["field"] == "text"
