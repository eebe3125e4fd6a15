from __future__ import annotations

import json
from typing import Any

from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.sdcn.wire import is_sdcn, may_be_sdcn
from tests.cases import for_each_case

SHARED = {"prompt", "negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "upscale", "model"}


@for_each_case(
    "body",
    [
        {"model": "x"},
        {"model": "x", "prompt": "a", "sampler_name": "DDIM", "loras": [["a", 0.5]], "upscale": {"scale": 2}},
        {"model": "x", "init_image": "aGk=", "denoising_strength": 0.5},
        {"model": "x", "sampler": None, "batch_count": None},
    ],
)
def test_a_body_that_names_a_model_is_sdcns(body: dict[str, Any]) -> None:
    assert is_sdcn(body)


@for_each_case(
    "body",
    [
        {},
        {"prompt": "x"},
        {"prompt": "x", "sampler_name": "DDIM", "loras": []},
        {"model": ""},
        {"model": "  "},
        {"model": None},
        {"model": 5},
        {"model": ["x"]},
        {"model": "x", "upscale": True},
        {"model": "x", "upscale": False},
    ],
)
def test_every_other_body_is_native(body: dict[str, Any]) -> None:
    assert not is_sdcn(body)


@for_each_case("key", sorted(Img2ImgBody.model_fields.keys() - SHARED))
def test_a_key_that_only_native_bodies_have_makes_a_body_native(key: str) -> None:
    assert not is_sdcn({"model": "x", key: 1})


def test_native_bodies_never_have_a_model() -> None:
    assert "model" not in Txt2ImgBody.model_fields.keys() | Img2ImgBody.model_fields.keys()


@for_each_case("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32-be"])
def test_no_sdcn_body_is_taken_for_one_that_never_waits(encoding: str) -> None:
    assert may_be_sdcn(json.dumps({"model": "x"}).encode(encoding))
    assert may_be_sdcn(r'{"\u006dodel": "x"}'.encode(encoding))


def test_most_native_bodies_are_known_at_a_glance() -> None:
    assert not may_be_sdcn(json.dumps({"prompt": "a model on a catwalk", "steps": 12}).encode())
