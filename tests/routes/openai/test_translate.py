from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.openai.translate import from_form, from_json, size_of, to_params, wants_base64
from sdcpp_rest.routes.openai.wire import EditWishes, GenerationWishes, SharedWishes, VariationWishes

USUAL = ImageParams(prompt="", steps=20)


@pytest.mark.parametrize(
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
def test_wishes_become_the_houses_words(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert to_params(GenerationWishes(prompt="a", **fields), USUAL, 50) == expected


def test_how_much_is_drawn_anew_depends_on_what_is_wanted() -> None:
    assert "strength" not in to_params(EditWishes(prompt="a", image=["x"]), USUAL, 50)
    assert to_params(EditWishes(prompt="a", image=["x"], mask="y"), USUAL, 50)["strength"] == 1.0
    assert to_params(EditWishes(prompt="a", image=["x"], mask="y", strength=0.5), USUAL, 50)["strength"] == 0.5
    assert to_params(VariationWishes(image=["x"]), USUAL, 50)["strength"] == 0.6


@pytest.mark.parametrize("text", ["1024", "x", "64x", "-64x64", "64x64x64", "6.5x64", "1e3x64", "999999x1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        size_of(text)
    assert caught.value.detail["field"] == "size"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"model": "dall-e-3"}, False),
        ({"model": "gpt-image-1.5"}, True),
        ({"model": "chatgpt-image-latest"}, True),
        ({"model": "my-model"}, False),
        ({"model": "gpt-image-1", "response_format": "url"}, False),
        ({"response_format": "b64_json"}, True),
    ],
)
def test_the_model_says_how_pictures_come_unless_the_request_does(fields: dict[str, Any], expected: bool) -> None:
    assert wants_base64(SharedWishes(**fields)) is expected


@pytest.mark.parametrize(
    "lora", [5, [], ["a", 1, 2], {"weight": 1}, {"name": 5}, {"name": "a:b"}, ["<x>", 1], ["a", "b"]]
)
def test_what_is_no_lora_is_refused_by_its_place(lora: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_params(GenerationWishes(prompt="a", loras=["fine", lora]), USUAL, 50)
    assert str(caught.value.detail["field"]).startswith("loras[1]")


def test_a_forms_texts_get_their_types() -> None:
    texts = {
        "n": "2",
        "cfg_scale": "2.5",
        "stream": "True",
        "loras": '["x"]',
        "prompt": "5",
        "size": "",
        "seed": "many",
    }
    assert from_form(EditWishes, texts) == {
        "n": 2, "cfg_scale": 2.5, "stream": True, "loras": ["x"], "prompt": "5", "seed": "many",
    }  # fmt: skip


def test_pictures_in_json_are_found_under_every_name() -> None:
    body = {"image": "a", "image[]": ["b"], "images": [{"image_url": "c"}], "mask": {"image_url": "d"}, "n": 1}
    assert from_json(body) == {"image": ["a", "b", "c"], "mask": "d", "n": 1}
