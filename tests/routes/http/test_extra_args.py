from __future__ import annotations

import json
from typing import Any

import pytest

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.extra_args import read_extra_args
from tests.cases import for_each_case


def tag(held: Any) -> str:
    return f"<sd_cpp_extra_args>{held if isinstance(held, str) else json.dumps(held)}</sd_cpp_extra_args>"


@for_each_case(
    ("held", "params"),
    [
        ({"seed": 42, "steps": 5, "cfg_scale": 2}, {"seed": 42, "steps": 5, "cfg_scale": 2.0}),
        (
            {"sample_params": {"sample_steps": 2, "sample_method": "Euler a", "scheduler": "Karras"}},
            {"steps": 2, "sampler": "euler_a", "scheduler": "karras"},
        ),
        ({"sample_params": {"sample_method": "DPM++ 2M Karras"}}, {"sampler": "dpm++2m", "scheduler": "karras"}),
        (
            {"sample_params": {"guidance": {"txt_cfg": 3.5, "distilled_guidance": 2, "slg": {"layers": [7]}}}},
            {"cfg_scale": 3.5, "distilled_guidance": 2.0, "skip_layers": [7]},
        ),
        ({"hires": {"enabled": True, "scale": 1.5}}, {"hires": True, "hires_scale": 1.5}),
        ({"negative_prompt": "bad", "clip_skip": 2, "strength": 0.5, "seed": None},
         {"negative_prompt": "bad", "clip_skip": 2, "strength": 0.5}),
        ({}, {}),
    ],
)  # fmt: skip
def test_fields_are_read_in_native_words(held: Any, params: dict[str, Any]) -> None:
    read = read_extra_args(f"a cat {tag(held)}")
    assert (read.prompt, dict(read.params), read.ignored) == ("a cat", params, ())


def test_what_is_not_understood_is_told_by_its_path() -> None:
    read = read_extra_args("x" + tag({"seed": 1, "lora": [], "sample_params": {"other": {"deep": 1}}}))
    assert read.ignored == ("sd_cpp_extra_args.lora", "sd_cpp_extra_args.sample_params.other.deep")
    assert read.params == {"seed": 1}


def test_all_tags_are_taken_out_and_the_first_one_counts() -> None:
    read = read_extra_args(f"{tag({'seed': 1})}a {tag({'seed': 2})}cat\n{tag('')}")
    assert (read.prompt, dict(read.params)) == ("a cat", {"seed": 1})


@for_each_case("prompt", ["a cat", " a cat ", "<sd_cpp_extra_args>{}", "</sd_cpp_extra_args><lora:x:1>"])
def test_a_prompt_without_a_whole_tag_stays_as_it_is(prompt: str) -> None:
    assert read_extra_args(prompt).prompt == prompt


@for_each_case(
    ("held", "says"),
    [
        ("{", "JSON"),
        ("[]", "JSON object"),
        ('{"seed":1,"seed":2}', "more than once"),
        ({"sample_params": {"sample_steps": "many"}}, "steps must be an integer"),
        ({"cfg_scale": []}, "cfg_scale must be a number"),
        ("[" * 10_000, "JSON|deep"),
    ],
)
def test_a_tag_that_cannot_be_read_is_refused(held: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        read_extra_args(f"x {tag(held)}")
    assert caught.value.detail["field"] == "prompt"
    assert caught.value.message.startswith("prompt: sd_cpp_extra_args: ")
