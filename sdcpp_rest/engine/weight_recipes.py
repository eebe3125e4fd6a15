"""Defines how a tensor is made of numbers and scales, and which layouts of the two are known.

Pure: it looks at shapes and number formats, never at numbers. Every fault names its tensor (ValueError).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

from sdcpp_rest.engine.safetensors_layout import Stored

Packing = Literal["", "low first", "high first"]

FP8 = ("F8_E4M3", "F8_E5M2")
FLOATS = ("F64", "F32", "F16", "BF16")
POWERS = ("U8", "F8_E8M0")
_BLOCK = 128
_ALONE = (*FLOATS, *FP8, "I64", "I32", "U8")


class Scales(NamedTuple):
    """A grid of scales: one for each block of ``rows`` x ``columns`` numbers. ``dtype`` is how they are to be read;
    ``is_tiled``: they lie in tiles of 128 x 4, as a card's matrix kernels read them."""

    stored: Stored
    rows: int
    columns: int
    dtype: str
    is_tiled: bool = False


class Nested(NamedTuple):
    """Scales that are themselves codes: ``codes`` of ``map`` times ``absmax`` of each ``block``, plus ``offset``."""

    map: Stored
    absmax: Stored
    block: int
    offset: float


@dataclass(frozen=True)
class Recipe:
    """How the tensor ``name`` of the result is made, which has ``shape`` in torch's order.

    Its numbers lie in ``stored``, read as ``dtype``, or two to a byte where there is a ``packing`` (as E2M1 floats, or
    as codes of ``code_map``), in a matrix of ``columns``; each is multiplied by its scale and by ``factor``, and by the
    number in ``multiplier``, or divided by the one in ``divisor``. Without scales it is copied.
    """

    name: str
    shape: tuple[int, ...]
    stored: Stored
    dtype: str
    columns: int = 1
    scales: Scales | None = None
    packing: Packing = ""
    factor: float = 1.0
    multiplier: Stored | None = None
    divisor: Stored | None = None
    code_map: Stored | None = None
    nested: Nested | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def refuse(name: str, why: str) -> NoReturn:
    """Raise ValueError about the tensor ``name``."""
    raise ValueError(f"the tensor {name[:120]!r} {why}")


def copy_whole(stored: Stored) -> Recipe:
    """A tensor that stands for itself. Raises ValueError where nothing could read it alone."""
    if stored.dtype in ("I8", "F4", "F8_E8M0") or (
        stored.dtype == "U8" and stored.name.endswith((".weight", "_packed"))
    ):
        refuse(stored.name, f"is stored as {stored.dtype} and has no scale")
    if stored.dtype not in _ALONE:
        refuse(stored.name, f"is stored as {stored.dtype}, which cannot be read; it can be {', '.join(_ALONE)}")
    return Recipe(stored.name, stored.shape, stored, stored.dtype)


def of_matrix(stored: Stored, dtype: str, scales: Scales, factor: float = 1.0) -> Recipe:
    columns = math.prod(stored.shape[1:]) if stored.shape else 1
    return Recipe(stored.name, stored.shape, stored, dtype, columns, scales, factor=factor)


def scale_numbers(stored: Stored, dtype: str, scale: Stored, group: int) -> Recipe:
    """Numbers with a scale for the whole tensor, for each row (output channel), or for each block of a matrix."""
    rows, columns = (stored.shape[0], math.prod(stored.shape[1:])) if stored.shape else (1, 1)
    sides = [side for side in scale.shape if side != 1]
    if not sides:
        return of_matrix(stored, dtype, float_scales(scale, stored, rows, columns))
    if sides == [rows] and scale.shape[0] == rows:
        return of_matrix(stored, dtype, float_scales(scale, stored, 1, columns))
    if len(scale.shape) != 2 or len(stored.shape) != 2:
        refuse_shape(scale, stored)
    blocks = tuple(_block_side(side, count, group) for side, count in zip(stored.shape, scale.shape, strict=True))
    if not all(blocks):
        refuse_shape(scale, stored)
    return of_matrix(stored, dtype, float_scales(scale, stored, *blocks))


