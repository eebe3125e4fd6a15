"""Tells in which sizes a family of models draws well, and within which settings.

Pure arithmetic over a preset's generation settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from sdcpp_rest.core.architectures import Architecture

_RATIOS = ("1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "21:9", "9:21")
_UNET_MULTIPLE, _WAN_TI2V_MULTIPLE, _TRANSFORMER_MULTIPLE = 64, 32, 16
_MOST_STEPS = 150


class NamedSize(NamedTuple):
    """Pixels a side, and what people call the ratio of the sides."""

    ratio: str
    width: int
    height: int


class Range(NamedTuple):
    """Within ``min`` and ``max`` a setting makes sense; ``recommended`` is the usual one."""

    min: float
    max: float
    recommended: float


def usual_side(family: Architecture | None) -> int:
    """Pixels a side of the pictures that a family draws by itself."""
    return 512 if family is None or family.id.startswith(("sd1", "sd2", "sdxs")) else 1024


def size_multiple(family: Architecture) -> int:
    """What sides should be multiples of. Others are drawn at the next larger ones, and cropped."""
    if not family.is_flow:
        return _UNET_MULTIPLE
    return _WAN_TI2V_MULTIPLE if family.id == "wan2_2_ti2v" else _TRANSFORMER_MULTIPLE


def sizes_near(width: int, height: int, multiple: int) -> tuple[NamedSize, ...]:
    """Sizes of about as many pixels as ``width`` x ``height``, in the usual ratios; that size itself comes first."""
    own = math.gcd(width, height) or 1
    first = NamedSize(f"{width // own}:{height // own}", width, height)
    others = (_nearest(ratio, width * height, multiple) for ratio in _RATIOS if ratio != first.ratio)
    return (first, *(size for size in others if size[1:] != first[1:]))


def _nearest(ratio: str, pixels: int, multiple: int) -> NamedSize:
    """The multiples whose ratio and area come nearest; the ratio counts double."""
    wanted = int(ratio.partition(":")[0]) / int(ratio.partition(":")[2])
    middle = round(math.sqrt(pixels * wanted) / multiple)
    found = []
    for across in range(max(1, middle - 2), middle + 3):
        for down in {math.floor(across / wanted), math.ceil(across / wanted)} - {0}:
            area = across * down * multiple * multiple
            cost = 2 * abs(math.log(across / down / wanted)) + abs(math.log(area / pixels))
            found.append((cost, across * multiple, down * multiple))
    _, width, height = min(found)
    return NamedSize(ratio, width, height)


def ranges_of(generation: Mapping[str, Any]) -> dict[str, Range]:
    """Sensible ranges around a preset's steps and cfg_scale. A model that was distilled to work without guidance takes
    hardly any."""
    found = {}
    if steps := generation.get("steps"):
        found["steps"] = Range(max(1, steps // 2), min(_MOST_STEPS, max(steps * 2, 2)), steps)
    scale = generation.get("cfg_scale")
    if scale is not None:
        highest = 2.0 if scale == 1 else round(scale * 1.75, 1)
        found["cfg_scale"] = Range(1.0, highest, scale)
    return found
