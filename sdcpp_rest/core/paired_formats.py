"""Recognises number formats whose values lie in two tensors or more, a number and its scale. The library reads each as
if it were whole, and draws noise, white, or nothing.

Pure functions over the names and number formats that a safetensors header gives. It must not know any file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

SCALED_FP8 = "scaled FP8"
SMALL_FLOATS = ("F8_E4M3", "F8_E5M2")
_PACKED = frozenset({*SMALL_FLOATS, "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "I32"})


class _Sign(NamedTuple):
    """One format: what its names end in (all of them must be there), and what it is called."""

    format: str
    endings: tuple[str, ...]


# The order matters where one format has another's names too.
_SIGNS = (
    _Sign("SVDQuant (nunchaku)", (r"\.qweight$", r"\.(wscales|wtscale|smooth_factor|proj_down)$")),
    _Sign("GPTQ", (r"\.qweight$", r"\.qzeros$", r"\.g_idx$")),
    _Sign("AWQ", (r"\.qweight$", r"\.qzeros$", r"\.scales$")),
    _Sign("bitsandbytes NF4", (r"\.quant_state\.bitsandbytes__nf4$",)),
    _Sign("bitsandbytes FP4", (r"\.quant_state\.bitsandbytes__fp4$",)),
    _Sign("bitsandbytes 4-bit", (r"\.absmax$", r"\.quant_map$")),
    _Sign("bitsandbytes 8-bit", (r"\.SCB$",)),
    _Sign("NVFP4", (r"\.weight_scale_2$",)),
    _Sign("MXFP4", (r"_blocks$", r"_scales$")),
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


def what_to_take(format: str) -> str:
    """The end of a sentence about a file of ``format`` that begins with its name."""
    return (
        f"is stored as {format}: numbers and their scales lie in separate tensors, and the library would read the "
        "numbers without the scales; take a file of f16, bf16 or plain fp8, or a GGUF"
    )
