"""Reads the header of a GGUF file with bounded reads, and refuses what the library's own reader would die of.

Knows no model families and no folders.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import IO, NoReturn

from sdcpp_rest.core import quantization
from sdcpp_rest.core.trained_words import words_of
from sdcpp_rest.services.model_headers.model_header import (
    KEPT_TEXT,
    MAX_HEADER_BYTES,
    MAX_KEYS,
    MAX_TENSORS,
    NOT_WHOLE,
    Header,
    Metadata,
    NotAModel,
)

_FIXED_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_FIXED_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY, _UINT32 = 8, 9, 4
_FIRST_READ = 1 << 20
_ANY_LENGTH = 1 << 64

_u32 = struct.Struct("<I").unpack_from
_u64 = struct.Struct("<Q").unpack_from


def split_count(metadata: Mapping[str, object]) -> int:
    """The number of files that the model was split into, by the ``metadata`` of one of them; 0 where it is silent."""
    count = metadata.get("split.count", 0)
    return count if isinstance(count, int) else 0


class _NeedMore(Exception):
    """The header goes on beyond what has been read so far."""


class GgufReader:
    """Reads a GGUF header in one pass. The library's own reader aborts or divides by zero on much of what is refused
    here."""

    def __init__(self, path: str, shown: str, file: IO[bytes], size: int) -> None:
        self._path = path
        self._shown = shown
        self._file = file
        self._size = size
        self._buffer = b""
        self._position = 0

    def read(self) -> Header:
        """The header. Raises NotAModel."""
        wanted = _FIRST_READ
        while True:
            self._file.seek(0)
            self._buffer = self._file.read(min(wanted, self._size))
            self._position = 0
            try:
                return self._parse()
            except _NeedMore:
                if len(self._buffer) >= self._size or len(self._buffer) < min(wanted, self._size):
                    self._refuse(f"is truncated: the file ends inside its header; {NOT_WHOLE}")
                if wanted >= MAX_HEADER_BYTES:
                    self._refuse(f"has a header of more than {MAX_HEADER_BYTES >> 20} MB")
                wanted = min(wanted * 8, MAX_HEADER_BYTES)

    def _refuse(self, why: str) -> NoReturn:
        raise NotAModel(f"{self._shown} {why}", path=self._path)

    def _advance(self, count: int) -> int:
        """Move ``count`` bytes on; the position before the move."""
        before = self._position
        after = before + count
        if after > self._size:
            self._refuse("is truncated or damaged: its header points beyond the end of the file")
        if after > len(self._buffer):
            raise _NeedMore
        self._position = after
        return before

    def _number32(self) -> int:
        return int(_u32(self._buffer, self._advance(4))[0])

    def _number64(self) -> int:
        return int(_u64(self._buffer, self._advance(8))[0])

    def _text(self, longest: int, what: str) -> bytes:
        length = self._number64()
        if length > longest:
            self._refuse(f"is damaged: {what} is {length} bytes long")
        start = self._advance(length)
        return self._buffer[start : self._position]

    def _parse(self) -> Header:
        self._advance(4)
        version = self._number32()
        if version not in (2, 3):
            swapped = version & 0xFFFF == 0 and version != 0
            why = "is a GGUF file for machines of the other byte order" if swapped else f"is GGUF version {version}"
            self._refuse(f"{why}; versions 2 and 3 can be read")
        tensor_count = self._number64()
        key_count = self._number64()
        if tensor_count > min(MAX_TENSORS, self._size // 24) or key_count > min(MAX_KEYS, self._size // 13):
            self._refuse(f"is damaged: its header claims {tensor_count} tensors and {key_count} entries")
        metadata: Metadata = {}
        alignment = 32
        for _ in range(key_count):
            key = self._text(65_535, "the name of an entry").decode("utf-8", "replace")
            if not key:
                self._refuse("is damaged: an entry of its header has no name")
            kind = self._number32()
            value = self._value(key, kind)
            if key == "general.alignment":
                if kind != _UINT32 or not isinstance(value, int) or value <= 0 or value & (value - 1):
                    self._refuse("is damaged: its alignment is not a power of two")
                alignment = value
            if value is not None:
                metadata[key] = value
        if tensor_count == 0 and split_count(metadata) < 2:
            # The first part of a split model may hold the metadata alone.
            self._refuse("holds no tensors")
        return self._tensors(tensor_count, alignment, metadata)

    def _value(self, key: str, kind: int) -> str | int | float | bool | None:
        if kind == _TEXT:
            text = self._text(_ANY_LENGTH, "a text")
            return text.decode("utf-8", "replace") if len(text) <= KEPT_TEXT else None
        if kind == _ARRAY:
            self._skip_array(key)
            return None
        if kind not in _FIXED_FORMATS:
            self._refuse(f"is damaged: the entry {key[:80]!r} has the unknown type {kind}")
        layout = _FIXED_FORMATS[kind]
        (value,) = struct.unpack_from(layout, self._buffer, self._advance(_FIXED_SIZES[kind]))
        plain: int | float | bool = value
        return plain

    def _skip_array(self, key: str) -> None:
        kind = self._number32()
        count = self._number64()
        if kind in _FIXED_SIZES:
            self._advance(count * _FIXED_SIZES[kind])
            return
        if kind != _TEXT or count > self._size // 8:
            self._refuse(f"is damaged: the entry {key[:80]!r} is a list of {count} values of type {kind}")
        buffer, position, read = self._buffer, self._position, _u64
        try:
            for _ in range(count):
                position += 8 + read(buffer, position)[0]
        except (struct.error, OverflowError):
            position = max(position, len(buffer) + 1)
        self._advance(position - self._position)

    def _tensors(self, count: int, alignment: int, metadata: Metadata) -> Header:
        tensors: dict[str, tuple[int, ...]] = {}
        types: dict[str, str] = {}
        parameters = 0
        ends: list[tuple[int, str]] = []
        for _ in range(count):
            name = self._text(1_024, "the name of a tensor").decode("utf-8", "replace")
            dimensions = self._number32()
            if not name or "\0" in name or dimensions > 5:
                self._refuse(f"is damaged: the tensor {name[:80]!r} has {dimensions} dimensions")
            start = self._advance(8 * dimensions)
            shape = struct.unpack_from(f"<{dimensions}Q", self._buffer, start) or (1,)
            elements = math.prod(shape)
            # A side of 0 is a division by zero in the library's reader, before it can report anything.
            if elements == 0:
                self._refuse(
                    f"holds an empty tensor ({name[:80]!r} of shape {list(shape)}), which the library cannot read"
                )
            if elements >= 1 << 62:
                self._refuse(f"is damaged: the tensor {name[:80]!r} has the shape {list(shape)}")
            number = self._number32()
            entry = quantization.BY_ID.get(number)
            if entry is None or not entry.readable:
                known = quantization.REMOVED_NAMES.get(number)
                shown = f"type {number} ({known})" if known else f"type {number}"
                self._refuse(
                    f"stores the tensor {name[:80]!r} as {shown}, which cannot be read; take a file of another "
                    "quantization"
                )
            size = entry.tensor_bytes(shape)
            if size is None:
                self._refuse(f"is damaged: {shape[0]} is no row length for {entry.name} (tensor {name[:80]!r})")
            offset = self._number64()
            ends.append((offset + size, name))
            if name in tensors:
                self._refuse(f"is damaged: it holds the tensor {name[:80]!r} twice")
            tensors[name] = shape
            types[name] = entry.name
            parameters += elements
        data = -(-self._position // alignment) * alignment
        end, last = max(ends, default=(0, ""))
        if data + end > self._size:
            self._refuse(
                f"is truncated: it has {self._size} bytes, the tensor {last[:80]!r} ends at byte {data + end}; "
                f"{NOT_WHOLE}"
            )
        declared = metadata.get("general.architecture")
        return Header("gguf", tensors, types, parameters, metadata, str(declared or "").lower(), words_of(metadata))
