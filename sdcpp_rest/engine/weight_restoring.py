"""Writes a model whose numbers and scales lie apart as one whose tensors stand for themselves.

A few megabytes of one tensor are in memory at a time, and that tensor's scales. Believes the recipes of
`paired_weights`; knows no jobs and no model families. Imports numpy, so only a conversion that needs it imports this.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Literal

import numpy as np

from sdcpp_rest.engine.number_formats import (
    E2M1,
    F16_MAX,
    LARGEST,
    READABLE,
    Floats,
    decode,
    encode,
    unpack_nibbles,
)
from sdcpp_rest.engine.paired_weights import Restoration
from sdcpp_rest.engine.safetensors_layout import Stored
from sdcpp_rest.engine.weight_recipes import FLOATS, FP8, Nested, Recipe, Scales, refuse

FloatType = Literal["F32", "F16", "BF16"]

_CHUNK_NUMBERS = 1 << 21
_CHUNK_BYTES = 4 << 20
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_ALIGNMENT = 8


def restore_weights(
    source: str,
    target: str,
    plan: Restoration,
    *,
    floats: FloatType,
    on_written: Callable[[int, int], None],
    every_matrix: bool = False,
    may_widen: bool = True,
) -> None:
    """Write the tensors of ``plan`` from the file ``source`` into the safetensors file ``target``: what lay apart as
    ``floats``, and the rest as it is, or, with ``every_matrix``, all matrices as ``floats``.

    A tensor with numbers beyond F16 becomes BF16 instead, where it ``may_widen``. ``on_written(done, total)`` hears how
    many bytes of tensors are written. A failure can leave half a file behind. Raises ValueError naming the tensor at
    fault, OSError.
    """
    types = {recipe.name: _type_of(recipe, floats, every_matrix) for recipe in plan.recipes}
    sizes = {recipe.name: _size_of(recipe, types[recipe.name]) for recipe in plan.recipes}
    total, done = sum(sizes.values()), 0
    # Which of the two a tensor becomes is seen when its turn comes: the header is written last, into room for both.
    widest = {name: "BF16" if kind == "F16" else kind for name, kind in types.items()}
    room = -(-len(_header(plan, widest, sizes)) // _ALIGNMENT) * _ALIGNMENT
    with open(source, "rb") as given, open(target, "wb") as result:
        result.seek(8 + room)
        for recipe in plan.recipes:
            weight = _Weight(given, recipe)
            if recipe.scales is None and types[recipe.name] == recipe.dtype:
                chunks = weight.raw_chunks()
            else:
                kind = types[recipe.name] = _settle_type(weight, types[recipe.name], may_widen)
                chunks = (encode(numbers, kind) for numbers in weight.chunks())
            for chunk in chunks:
                result.write(chunk)
                done += len(chunk)
                on_written(done, total)
        result.seek(0)
        result.write(struct.pack("<Q", room) + _header(plan, types, sizes).ljust(room))


def restored_bytes(plan: Restoration, floats: FloatType) -> int:
    """How large the tensors become that `restore_weights` writes."""
    return sum(_size_of(recipe, _type_of(recipe, floats, False)) for recipe in plan.recipes)


def _type_of(recipe: Recipe, floats: FloatType, every_matrix: bool) -> str:
    is_plain_matrix = recipe.dtype in (*FLOATS, *FP8) and len(recipe.shape) > 1
    return floats if recipe.scales is not None or (every_matrix and is_plain_matrix) else recipe.dtype


def _size_of(recipe: Recipe, kind: str) -> int:
    is_copied = recipe.scales is None and kind == recipe.dtype
    return recipe.stored.size if is_copied else recipe.elements * _WIDTHS[kind]


def _header(plan: Restoration, types: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    header: dict[str, Any] = {"__metadata__": plan.texts} if plan.texts else {}
    offset = 0
    for recipe in plan.recipes:
        end = offset + sizes[recipe.name]
        header[recipe.name] = {
            "dtype": types[recipe.name],
            "shape": list(recipe.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    return json.dumps(header, separators=(",", ":")).encode()


def _settle_type(weight: _Weight, wanted: str, may_widen: bool) -> str:
    if wanted != "F16" or not weight.exceeds(F16_MAX):
        return wanted
    if not may_widen:
        refuse(weight.name, f"holds numbers beyond {F16_MAX:.0f}, which f16 cannot; take bf16 or f32 as output_type")
    return "BF16"


class _Weight:
    """Reads one tensor of the result, in chunks."""

    def __init__(self, file: IO[bytes], recipe: Recipe) -> None:
        self.name = recipe.name
        self._file = file
        self._recipe = recipe
        self._rows = -(-recipe.elements // recipe.columns)
        self._map = E2M1 if recipe.code_map is None else self._numbers(recipe.code_map)
        self._grid = None if recipe.scales is None else self._read_grid(recipe.scales)

    def chunks(self) -> Iterator[Floats]:
        """All numbers, some rows at a time, in a row."""
        recipe, columns = self._recipe, self._recipe.columns
        step = max(1, _CHUNK_NUMBERS // columns)
        for first in range(0, self._rows, step):
            last = min(first + step, self._rows)
            count = min(last * columns, recipe.elements) - first * columns
            numbers = self._read_rows(first * columns, count)
            scales = self._scales_of(first, last)
            if scales is not None:
                # The last block of a tensor may be a short one.
                padded = np.pad(numbers, (0, (last - first) * columns - count))
                with np.errstate(over="ignore", invalid="ignore"):
                    numbers = (padded.reshape(last - first, columns) * scales).reshape(-1)[:count]
            yield numbers

    def raw_chunks(self) -> Iterator[bytes]:
        stored = self._recipe.stored
        for at in range(0, stored.size, _CHUNK_BYTES):
            yield self._read(stored, at, min(_CHUNK_BYTES, stored.size - at))

    def exceeds(self, limit: float) -> bool:
        """Whether any number is finite and beyond ``limit``."""
        largest = float(np.abs(self._map).max()) if self._recipe.packing else LARGEST.get(self._recipe.dtype, np.inf)
        if largest * (1.0 if self._grid is None else float(np.abs(self._grid).max())) <= limit:
            return False
        return any(bool((np.isfinite(numbers) & (np.abs(numbers) > limit)).any()) for numbers in self.chunks())

    # --- numbers ---------------------------------------------------------------------------------------------------

    def _read_rows(self, at: int, count: int) -> Floats:
        stored, dtype = self._recipe.stored, self._recipe.dtype
        if self._recipe.packing:
            raw = self._read(stored, at // 2, -(-count // 2))
            return self._map[unpack_nibbles(raw, high_first=self._recipe.packing == "high first")[:count]]
        width = stored.size // stored.elements
        return decode(self._read(stored, at * width, count * width), dtype)

    def _scales_of(self, first: int, last: int) -> Floats | None:
        """The scale of each number of these rows, or one for each row."""
        scales = self._recipe.scales
        if scales is None or self._grid is None:
            return None
        found = self._grid[np.arange(first, last) // scales.rows]
        if found.shape[1] == 1 or scales.columns == 1:
            return found
        return np.repeat(found, scales.columns, axis=1)[:, : self._recipe.columns]

    def _read_grid(self, scales: Scales) -> Floats:
        recipe = self._recipe
        rows = -(-self._rows // scales.rows)
        columns = -(-recipe.columns // scales.columns)
        if recipe.nested is not None:
            grid = self._read_nested(scales.stored, recipe.nested)
        else:
            grid = self._numbers(scales.stored, scales.dtype)
        grid = _untile(grid, rows, columns) if scales.is_tiled else grid.reshape(rows, columns)
        with np.errstate(all="ignore"):
            grid = grid * np.float32(recipe.factor)
            if recipe.multiplier is not None:
                grid = grid * self._numbers(recipe.multiplier)
            if recipe.divisor is not None:
                grid = grid / self._numbers(recipe.divisor)
        if not np.isfinite(grid).all():
            refuse(scales.stored.name, "holds a scale that is no finite number")
        return np.asarray(grid, np.float32)

    def _read_nested(self, codes: Stored, nested: Nested) -> Floats:
        found = np.frombuffer(self._read(codes, 0, codes.size), np.uint8)
        of_blocks = np.repeat(self._numbers(nested.absmax), nested.block)[: found.size]
        values = self._numbers(nested.map)[found] * of_blocks + np.float32(nested.offset)
        return np.asarray(values, np.float32)

    def _numbers(self, stored: Stored, dtype: str = "") -> Floats:
        dtype = dtype or stored.dtype
        if dtype not in READABLE:
            refuse(stored.name, f"is stored as {stored.dtype}, and should hold floats")
        return decode(self._read(stored, 0, stored.size), dtype)

    def _read(self, stored: Stored, at: int, size: int) -> bytes:
        self._file.seek(stored.start + at)
        found = self._file.read(size)
        if len(found) != size:
            refuse(stored.name, "is cut off: the file has become shorter")
        return found


def _untile(tiled: Floats, rows: int, columns: int) -> Floats:
    """Scales in a matrix of ``rows`` x ``columns`` again, which lie in tiles of 128 x 4 one after the other. In a tile,
    rows that are 32 apart lie side by side (NVIDIA cuBLAS, "1D block scaling factors layout")."""
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    tiles_across = -(-columns // 4)
    tile = (row // 128) * tiles_across + column // 4
    return np.asarray(tiled[tile * 512 + (row % 32) * 16 + (row % 128 // 32) * 4 + column % 4], np.float32)