def _block_side(side: int, count: int, group: int) -> int:
    """How many of ``side`` numbers share one of ``count`` scales; 0 where no such block is known."""
    if count < 1 or count == side:
        return min(count, 1)
    if count == 1:
        return side
    for block in (group, _BLOCK):
        if block > 0 and -(-side // block) == count:
            return block
    block, rest = divmod(side, count)
    return block if not rest and block & (block - 1) == 0 else 0


def float_scales(scale: Stored, weight: Stored, rows: int, columns: int) -> Scales:
    if scale.dtype not in FLOATS:
        refuse(scale.name, f"is stored as {scale.dtype}, which is no scale of {weight.name[:120]!r}")
    return Scales(scale, rows, columns, scale.dtype)


def scale_by_powers(stored: Stored, scale: Stored, *, is_tiled: bool) -> Recipe:
    """MXFP8: small floats with a power of two for every 32 of a row."""
    if stored.dtype not in FP8 or scale.dtype not in POWERS:
        refuse(scale.name, f"is stored as {scale.dtype}, which is no scale of numbers of {stored.dtype}")
    if len(stored.shape) != 2:
        refuse_shape(scale, stored)
    _check_grid(scale, stored, stored.shape[1], 32, is_tiled=is_tiled)
    return of_matrix(stored, stored.dtype, Scales(scale, 1, 32, "F8_E8M0", is_tiled))


def unpack_floats(stored: Stored, scale: Stored, roles: Mapping[str, Stored], *, is_comfy: bool) -> Recipe:
    """NVFP4 and MXFP4: two 4-bit floats to a byte. ComfyUI has the upper half first and its scales in tiles."""
    if stored.dtype != "U8" or len(stored.shape) != 2:
        refuse(stored.name, f"of {stored.dtype} and shape {list(stored.shape)} is no matrix of packed 4-bit numbers")
    rows, columns = stored.shape[0], 2 * stored.shape[1]
    multiplier, divisor = roles.get("multiplier"), roles.get("divisor")
    if scale.dtype == "F8_E4M3":
        block, dtype = 16, scale.dtype
        whole = multiplier or divisor
        if whole is None:
            refuse(stored.name, "lacks the scale of the whole tensor (weight_scale_2 or weight_global_scale)")
        if whole.elements != 1 or whole.dtype not in FLOATS:
            refuse(whole.name, f"of {whole.dtype} and shape {list(whole.shape)} is not one number")
    elif scale.dtype in POWERS and not is_comfy and multiplier is None and divisor is None:
        block, dtype = 32, "F8_E8M0"
    else:
        refuse(scale.name, f"is stored as {scale.dtype}, which is no scale of packed 4-bit numbers")
    _check_grid(scale, stored, columns, block, is_tiled=is_comfy)
    return Recipe(
        name=stored.name.removesuffix("_packed"),
        shape=(rows, columns),
        stored=stored,
        dtype="U8",
        columns=columns,
        scales=Scales(scale, 1, block, dtype, is_comfy),
        packing="high first" if is_comfy else "low first",
        multiplier=multiplier,
        divisor=divisor,
    )


def _check_grid(scale: Stored, weight: Stored, columns: int, block: int, *, is_tiled: bool) -> None:
    rows, blocks = weight.shape[0], columns // block
    if is_tiled:
        rows, blocks = -(-rows // 128) * 128, -(-blocks // 4) * 4
    if columns % block or scale.elements != rows * blocks or (not is_tiled and scale.shape != (rows, blocks)):
        refuse_shape(scale, weight)


def check_count(stored: Stored, count: int) -> None:
    if stored.elements != count:
        refuse(stored.name, f"holds {stored.elements} numbers, and should hold {count}")


def refuse_shape(scale: Stored, weight: Stored) -> NoReturn:
    refuse(
        scale.name,
        f"of shape {list(scale.shape)} does not fit {weight.name[:120]!r} of shape {list(weight.shape)}",
    )
