"""The text about a picture as AUTOMATIC1111 itself writes it, key by key, and its reading of such texts: with the
values that it takes for granted where a key is missing.

Pure text. The layout is `core.infotext`'s; which keys there are, and their order, is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core import infotext, json_captions

_TAKEN_FOR_GRANTED: dict[str, Any] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}

_FIELDS: dict[str, str] = {
    "Prompt": "prompt",
    "Negative prompt": "negative_prompt",
    "Steps": "steps",
    "Sampler": "sampler_name",
    "Schedule type": "scheduler",
    "CFG scale": "cfg_scale",
    "Image CFG scale": "image_cfg_scale",
    "Seed": "seed",
    "Size-1": "width",
    "Size-2": "height",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Denoising strength": "denoising_strength",
    "Hires upscale": "hr_scale",
    "Hires resize-1": "hr_resize_x",
    "Hires resize-2": "hr_resize_y",
    "Hires steps": "hr_second_pass_steps",
    "Hires upscaler": "hr_upscaler",
    "Hires prompt": "hr_prompt",
    "Hires negative prompt": "hr_negative_prompt",
    "Mask blur": "mask_blur",
    "Masked area padding": "inpaint_full_res_padding",
}


def write(prompt: str, negative_prompt: str, pairs: Mapping[str, Any]) -> str:
    """The whole text; pairs whose value is ``None`` are left out, one that equals its key is written once."""
    words = [
        key if value == key else f"{key}: {infotext.quote(str(value))}"
        for key, value in pairs.items()
        if value is not None
    ]
    negative = f"\nNegative prompt: {negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{', '.join(words)}".strip()


def parse(text: str) -> dict[str, Any]:
    """Every key of such a text as text, ``Prompt`` and ``Negative prompt``, and what is taken for granted."""
    return {**_TAKEN_FOR_GRANTED, **infotext.parse(json_captions.to_infotext(text))}


def request_fields(text: str) -> dict[str, Any]:
    """What such a text says, as fields of a request; only what is really there. A text without keys is a prompt."""
    found = infotext.parse(json_captions.to_infotext(text))
    fields: dict[str, Any] = {field: found[key] for key, field in _FIELDS.items() if found.get(key)}
    if "Hires upscale" in found or "Hires resize-1" in found:
        fields["enable_hr"] = True
    if found.get("Mask mode") == "Inpaint not masked":
        fields["inpainting_mask_invert"] = 1
    if found.get("Clip skip"):
        fields["clip_skip"] = found["Clip skip"]
    return fields
