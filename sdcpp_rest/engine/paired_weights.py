"""Finds out how each tensor of a file is made whose numbers and scales lie apart: which tensors belong together, in
what layout, and with what block for each scale.

Reads headers and the small descriptions (JSON) that some formats keep in tensors; `weight_restoring` reads the numbers.
Every fault names its tensor. Formats: safetensors files of ComfyUI (scaled FP8, comfy_quant), compressed-tensors,
ModelOpt, DeepSeek (weight_scale_inv) and bitsandbytes.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from sdcpp_rest.engine.safetensors_layout import Layout, Stored, read_layout
from sdcpp_rest.engine.weight_recipes import (
    FLOATS,
    FP8,
    POWERS,
    Nested,
    Recipe,
    Scales,
    check_count,
    copy_whole,
    float_scales,
    of_matrix,
    refuse,
    refuse_shape,
    scale_by_powers,
    scale_numbers,
    unpack_floats,
)

_MAX_JSON_BYTES = 1 << 16
_MAX_BLOCK = 1 << 16
_MAX_DIMENSIONS = 5
# Parts of a tensor's name that may be in front of a layer's.
_MAX_PREFIXES = 8


class Restoration(NamedTuple):
    """Recipes in the file's order, and the text entries that are still true of the result."""

    recipes: tuple[Recipe, ...]
    texts: dict[str, str]


def plan_restoration(path: str) -> Restoration:
    """Read how the file at ``path`` is restored. Raises ValueError naming the tensor at fault, OSError."""
    layout = read_layout(path)
    with open(path, "rb") as file:
        return Restoration(tuple(_Pairing(layout, file).recipes()), _true_texts(layout))


_COMFY_TEXT = "_quantization_metadata"


def _true_texts(layout: Layout) -> dict[str, str]:
    return {key: text for key, text in layout.texts.items() if key != _COMFY_TEXT}


@dataclass
class _Parts:
    """What a weight is stored with, by role, and what a description of ComfyUI says of it."""

    roles: dict[str, Stored] = field(default_factory=dict)
    described: Mapping[str, Any] | None = None


# What a name may end in, what the weight's name ends in then (the first that is there), and the role.
_ROLES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (".scale_weight", (".weight",), "scale"),
    (".weight_scale", (".weight", ".weight_packed"), "scale"),
    (".weight_scale_inv", (".weight",), "scale"),
    (".weight_scale_2", (".weight",), "multiplier"),
    (".weight_global_scale", (".weight_packed",), "divisor"),
    (".SCB", (".weight",), "row maxima"),
    (".weight_format", (".weight",), "format"),
    (".absmax", ("",), "absmax"),
    (".quant_map", ("",), "map"),
    (".nested_absmax", ("",), "nested absmax"),
    (".nested_quant_map", ("",), "nested map"),
    (".quant_state.bitsandbytes__nf4", ("",), "state"),
    (".quant_state.bitsandbytes__fp4", ("",), "state"),
)
# Scales of what flows through the model, and marks.
_DROPPED = re.compile(r"\.(scale_input|input_scale|input_global_scale)$|^(.*\.)?scaled_fp8$")
_BEYOND = re.compile(r"\.(pre_quant_scale|weight_zero_point|zero_point|weight_g_idx|smooth_factor|qweight|qzeros)$")
_COMFY_MARK = ".comfy_quant"
_COMFY_FLAT = re.compile(r"(float8_e4m3fn|float8_e5m2|int8)(_tensorwise|_rowwise|_blockwise)?")


