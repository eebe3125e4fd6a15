"""Writes safetensors files with numbers and scales in separate tensors, and reads safetensors files of floats.

What each code means is computed here one number at a time, from the formats' definitions, so that nothing is compared
with itself.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = tuple[str, Sequence[int], bytes]
"""Number format, shape in torch's order, bytes."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> Path:
    header: dict[str, Any] = {"__metadata__": dict(texts)} if texts else {}
    offset = 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
    encoded = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(raw for _, _, raw in tensors.values())
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)
    return path


def read_tensors(path: Path) -> tuple[dict[str, tuple[str, NDArray[np.float64]]], dict[str, str]]:
    """Number format and values of each tensor of floats, and the text entries."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    texts = header.pop("__metadata__", {})
    found, end = {}, 0
    for name, entry in header.items():
        begin, last = entry["data_offsets"]
        assert begin == end, "tensors lie one after the other"
        end, raw = last, content[8 + length + begin : 8 + length + last]
        values = {"F32": _f32, "F16": _f16, "BF16": _bf16, "I64": _i64}.get(entry["dtype"], list)(raw)
        found[name] = entry["dtype"], np.array(values, np.float64).reshape(entry["shape"])
    assert 8 + length + end == len(content)
    return found, texts


def _f32(raw: bytes) -> Iterable[float]:
    return struct.unpack(f"<{len(raw) // 4}f", raw)


def _f16(raw: bytes) -> Iterable[float]:
    return struct.unpack(f"<{len(raw) // 2}e", raw)


def _i64(raw: bytes) -> Iterable[float]:
    return struct.unpack(f"<{len(raw) // 8}q", raw)


def _bf16(raw: bytes) -> Iterable[float]:
    return [struct.unpack("<f", b"\0\0" + raw[at : at + 2])[0] for at in range(0, len(raw), 2)]


def f32(values: Any, shape: Sequence[int] | None = None) -> Tensor:
    array = np.asarray(values, "<f4")
    return "F32", array.shape if shape is None else shape, array.tobytes()


def f16(values: Any) -> Tensor:
    array = np.asarray(values, "<f2")
    return "F16", array.shape, array.tobytes()


def bf16(values: Any) -> Tensor:
    """Values whose lower half as F32 is 0."""
    array = np.asarray(values, "<f4")
    return "BF16", array.shape, b"".join(struct.pack("<f", value)[2:] for value in array.reshape(-1))


def codes(dtype: str, shape: Sequence[int], seed: int = 1, *, below: int = 256, skip: Sequence[int] = ()) -> Tensor:
    """Random codes that mean finite numbers."""
    generator = np.random.default_rng(seed)
    allowed = np.array([code for code in range(below) if code not in {*_NOT_FINITE.get(dtype, ()), *skip}], np.uint8)
    return dtype, shape, generator.choice(allowed, math.prod(shape)).astype(np.uint8).tobytes()


_NOT_FINITE = {"F8_E4M3": (0x7F, 0xFF), "F8_E5M2": (*range(0x7C, 0x80), *range(0xFC, 0x100)), "F8_E8M0": (255,)}


def text(content: Any) -> Tensor:
    """A JSON text as the bytes of a tensor."""
    raw = json.dumps(content).encode()
    return "U8", (len(raw),), raw


# --- what a code means ------------------------------------------------------------------------------------------------


def e4m3(code: int) -> float:
    """Sign, four bits of exponent (bias 7), three of fraction; no infinity (OCP 8-bit floating point, E4M3)."""
    exponent, fraction = code >> 3 & 15, code & 7
    magnitude = fraction / 8 * 2.0**-6 if exponent == 0 else (1 + fraction / 8) * 2.0 ** (exponent - 7)
    return -magnitude if code & 128 else magnitude


def e5m2(code: int) -> float:
    """The upper half of an f16."""
    return float(struct.unpack("<e", bytes([0, code]))[0])


def e8m0(code: int) -> float:
    return 2.0 ** (code - 127)


def e2m1(code: int) -> float:
    return (0, 0.5, 1, 1.5, 2, 3, 4, 6)[code & 7] * (-1 if code & 8 else 1)


def int8(code: int) -> float:
    return code - 256 if code > 127 else code


MEANING = {"F8_E4M3": e4m3, "F8_E5M2": e5m2, "F8_E8M0": e8m0, "I8": int8}


def meant(tensor: Tensor) -> NDArray[np.float64]:
    dtype, shape, raw = tensor
    return np.array([MEANING[dtype](code) for code in raw], np.float64).reshape(shape)


def nibbles(tensor: Tensor, *, high_first: bool) -> list[int]:
    found: list[int] = []
    for byte in tensor[2]:
        found += (byte >> 4, byte & 15) if high_first else (byte & 15, byte >> 4)
    return found


def tiled(scales: Tensor) -> Tensor:
    """A matrix of one-byte scales as a card's kernels want it: padded to 128 x 4, in tiles, each of which is stored as
    32 rows of 16 bytes; row r of a tile begins at byte 4 * (r // 32) of row r % 32."""
    dtype, (rows, columns), raw = scales
    high, wide = -(-rows // 128) * 128, -(-columns // 4) * 4
    result = bytearray(high * wide)
    for row in range(rows):
        for column in range(columns):
            tile = row // 128 * (wide // 4) + column // 4
            inside = row % 128
            result[tile * 512 + inside % 32 * 16 + inside // 32 * 4 + column % 4] = raw[row * columns + column]
    return dtype, (high, wide), bytes(result)
