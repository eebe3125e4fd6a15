"""Turns the bytes of small number formats into floats, and floats into the bytes of f16, bf16 and f32.

Numbers alone: it must not know tensors' names, files or scales. It imports numpy, so only what restores weights imports
it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

F16_MAX = 65504.0


def _small_floats(exponent_bits: int, mantissa_bits: int, *, has_infinity: bool) -> Floats:
    """The values of all codes of a float with a sign, ``exponent_bits`` and ``mantissa_bits``, by code. Without an
    infinity only the code whose bits are all set is not a number."""
    codes = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    bias = (1 << (exponent_bits - 1)) - 1
    exponents = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fractions = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    values = np.where(
        exponents == 0, fractions * 2.0 ** (1 - bias), (1 + fractions) * 2.0 ** (exponents.astype(np.float64) - bias)
    )
    if has_infinity:
        top = exponents == (1 << exponent_bits) - 1
        values[top] = np.where(fractions[top] == 0, np.inf, np.nan)
    elif exponent_bits + mantissa_bits == 7:
        values[(codes & 0x7F) == 0x7F] = np.nan
    signs = np.where(codes >> (exponent_bits + mantissa_bits), -1.0, 1.0)
    return (signs * values).astype(np.float32)


E4M3 = _small_floats(4, 3, has_infinity=False)
E5M2 = _small_floats(5, 2, has_infinity=True)
E2M1 = _small_floats(2, 1, has_infinity=False)
"""The sixteen values of a 4-bit float: 0 to 6, then the same below zero."""

E8M0 = np.concatenate([2.0 ** np.arange(-127.0, 128.0), [np.nan]]).astype(np.float32)
"""Powers of two alone: a scale."""

_BY_CODE = {"F8_E4M3": E4M3, "F8_E5M2": E5M2, "F8_E8M0": E8M0}
_DIRECT = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I8": np.int8}
READABLE = frozenset({*_BY_CODE, *_DIRECT, "BF16"})
"""Names of the formats, as safetensors calls them, that `decode` reads."""

LARGEST = {"F8_E4M3": 448.0, "F8_E5M2": 57344.0, "I8": 128.0}
"""The largest finite magnitude of formats whose values are bounded closely."""


def decode(raw: bytes, dtype: str) -> Floats:
    """The numbers of ``raw``, stored as ``dtype`` (a name of READABLE), in a row."""
    if dtype in _BY_CODE:
        return _BY_CODE[dtype][np.frombuffer(raw, np.uint8)]
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return np.frombuffer(raw, np.dtype(_DIRECT[dtype]).newbyteorder("<")).astype(np.float32)


def unpack_nibbles(raw: bytes, *, high_first: bool) -> Bytes:
    """The 4-bit codes of ``raw``, two of each byte: the upper half first, or the lower one."""
    packed = np.frombuffer(raw, np.uint8)
    codes = np.empty(2 * packed.size, np.uint8)
    codes[0::2], codes[1::2] = (packed >> 4, packed & 15) if high_first else (packed & 15, packed >> 4)
    return codes


def encode(values: Floats, dtype: str) -> bytes:
    """``values`` as F32, F16 or BF16, rounded to the nearest, ties to even. Beyond F16's range it is infinity."""
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype("<f2").tobytes()
    bits = values.astype(np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype("<u2").tobytes()
