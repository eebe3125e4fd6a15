"""Says where each tensor of a safetensors file lies, all number formats included, also those that the library cannot
read.

Knows nothing of what the numbers mean.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I64": 64, "U64": 64,
    "I32": 32, "U32": 32, "I16": 16, "U16": 16, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4,
}  # fmt: skip
_MAX_HEADER_BYTES = 100 << 20
_MAX_DIMENSIONS = 5


class Stored(NamedTuple):
    """One tensor of a file: ``shape`` in torch's order, ``start`` and ``size`` in bytes of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Layout(NamedTuple):
    """A file's tensors by name, in its order, and its text entries (``__metadata__``)."""

    tensors: dict[str, Stored]
    texts: dict[str, str]


def read_layout(path: str) -> Layout:
    """Read the header of the safetensors file at ``path``. Raises ValueError naming the tensor at fault, OSError."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= min(size, _MAX_HEADER_BYTES):
            raise ValueError("its header is damaged")
        header = json.loads(file.read(header_bytes))
    texts = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(texts, dict | None):
        raise ValueError("its header is damaged")
    tensors = {name: _locate(name, entry, 8 + header_bytes, size) for name, entry in header.items()}
    return Layout(tensors, {key: text for key, text in (texts or {}).items() if isinstance(text, str)})


def _locate(name: str, entry: Any, start: int, file_bytes: int) -> Stored:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        is_whole = len(shape) <= _MAX_DIMENSIONS and all(
            type(side) is int and 0 <= side < 1 << 62 for side in (*shape, begin, end)
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the tensor {name[:120]!r} is described wrongly") from None
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise ValueError(f"the tensor {name[:120]!r} is stored as {str(dtype)[:20]}, which is not known")
    if not is_whole or (end - begin) * 8 != math.prod(shape) * _BITS[dtype]:
        raise ValueError(f"the tensor {name[:120]!r} of {dtype} cannot have the shape {list(shape)[:8]}")
    if start + end > file_bytes:
        raise ValueError(f"the tensor {name[:120]!r} is cut off: the file ends before it")
    return Stored(name, dtype, shape, start + begin, end - begin)
