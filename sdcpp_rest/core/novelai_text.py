"""Reads the text that NovelAI writes into its pictures, JSON among other entries, in the layout of `core.infotext`.

Pure text: it must not know picture formats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.infotext import quote

SOFTWARE = "NovelAI"

_SAMPLERS = {
    "k_euler": "Euler",
    "k_euler_ancestral": "Euler a",
    "k_dpm_2": "DPM2",
    "k_dpm_2_ancestral": "DPM2 a",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_2m_sde": "DPM++ 2M SDE",
    "k_dpmpp_2s_ancestral": "DPM++ 2S a",
    "k_dpmpp_sde": "DPM++ SDE",
    "k_heun": "Heun",
    "k_lms": "LMS",
    "ddim": "DDIM",
    "ddim_v3": "DDIM",
}
_SCHEDULERS = {"karras": "Karras", "exponential": "Exponential", "polyexponential": "Polyexponential"}


def write(entries: Mapping[str, str], size: tuple[int, int]) -> str:
    """The infotext of a picture with these text ``entries`` of its file; empty for what is not NovelAI's.

    ``size`` in pixels counts where the entries name none.
    """
    if entries.get("Software", "").strip() != SOFTWARE:
        return ""
    try:
        comment = json.loads(entries.get("Comment", ""))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(comment, dict):
        return ""
    prompt = _caption(comment, "prompt", "v4_prompt") or entries.get("Description", "")
    negative = _caption(comment, "uc", "v4_negative_prompt")
    sampler = _word(comment.get("sampler"))
    width, height = _number(comment.get("width")), _number(comment.get("height"))
    pairs = {
        "Steps": _number(comment.get("steps")),
        "Sampler": _SAMPLERS.get(sampler, sampler),
        "Schedule type": _SCHEDULERS.get(_word(comment.get("noise_schedule")), ""),
        "CFG scale": _number(comment.get("scale")),
        "Seed": _number(comment.get("seed")),
        "Size": f"{width}x{height}" if width and height else f"{size[0]}x{size[1]}",
        "Denoising strength": _number(comment.get("strength")),
        "Model": _word(entries.get("Source")),
    }
    line = ", ".join(f"{key}: {quote(value)}" for key, value in pairs.items() if value)
    return "\n".join(
        part for part in (prompt.strip(), f"Negative prompt: {negative.strip()}" if negative else "", line) if part
    )


def _caption(comment: Mapping[str, Any], name: str, newer: str) -> str:
    """A prompt, where the versions of the program put it."""
    plain = _word(comment.get(name))
    if plain:
        return plain
    nested = comment.get(newer)
    caption = nested.get("caption") if isinstance(nested, dict) else None
    return _word(caption.get("base_caption")) if isinstance(caption, dict) else ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> str:
    """A number as text; empty for anything else, and for integers of more digits than any field has."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return str(value) if abs(value) < 10**19 else ""
