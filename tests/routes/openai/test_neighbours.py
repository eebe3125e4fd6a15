from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.openai.neighbours import rename_fields, sides_of
from tests.cases import for_each_case


@for_each_case(
    ("sent", "read"),
    [
        ({"num_inference_steps": 5}, {"steps": 5}),
        ({"step": 5}, {"steps": 5}),
        ({"guidance_scale": 7.5}, {"cfg_scale": 7.5}),
        ({"num_images_per_prompt": 2}, {"n": 2}),
        ({"sampler_name": "Euler a"}, {"sampler": "Euler a"}),
        ({"width": 64, "height": "32"}, {"size": "64x32"}),
        ({"width": 64.0, "height": 32, "size": "auto"}, {"size": "64x32"}),
        ({"width": 64, "height": 32, "size": "64*32"}, {"size": "64*32"}),
        ({"steps": None, "num_inference_steps": 5}, {"steps": 5}),
        ({"num_inference_steps": None}, {}),
        ({"output_format": "JPG"}, {"output_format": "jpeg"}),
        ({"output_format": "tiff"}, {"output_format": "tiff"}),
        ({"output_format": 5, "size": 64, "other": 1}, {"output_format": 5, "size": 64, "other": 1}),
    ],
)
def test_fields_are_brought_to_this_dialects_words(sent: dict[str, Any], read: dict[str, Any]) -> None:
    assert rename_fields(sent) == (read, [])


@for_each_case(
    ("sent", "read", "names"),
    [
        ({"steps": 3, "num_inference_steps": 5}, {"steps": 3}, "num_inference_steps"),
        ({"num_inference_steps": 5, "step": 6}, {"steps": 5}, "step"),
        ({"size": "64x64", "width": 32, "height": 32}, {"size": "64x64"}, "width and height"),
        ({"width": 32}, {}, "width"),
    ],
)
def test_what_says_the_same_twice_is_ignored_with_a_warning(
    sent: dict[str, Any], read: dict[str, Any], names: str
) -> None:
    found, (warning,) = rename_fields(sent)
    assert found == read
    assert warning.startswith(f"{names} w")


def test_a_side_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="width must be an integer"):
        rename_fields({"width": "wide", "height": 64})


@for_each_case("text", ["64x32", "64X32", "64*32", " 64 x 32 ", "64\u00d732"])
def test_sizes_are_read_in_every_spelling(text: str) -> None:
    assert sides_of(text) == (64, 32)


@for_each_case("text", ["64", "64x", "x", "64x32x16", "-64x32", "6.4x32", "123456x1", "square", "\u0663x4"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert sides_of(text) is None
