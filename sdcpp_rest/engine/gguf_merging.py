"""Merges the parts of a split GGUF file into one file: their tensors as they are, the metadata of the first.

Copies bytes: no entry is taken apart, and no more than a few megabytes of weights are in memory. Believes the headers
of the parts, which the server has checked; knows no jobs and no model families.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

# Bytes of a value by the number of its type; texts and lists have no size of their own.
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST = 8, 9
_ALIGNMENT = 32
_COPIED_BYTES = 4 << 20

_u32 = struct.Struct("<I").unpack_from
_u64 = struct.Struct("<Q").unpack_from


class _Tensor(NamedTuple):
    """``described``: name, shape and type as the header spells them; ``start`` and ``size``: bytes in its file."""

    described: bytes
    start: int
    size: int


class _Part(NamedTuple):
    """``entries``: the metadata but for ``split.*``, as the header spells it."""

    entries: list[bytes]
    alignment: int
    tensors: list[_Tensor]


def merge_parts(parts: Sequence[str], target: str, on_copied: Callable[[int, int], None]) -> None:
    """Write the tensors of all ``parts``, in order, into the file ``target``, with the metadata of the first part but
    for ``split.*``.

    ``on_copied(done, total)`` hears how many bytes of tensors are written. A failure can leave half a file behind.
    Raises ValueError naming the part whose header cannot be used (nothing was written then), OSError.
    """
    read = [_read_header(part) for part in parts]
    entries, alignment, _ = read[0]
    tensors = [tensor for part in read for tensor in part.tensors]
    total, done = sum(tensor.size for tensor in tensors), 0
    with open(target, "wb") as merged:
        merged.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)))
        merged.writelines(entries)
        offset = 0
        for tensor in tensors:
            merged.write(tensor.described + struct.pack("<Q", offset))
            offset += _align(tensor.size, alignment)
        for path, part in zip(parts, read, strict=True):
            with open(path, "rb") as file:
                for tensor in part.tensors:
                    _pad(merged, alignment)
                    file.seek(tensor.start)
                    left = tensor.size
                    while left:
                        content = file.read(min(left, _COPIED_BYTES))
                        if not content:
                            raise OSError(f"{Path(path).name} has become shorter")
                        merged.write(content)
                        left -= len(content)
                        done += len(content)
                        on_copied(done, total)
        _pad(merged, alignment)


def _read_header(path: str) -> _Part:
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _parse_header(content)
    except (ValueError, KeyError, ArithmeticError, struct.error) as error:
        raise ValueError(f"{Path(path).name} cannot be merged: its header is damaged ({error})") from error


def _parse_header(content: mmap.mmap) -> _Part:
    # Names and sizes of number formats bring numpy along, a third of a second: only engines that merge pay for it.
    from sdcpp_rest.core import quantization

    tensor_count, entry_count = struct.unpack_from("<QQ", content, 8)
    position, entries, alignment = 24, list[bytes](), _ALIGNMENT
    for _ in range(entry_count):
        start, after_key = position, position + 8 + _u64(content, position)[0]
        key, kind = content[start + 8 : after_key], _u32(content, after_key)[0]
        position = _end_of_value(content, after_key + 4, kind)
        if key == b"general.alignment":
            (alignment,) = _u32(content, after_key + 4)
        if not key.startswith(b"split."):
            entries.append(content[start:position])
    spelled, tensors = list[tuple[bytes, int, int]](), list[_Tensor]()
    for _ in range(tensor_count):
        start, position = position, position + 8 + _u64(content, position)[0]
        (dimensions,) = _u32(content, position)
        shape = struct.unpack_from(f"<{dimensions}Q", content, position + 4)
        position += 4 + 8 * dimensions
        size = quantization.BY_ID[_u32(content, position)[0]].tensor_bytes(shape or (1,))
        if size is None:
            raise ValueError(f"a tensor has the shape {list(shape)}")
        spelled.append((content[start : position + 4], _u64(content, position + 4)[0], size))
        position += 12
    data = _align(position, alignment)
    for described, offset, size in spelled:
        if data + offset + size > len(content):
            raise ValueError("a tensor lies beyond its end")
        tensors.append(_Tensor(described, data + offset, size))
    return _Part(entries, alignment, tensors)


def _end_of_value(content: mmap.mmap, position: int, kind: int) -> int:
    if kind == _LIST:
        kind, count = struct.unpack_from("<IQ", content, position)
        position += 12
        if kind != _TEXT:
            return position + int(count) * _VALUE_BYTES[kind]
        for _ in range(count):
            position += 8 + _u64(content, position)[0]
        return position
    if kind == _TEXT:
        return position + 8 + int(_u64(content, position)[0])
    return position + _VALUE_BYTES[kind]


def _align(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _pad(file: IO[bytes], alignment: int) -> None:
    file.write(bytes(-file.tell() % alignment))