class _Pairing:
    """Puts the tensors of one file together."""

    def __init__(self, layout: Layout, file: IO[bytes]) -> None:
        self._tensors = layout.tensors
        self._file = file
        self._parts: defaultdict[str, _Parts] = defaultdict(_Parts)
        self._left_out: set[str] = set()
        for stored in layout.tensors.values():
            self._assign(stored)
        self._describe(layout.texts.get(_COMFY_TEXT))

    def recipes(self) -> list[Recipe]:
        return [
            self._recipe(stored, self._parts[stored.name]) if stored.name in self._parts else copy_whole(stored)
            for stored in self._tensors.values()
            if stored.name not in self._left_out
        ]

    def _assign(self, stored: Stored) -> None:
        name = stored.name
        if _BEYOND.search(name):
            refuse(name, "belongs to a form of this format that cannot be restored")
        if _DROPPED.search(name):
            self._left_out.add(name)
        elif name.endswith(_COMFY_MARK):
            self._left_out.add(name)
            layer = name.removesuffix(_COMFY_MARK)
            self._parts[self._weight_of(layer, name)].described = self._json(stored)
        else:
            for ending, weight_endings, role in _ROLES:
                if name.endswith(ending):
                    self._left_out.add(name)
                    stem = name.removesuffix(ending)
                    weight = next((stem + end for end in weight_endings if stem + end in self._tensors), None)
                    if weight is None:
                        refuse(name, f"belongs to {(stem + weight_endings[0])[:120]!r}, which is not there")
                    if role in self._parts[weight].roles:
                        refuse(name, f"is a second {role} of {weight[:120]!r}")
                    self._parts[weight].roles[role] = stored
                    break

    def _weight_of(self, layer: str, mark: str) -> str:
        weight = f"{layer}.weight"
        if weight not in self._tensors:
            refuse(mark, f"describes {weight[:120]!r}, which is not there")
        return weight

    def _describe(self, text: str | None) -> None:
        """What the file's own text says of its layers, where no tensor says it."""
        if text is None:
            return
        try:
            layers = json.loads(text)["layers"]
            named = {str(layer): dict(described) for layer, described in layers.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(f"its entry {_COMFY_TEXT} cannot be understood") from None
        # Whoever puts a model into a checkpoint gives its tensors a prefix, and forgets this text.
        by_ending: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._tensors:
            if name.endswith(".weight"):
                parts = name.split(".")
                for first in range(min(len(parts), _MAX_PREFIXES)):
                    by_ending[".".join(parts[first:])].append(name)
        for layer, described in named.items():
            found = by_ending.get(f"{layer}.weight", [])
            if len(found) != 1:
                raise ValueError(f"its entry {_COMFY_TEXT} describes {layer[:120]!r}, which is not there once")
            weight = self._parts[found[0]]
            weight.described = weight.described or described

    def _json(self, stored: Stored) -> dict[str, Any]:
        try:
            if stored.size > _MAX_JSON_BYTES:
                raise ValueError
            self._file.seek(stored.start)
            found = json.loads(self._file.read(stored.size).rstrip(b"\0"))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            refuse(stored.name, "should hold a description (JSON), and cannot be understood")
        return found

    # --- one weight ----------------------------------------------------------------------------------------------

    def _recipe(self, stored: Stored, parts: _Parts) -> Recipe:
        roles = parts.roles
        described = str(parts.described.get("format", "")) if parts.described is not None else ""
        if not stored.elements:
            refuse(stored.name, "is empty")
        if "state" in roles or "absmax" in roles or "map" in roles:
            return self._of_codes(stored, roles)
        if "row maxima" in roles:
            return self._of_row_maxima(stored, roles)
        scale = roles.get("scale")
        if scale is None:
            refuse(stored.name, "has no scale")
        if described == "nvfp4" or (not described and stored.dtype == "U8"):
            return unpack_floats(stored, scale, roles, is_comfy=bool(described))
        if set(roles) != {"scale"}:
            extra = next(role for role in roles if role != "scale")
            refuse(roles[extra].name, f"does not belong to numbers of {stored.dtype}")
        if described == "mxfp8":
            return scale_by_powers(stored, scale, is_tiled=True)
        flat = _COMFY_FLAT.fullmatch(described)
        if (described and not flat) or (parts.described or {}).get("convrot"):
            shown = f"{described[:40]}, rotated" if flat else described[:40]
            refuse(stored.name, f"is of ComfyUI's format {shown!r}, which cannot be restored")
        dtype = stored.dtype
        if flat and dtype == "U8":
            dtype = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "int8": "I8"}[flat[1]]
        if dtype in FP8 and scale.dtype in POWERS:
            return scale_by_powers(stored, scale, is_tiled=False)
        if dtype not in (*FP8, *FLOATS, "I8"):
            refuse(stored.name, f"is stored as {dtype}, which has no scales that are known")
        group = (parts.described or {}).get("group_size") if flat and flat[2] == "_blockwise" else None
        return scale_numbers(stored, dtype, scale, group if type(group) is int else 0)

    def _of_row_maxima(self, stored: Stored, roles: Mapping[str, Stored]) -> Recipe:
        """bitsandbytes, 8 bit: each row's largest magnitude stands for 127."""
        order = roles.get("format")
        if order is not None:
            self._file.seek(order.start)
            if any(self._file.read(order.size)):
                refuse(order.name, "says that the numbers lie in a card's own order, which cannot be restored")
        if stored.dtype != "I8" or len(stored.shape) != 2:
            refuse(stored.name, f"of {stored.dtype} and shape {list(stored.shape)} is no matrix of 8-bit numbers")
        maxima = roles["row maxima"]
        if maxima.elements != stored.shape[0]:
            refuse_shape(maxima, stored)
        return of_matrix(stored, "I8", float_scales(maxima, stored, 1, stored.shape[1]), factor=1 / 127)

    def _of_codes(self, stored: Stored, roles: Mapping[str, Stored]) -> Recipe:
        """bitsandbytes, 4 bit: codes of a map of 16 values, and a scale for each block of the numbers in a row."""
        for role, ending in (("state", "quant_state.bitsandbytes__nf4"), ("absmax", "absmax"), ("map", "quant_map")):
            if role not in roles:
                refuse(stored.name, f"lacks its {ending}")
        state = self._json(roles["state"])
        shape, block = _shape_of(state, roles["state"].name), state.get("blocksize")
        if type(block) is not int or not 2 <= block <= _MAX_BLOCK or block % 2:
            refuse(
                roles["state"].name,
                f"gives the block size {str(block)[:40]}; it must be an even number from 2 to {_MAX_BLOCK}",
            )
        elements = math.prod(shape)
        if stored.dtype != "U8" or stored.size != -(-elements // 2):
            refuse(
                stored.name,
                f"has {stored.size} bytes of {stored.dtype}; its shape {list(shape)} takes {-(-elements // 2)}",
            )
        absmax, blocks = roles["absmax"], -(-elements // block)
        check_count(absmax, blocks)
        check_count(roles["map"], 16)
        nested = self._read_nesting(state, roles, blocks) if absmax.dtype == "U8" else None
        if nested is None and absmax.dtype not in FLOATS:
            refuse(absmax.name, f"is stored as {absmax.dtype}, which is no scale")
        return Recipe(
            name=stored.name,
            shape=shape,
            stored=stored,
            dtype="U8",
            columns=block,
            scales=Scales(absmax, 1, block, absmax.dtype),
            packing="high first",
            code_map=roles["map"],
            nested=nested,
        )

    def _read_nesting(self, state: Mapping[str, Any], roles: Mapping[str, Stored], blocks: int) -> Nested:
        name = roles["state"].name
        for role in ("nested absmax", "nested map"):
            if role not in roles:
                refuse(roles["absmax"].name, f"is itself made of codes, and lacks its {role.replace(' ', '_')}")
        block, offset = state.get("nested_blocksize"), state.get("nested_offset")
        if type(block) is not int or not 1 <= block <= _MAX_BLOCK:
            refuse(name, f"gives the nested block size {str(block)[:40]}; it must be a number from 1 to {_MAX_BLOCK}")
        if not isinstance(offset, (int, float)) or not math.isfinite(offset):
            refuse(name, f"gives the nested offset {str(offset)[:40]}; it must be a number")
        check_count(roles["nested absmax"], -(-blocks // block))
        check_count(roles["nested map"], 256)
        return Nested(roles["nested map"], roles["nested absmax"], block, float(offset))


def _shape_of(state: Mapping[str, Any], name: str) -> tuple[int, ...]:
    shape = state.get("shape")
    if not isinstance(shape, list) or not 1 <= len(shape) <= _MAX_DIMENSIONS:
        refuse(name, f"gives the shape {str(shape)[:60]}, which is none")
    if not all(type(side) is int and 0 < side < 1 << 31 for side in shape):
        refuse(name, f"gives the shape {str(shape)[:60]}, which is none")
    return tuple(shape)
