from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.openai.translate import size_of, to_params
from sdcpp_rest.routes.openai.wire import EditWishes, GenerationWishes, VariationWishes
from tests.cases import for_each_case

USUAL = ImageParams(prompt="", steps=20)


@for_each_case(
    ("fields", "expected"),
    [
        ({}, {"prompt": "a"}),
        ({"size": "64x32"}, {"prompt": "a", "width": 64, "height": 32}),
        ({"size": "auto"}, {"prompt": "a"}),
        ({"quality": "auto"}, {"prompt": "a", "steps": 20}),
        ({"quality": "low"}, {"prompt": "a", "steps": 10}),
        ({"quality": "hd"}, {"prompt": "a", "steps": 30}),
        ({"quality": "max"}, {"prompt": "a", "steps": 50}),
        ({"quality": "max", "steps": 3}, {"prompt": "a", "steps": 3}),
        ({"sampler": "DPM++ 2M Karras"}, {"prompt": "a", "sampler": "dpm++2m", "scheduler": "karras"}),
        (
            {"sampler": "euler", "scheduler": "SGM Uniform"},
            {"prompt": "a", "sampler": "euler", "scheduler": "sgm_uniform"},
        ),
        ({"sampler": "UniPC", "scheduler": "magic"}, {"prompt": "a", "sampler": "UniPC", "scheduler": "magic"}),
        (
            {"loras": ["x", ["y", 0.5], {"name": "z", "weight": -1}]},
            {"prompt": "a <lora:x:1> <lora:y:0.5> <lora:z:-1>"},
        ),
        (
            {"seed": 5, "cfg_scale": 2.0, "negative_prompt": "n"},
            {"prompt": "a", "seed": 5, "cfg_scale": 2.0, "negative_prompt": "n"},
        ),
    ],
)
def test_wishes_become_native_words(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert to_params(GenerationWishes(prompt="a", **fields), USUAL, 50) == expected


def test_how_much_is_drawn_anew_depends_on_what_is_wanted() -> None:
    assert "strength" not in to_params(EditWishes(prompt="a", image=["x"]), USUAL, 50)
    assert to_params(EditWishes(prompt="a", image=["x"], mask="y"), USUAL, 50)["strength"] == 1.0
    assert to_params(EditWishes(prompt="a", image=["x"], mask="y", strength=0.5), USUAL, 50)["strength"] == 0.5
    assert to_params(VariationWishes(image=["x"]), USUAL, 50)["strength"] == 0.6


@for_each_case("text", ["1024", "x", "64x", "-64x64", "64x64x64", "6.5x64", "1e3x64", "999999x1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        size_of(text)
    assert caught.value.detail["field"] == "size"


@for_each_case("lora", [5, [], ["a", 1, 2], {"weight": 1}, {"name": 5}, {"name": "a:b"}, ["<x>", 1], ["a", "b"]])
def test_what_is_no_lora_is_refused_by_its_place(lora: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_params(GenerationWishes(prompt="a", loras=["fine", lora]), USUAL, 50)
    assert str(caught.value.detail["field"]).startswith("loras[1]")
