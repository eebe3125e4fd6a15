"""Calls with one hostile value in a field that the API's document names, whatever dialect it belongs to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.routes.http.openapi import document
from sdcpp_rest.runtime import VERSION
from sdcpp_rest.web.app import create_app
from tests.faults.hostile.inputs import Call
from tests.faults.hostile.known_files import MODEL
from tests.faults.hostile.known_values import picture
from tests.faults.hostile.mutation import VALUES

_SMALL: Mapping[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "steps": 1}
_PICTURE = picture()
# What a good body of each holds beside the hostile field.
_PATHS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "/sdapi/v1/txt2img": ("AUTOMATIC1111", _SMALL),
    "/sdapi/v1/img2img": ("AUTOMATIC1111", {**_SMALL, "init_images": [_PICTURE], "mask": _PICTURE,
    "inpaint_full_res": True}),
    "/sdapi/v1/extra-single-image": ("AUTOMATIC1111", {"image": _PICTURE, "upscaler_1": "Lanczos"}),
    "/v1/images/generations": ("OpenAI", {"prompt": "a cat", "size": "64x64", "steps": 1}),
    "/v1/images/edits": ("OpenAI", {"prompt": "a cat", "size": "64x64", "steps": 1, "image": _PICTURE}),
    "/v1/chat/completions": ("OpenAI", {"size": "64x64", "steps": 1, "messages": [{"role": "user", "content": "a"}],
    "modalities": ["image"]}),
    "/api/generate": ("Ollama", {**_SMALL, "stream": False}),
    "/api/sd/txt2img": ("SDCN", {**_SMALL, "model": MODEL}),
    "/api/sd/img2img": ("SDCN", {**_SMALL, "model": MODEL, "init_image": _PICTURE}),
    "/api/sd/upscale": ("SDCN", {"image": _PICTURE, "upscalingRate": 1.5}),
    "/sdcpp/v1/img_gen": ("sd-server", {"prompt": "a cat", "width": 64, "height": 64,
    "sample_params": {"sample_steps": 1}}),
    "/sdcpp/v1/upscale": ("sd-server", {"image": _PICTURE}),
    "/txt2img": ("native", _SMALL),
    "/img2img": ("native", {**_SMALL, "init_image_base64": _PICTURE}),
    "/upscaler/load": ("native", {"model_name": "esrgan_x2.safetensors"}),
    "/prompt/expand": ("native", {"prompt": "a"}),
    "/settings/preferences": ("native", {}),
}  # fmt: skip


def documented_calls(seed: int, count: int) -> list[Call]:
    """``count`` of them: the fields of all paths in turn, each with a value drawn by ``seed``."""
    whole = document(create_app(None), VERSION)
    chance = random.Random(f"{seed} calls")
    fields = [(path, name) for path in _PATHS for name in _fields(whole, path)]
    chance.shuffle(fields)
    found = []
    for number in range(count):
        path, name = fields[number % len(fields)]
        dialect, good = _PATHS[path]
        value = chance.choice(VALUES)
        found.append(Call(f"{name} {value!r:.30} #{number}", dialect, path, {**good, name: value}))
    return found


def _fields(whole: Mapping[str, Any], path: str) -> list[str]:
    operation = whole["paths"].get(path, {}).get("post")
    if operation is None:
        return []
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    found: list[str] = []
    for one in schema.get("anyOf", schema.get("oneOf", [schema])):
        shown = whole["components"]["schemas"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        found += shown.get("properties", {})
    return list(dict.fromkeys(found))
