"""Recognises number formats whose values lie in two tensors or more, a number and its scale. The library reads each as
if it were whole, and draws noise, white, or nothing.

Pure functions over the names and number formats that a safetensors header gives. It must not know any file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

SCALED_FP8 = "scaled FP8"
SMALL_FLOATS = ("F8_E4M3", "F8_E5M2")
_PACKED = frozenset({*SMALL_FLOATS, "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "I32"})


class _Sign(NamedTuple):
    """One format: what its names end in (all of them must be there), and what it is called. ``obstacle`` says why a
    conversion cannot restore its values; empty where it can."""

    format: str
    endings: tuple[str, ...]
    obstacle: str = ""


# The order matters where one format has another's names too.
_SIGNS = (
    _Sign(
        "SVDQuant (nunchaku)",
        (r"\.qweight$", r"\.(wscales|wtscale|smooth_factor|proj_down)$"),
        "its numbers lie in the order of a card's kernels, beside a low-rank part and smoothing factors",
    ),
    _Sign(
        "GPTQ", (r"\.qweight$", r"\.qzeros$", r"\.g_idx$"), "its layout depends on settings that are not in the file"
    ),
    _Sign(
        "AWQ", (r"\.qweight$", r"\.qzeros$", r"\.scales$"), "its layout depends on settings that are not in the file"
    ),
    _Sign("bitsandbytes NF4", (r"\.quant_state\.bitsandbytes__nf4$",)),
    _Sign("bitsandbytes FP4", (r"\.quant_state\.bitsandbytes__fp4$",)),
    _Sign(
        "bitsandbytes 4-bit",
        (r"\.absmax$", r"\.quant_map$"),
        "the shapes of its tensors (quant_state.bitsandbytes__nf4) are not in the file",
    ),
    _Sign("bitsandbytes 8-bit", (r"\.SCB$",)),
    _Sign(
        "packed whole numbers (compressed-tensors)",
        (r"\.weight_packed$", r"\.weight_shape$"),
        "their layout depends on settings that are not in the file",
    ),
    _Sign("NVFP4", (r"\.weight_scale_2$",)),
    _Sign("NVFP4", (r"\.weight_packed$", r"\.weight_global_scale$")),
    _Sign(
        "MXFP4",
        (r"_blocks$", r"_scales$"),
        "it is the layout of a mixture of experts, and the library has no model of that kind",
    ),
    _Sign("FP8 with a scale for each block", (r"\.weight_scale_inv$",)),
)
_SCALE = re.compile(r"\.(scale_weight|weight_scale)$")
_MARK = re.compile(r"\.comfy_quant$")


def paired_format(types: Mapping[str, str]) -> str | None:
    """What the format of a file is called, by its tensors' names and their ``types`` (as safetensors calls them);
    ``None`` where every tensor stands for itself."""
    packed = _PACKED.intersection(types.values())
    if not packed:
        return None
    for sign in _SIGNS:
        if all(any(re.search(ending, name) for name in types) for ending in sign.endings):
            return sign.format
    if any(_SCALE.search(name) for name in types):
        if packed & {"U8"} and not packed & set(SMALL_FLOATS):
            return "a packed format with scales (NVFP4, MXFP4 or the like)"
        return SCALED_FP8 if packed & set(SMALL_FLOATS) else "8-bit numbers with scales"
    if any(_MARK.search(name) for name in types):
        return "a format of ComfyUI's own (comfy_quant)"
    return None


_OBSTACLES = {sign.format: sign.obstacle for sign in _SIGNS if sign.obstacle}


def obstacle_to_conversion(format: str) -> str:
    """Why a conversion cannot restore the values of a file of ``format``, as the end of a sentence; empty where it
    can."""
    return _OBSTACLES.get(format, "")


def describe_paired(shown: str, format: str) -> str:
    """A sentence, without its full stop, about the file ``shown`` of ``format``: what it is, and what to do with it."""
    what = (
        f"{shown} is stored as {format}: numbers and their scales lie in separate tensors, and the library would read "
        "the numbers without the scales; "
    )
    obstacle = obstacle_to_conversion(format)
    if obstacle:
        return f"{what}it cannot be converted either ({obstacle}); take a file of f16, bf16 or plain fp8, or a GGUF"
    return (
        f"{what}convert it first, with `sdcpp-rest convert {shlex.quote(shown)} q8_0` or POST /convert and output_type "
        "q8_0"
    )
