"""Understands what clients of OpenAI's neighbours send: other names of fields, other spellings of values.

Those are diffusers, LocalAI and the like. Brings a body to this dialect's words before it is checked. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.routes.http.wire_models import Integer, Wire, examine

_SYNONYMS = {
    "num_inference_steps": "steps",
    "inference_steps": "steps",
    "sample_steps": "steps",
    "step": "steps",
    "guidance_scale": "cfg_scale",
    "cfg": "cfg_scale",
    "sampler_name": "sampler",
    "sampling_method": "sampler",
    "sample_method": "sampler",
    "schedule": "scheduler",
    "num_images": "n",
    "num_images_per_prompt": "n",
}
"""Field -> what it is called here."""

_FORMATS = {"jpg": "jpeg", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/png": "png", "image/webp": "webp"}
_SIZE = re.compile(r"\s*(\d{1,5})\s*[x*\u00d7\u2715]\s*(\d{1,5})\s*", re.ASCII | re.IGNORECASE)


class _Sides(Wire):
    """Fields beside `size`; not published."""

    width: Integer = Field(description="In pixels.")
    height: Integer = Field(description="In pixels.")


def rename_fields(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``body`` in this dialect's words, and warnings about what says the same thing twice. Our own word wins.

    Raises InvalidRequest for a ``width`` or ``height`` that is no number.
    """
    found = {name: value for name, value in body.items() if value is not None}
    warnings: list[str] = []
    for name, ours in _SYNONYMS.items():
        if name not in found:
            continue
        value = found.pop(name)
        if ours in found:
            warnings.append(f"{name} was ignored: {ours} is there, too.")
        else:
            found[ours] = value
    _join_sides(found, warnings)
    form = found.get("output_format")
    if isinstance(form, str):
        folded = form.strip().lower()
        found["output_format"] = _FORMATS.get(folded, folded)
    return found, warnings


def sides_of(text: str) -> tuple[int, int] | None:
    """Width and height of ``64x64``, ``64X64``, ``64*64`` or with a multiplication sign; ``None`` for anything else."""
    match = _SIZE.fullmatch(text)
    return (int(match[1]), int(match[2])) if match is not None else None


def _join_sides(found: dict[str, Any], warnings: list[str]) -> None:
    """``width`` and ``height`` as ``size``."""
    given: dict[str, Any] = {name: found.pop(name) for name in ("width", "height") if name in found}
    if len(given) == 1:
        (name,) = given
        warnings.append(f"{name} was ignored: width and height come together, or as size.")
    if len(given) < 2:
        return
    sides, _ = examine(_Sides, given)
    size = found.get("size")
    if size is None or (isinstance(size, str) and size.strip().lower() in ("", "auto")):
        found["size"] = f"{sides.width}x{sides.height}"
    elif isinstance(size, str) and sides_of(size) != (sides.width, sides.height):
        warnings.append("width and height were ignored: size is there, too.")
