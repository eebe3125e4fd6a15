"""Reads the header of a safetensors file, and refuses what the library's own reader would die of.

Knows no model families and no folders.
"""

from __future__ import annotations

import json
import math
from typing import IO, Any, NoReturn

from sdcpp_rest.core.paired_formats import paired_format
from sdcpp_rest.core.trained_words import words_of
from sdcpp_rest.services.model_headers.model_header import (
    KEPT_TEXT,
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    NOT_WHOLE,
    Header,
    Metadata,
    NotAModel,
)

_DTYPES = {
    "F64": (8, "f64"), "F32": (4, "f32"), "F16": (2, "f16"), "BF16": (2, "bf16"), "F8_E4M3": (1, "f8_e4m3"),
    "F8_E5M2": (1, "f8_e5m2"), "I64": (8, "i64"), "I32": (4, "i32"), "U8": (1, "u8"),
}  # fmt: skip


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read_safetensors(path: str, shown: str, file: IO[bytes], size: int, header_bytes: int) -> Header:
    """The header of ``file``, which announces ``header_bytes`` of it. Raises NotAModel."""

    def refuse(why: str) -> NoReturn:
        raise NotAModel(f"{shown} {why}", path=path)

    if header_bytes > MAX_HEADER_BYTES:
        refuse(f"has a header of {header_bytes} bytes; at most {MAX_HEADER_BYTES >> 20} MB can be read")
    file.seek(8)
    raw = file.read(header_bytes).rstrip(b"\0 ")
    try:
        header = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        refuse("is not a model file: it begins like safetensors, but its header is not JSON")
    if not isinstance(header, dict):
        refuse(f"is a damaged safetensors file: its header is a JSON {_json_word(header)}, not an object")
    described = header.pop("__metadata__", {})
    if len(header) > MAX_TENSORS:
        refuse(f"is damaged: its header lists {len(header)} tensors")
    described_types = {name: entry.get("dtype") for name, entry in header.items() if isinstance(entry, dict)}
    given = {name: dtype for name, dtype in described_types.items() if isinstance(dtype, str)}
    paired = paired_format(given)
    tensors: dict[str, tuple[int, ...]] = {}
    types: dict[str, str] = {}
    parameters = 0
    available = size - 8 - header_bytes
    for name, entry in header.items():
        if paired and given.get(name) not in _DTYPES:
            continue  # a load is refused for the file's format, which says more
        shape, dtype, end = _safetensors_entry(name, entry, refuse)
        if end > available:
            end += 8 + header_bytes
            refuse(f"is truncated: it has {size} bytes, the tensor {name[:80]!r} ends at byte {end}; {NOT_WHOLE}")
        if dtype == "u8" or 0 in shape:
            continue  # the library skips the one, and the other has nothing to read
        tensors[name] = tuple(reversed(shape)) or (1,)
        types[name] = dtype
        parameters += math.prod(shape)
    if not tensors:
        refuse("holds no tensors")
    said = (
        {key: value for key, value in described.items() if isinstance(value, str)}
        if isinstance(described, dict)
        else {}
    )
    metadata: Metadata = {key: value for key, value in said.items() if len(value) <= KEPT_TEXT}
    return Header(
        "safetensors", tensors, types, parameters, metadata, trained_words=words_of(said), paired_format=paired or ""
    )


def _safetensors_entry(name: str, entry: Any, refuse: Any) -> tuple[list[int], str, int]:
    """(shape in torch order, number format, end of the data) of one header entry.

    The library takes the types of all this for granted: a missing or odd value is an exception that ends the process.
    """
    what = f"is a damaged safetensors file: the tensor {name[:80]!r}"
    if not isinstance(entry, dict):
        refuse(f"{what} is described by a JSON {_json_word(entry)}, not an object")
    for part in ("dtype", "shape", "data_offsets"):
        if part not in entry:
            refuse(f"{what} has no {part}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        refuse(f"{what} has a dtype that is a JSON {_json_word(dtype)}, not a string")
    if dtype not in _DTYPES:
        refuse(f"stores the tensor {name[:80]!r} as {dtype[:20]}, which cannot be read; it can be {', '.join(_DTYPES)}")
    if not _are_sizes(shape):
        refuse(f"{what} has a shape that is not a list of whole numbers")
    if not _are_sizes(offsets) or len(offsets) != 2:
        refuse(f"{what} has data_offsets that are not two whole numbers")
    if len(shape) > 5:
        refuse(f"{what} has {len(shape)} dimensions; at most 5 can be read")
    begin, end = offsets
    width, word = _DTYPES[dtype]
    elements = math.prod(shape)
    if end - begin != elements * width or not 0 <= elements < 1 << 62:
        refuse(f"{what} of shape {shape} and type {dtype} cannot take {end - begin} bytes")
    return shape, word, end


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(side) is int and 0 <= side < 1 << 63 for side in value)


def _json_word(value: Any) -> str:
    words = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return words.get(type(value), "number")
