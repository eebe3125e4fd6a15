"""Reads the headers of model files and keeps from the library what would end the process there.

Headers only, with bounded reads and counts checked against the file's size before they are believed. It must not know
where models are kept, and it never unpickles: torch files are recognised and passed on unread.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Literal, NoReturn

from sdcpp_rest.core import architectures, quantization
from sdcpp_rest.core.architectures import Architecture, Contents, Shapes
from sdcpp_rest.errors import InvalidRequest

MAX_HEADER_BYTES = 48 << 20
"""Real headers stay below 10 MB (a language model's vocabulary); a larger one is taken for an attack on our memory."""

MAX_TENSORS = 50_000
MAX_KEYS = 10_000
MAX_BLOCK_INDEX = 999

Format = Literal["gguf", "safetensors", "torch"]


class NotAModel(InvalidRequest):
    """The file is no model, or not a whole one; the message says what it is instead."""

    code = "not_a_model"


@dataclass(frozen=True)
class Inspection:
    """What a model file's header says.

    ``tensors`` maps names to shapes in ggml order; ``types`` counts tensors by number format; ``metadata`` holds the
    short text and number entries. For torch files everything but ``path``, ``format`` and ``size_bytes`` is empty.
    """

    path: str
    format: Format
    size_bytes: int
    architecture: Architecture | None = None
    contents: Contents = "unknown"
    tensors: Shapes = field(default_factory=dict, repr=False)
    parameter_count: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def tensor_count(self) -> int:
        return len(self.tensors)

    @property
    def is_quantized(self) -> bool:
        by_name = quantization.BY_NAME
        return any(by_name[name].is_quantized for name in self.types if name in by_name)


# --- one file ---------------------------------------------------------------------------------------------------------

_CACHE_SIZE = 64
_cache: OrderedDict[tuple[str, int, int], Inspection] = OrderedDict()
_cache_lock = threading.Lock()


def inspect_file(path: str | os.PathLike[str]) -> Inspection:
    """Inspect the model file at ``path``; repeated calls for an unchanged file are answered from memory.

    Raises NotAModel with a sentence that says what is wrong with the file.
    """
    path = os.fspath(path)
    shown = os.path.basename(path) or path
    try:
        if os.path.isdir(path):
            raise NotAModel(f"{shown} is a folder, not a model file", path=path)
        status = os.stat(path)
    except FileNotFoundError:
        raise NotAModel(f"{shown} does not exist", path=path) from None
    except (OSError, ValueError) as error:
        raise NotAModel(f"{shown} cannot be read: {error}", path=path) from None
    key = (path, status.st_size, status.st_mtime_ns)
    with _cache_lock:
        known = _cache.get(key)
        if known is not None:
            _cache.move_to_end(key)
            return known
    try:
        with open(path, "rb") as file:
            inspected = _inspect(path, shown, file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise NotAModel(f"{shown} cannot be read: {error.strerror or error}", path=path) from None
    with _cache_lock:
        _cache[key] = inspected
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    return inspected


def _inspect(path: str, shown: str, file: IO[bytes], size: int) -> Inspection:
    if size == 0:
        raise NotAModel(f"{shown} is empty", path=path)
    start = file.read(512)
    if start.startswith(b"GGUF"):
        return _GgufHeader(path, shown, file, size).inspection()
    if _looks_like_torch(start):
        return Inspection(path=path, format="torch", size_bytes=size)
    _refuse_text(path, shown, start)
    if size > 8:
        header_bytes = int.from_bytes(start[:8], "little")
        if 2 <= header_bytes < size and start[8:9] in (b"{", b"[", b" ", b'"'):
            return _read_safetensors(path, shown, file, size, header_bytes)
        if header_bytes >= size and start[8:9] == b"{":
            raise NotAModel(
                f"{shown} is truncated: its header alone should take {header_bytes} bytes, it has {size}", path=path
            )
    raise NotAModel(f"{shown} is not a model file: it is neither GGUF, safetensors nor a torch file", path=path)


def _looks_like_torch(start: bytes) -> bool:
    is_pickle = (
        start[:1] == b"\x80" and len(start) > 2 and 2 <= start[1] <= 5 and start[2:3] in (b"\x8a", b"}", b"c", b"\x95")
    )
    return start.startswith(b"PK\x03\x04") or is_pickle


def _refuse_text(path: str, shown: str, start: bytes) -> None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        raise NotAModel(
            f"{shown} is a git-lfs pointer: the model itself was never downloaded (git lfs pull)", path=path
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        raise NotAModel(f"{shown} is a web page saved under a model's name; download the file itself", path=path)


# --- GGUF -------------------------------------------------------------------------------------------------------------

_FIXED_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_FIXED_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY, _UINT32 = 8, 9, 4
_FIRST_READ = 1 << 20
_KEPT_TEXT = 500
_ANY_LENGTH = 1 << 64

_u32 = struct.Struct("<I").unpack_from
_u64 = struct.Struct("<Q").unpack_from


class _NeedMore(Exception):
    """The header goes on beyond what has been read so far."""


class _GgufHeader:
    """One pass over a GGUF header. The library's own reader aborts or divides by zero on much of what is refused
    here."""

    def __init__(self, path: str, shown: str, file: IO[bytes], size: int) -> None:
        self._path = path
        self._shown = shown
        self._file = file
        self._size = size
        self._buffer = b""
        self._position = 0

    def inspection(self) -> Inspection:
        wanted = _FIRST_READ
        while True:
            self._file.seek(0)
            self._buffer = self._file.read(min(wanted, self._size))
            self._position = 0
            try:
                return self._parse()
            except _NeedMore:
                if len(self._buffer) >= self._size or len(self._buffer) < min(wanted, self._size):
                    self._refuse("is truncated: the file ends inside its header")
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

    def _parse(self) -> Inspection:
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
        if tensor_count == 0:
            self._refuse("holds no tensors")
        metadata: dict[str, str | int | float | bool] = {}
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
        return self._tensors(tensor_count, alignment, metadata)

    def _value(self, key: str, kind: int) -> str | int | float | bool | None:
        if kind == _TEXT:
            text = self._text(_ANY_LENGTH, "a text")
            return text.decode("utf-8", "replace") if len(text) <= _KEPT_TEXT else None
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

    def _tensors(self, count: int, alignment: int, metadata: dict[str, str | int | float | bool]) -> Inspection:
        tensors: dict[str, tuple[int, ...]] = {}
        types: Counter[str] = Counter()
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
            if not 0 < elements < 1 << 62:
                self._refuse(f"is damaged: the tensor {name[:80]!r} has the shape {list(shape)}")
            number = self._number32()
            entry = quantization.BY_ID.get(number)
            if entry is None or not entry.readable:
                self._refuse(f"stores the tensor {name[:80]!r} as type {number}, which cannot be read")
            row = entry.row_bytes(shape[0])
            if row is None:
                self._refuse(f"is damaged: {shape[0]} is no row length for {entry.name} (tensor {name[:80]!r})")
            offset = self._number64()
            ends.append((offset + row * (elements // shape[0]), name))
            if name in tensors:
                self._refuse(f"is damaged: it holds the tensor {name[:80]!r} twice")
            tensors[name] = shape
            types[entry.name] += 1
            parameters += elements
        data = -(-self._position // alignment) * alignment
        end, last = max(ends)
        if data + end > self._size:
            self._refuse(f"is truncated: it has {self._size} bytes, the tensor {last[:80]!r} ends at byte {data + end}")
        declared = metadata.get("general.architecture")
        return _described(
            self._path,
            self._shown,
            "gguf",
            self._size,
            tensors,
            parameters,
            types,
            metadata,
            str(declared or "").lower(),
        )


# --- safetensors ------------------------------------------------------------------------------------------------------

_DTYPES = {
    "F64": (8, "f64"), "F32": (4, "f32"), "F16": (2, "f16"), "BF16": (2, "bf16"), "F8_E4M3": (1, "f8_e4m3"),
    "F8_E5M2": (1, "f8_e5m2"), "I64": (8, "i64"), "I32": (4, "i32"), "U8": (1, "u8"),
}  # fmt: skip


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _read_safetensors(path: str, shown: str, file: IO[bytes], size: int, header_bytes: int) -> Inspection:
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
    tensors: dict[str, tuple[int, ...]] = {}
    types: Counter[str] = Counter()
    parameters = 0
    available = size - 8 - header_bytes
    for name, entry in header.items():
        shape, dtype, end = _safetensors_entry(name, entry, refuse)
        if end > available:
            refuse(f"is truncated: it has {size} bytes, the tensor {name[:80]!r} ends at byte {8 + header_bytes + end}")
        if dtype == "u8":
            continue  # the library skips these too
        tensors[name] = tuple(reversed(shape)) or (1,)
        types[dtype] += 1
        parameters += math.prod(shape)
    if not tensors:
        refuse("holds no tensors")
    metadata = {
        key: value
        for key, value in (described.items() if isinstance(described, dict) else ())
        if isinstance(value, str) and len(value) <= _KEPT_TEXT
    }
    return _described(path, shown, "safetensors", size, tensors, parameters, types, metadata, "")


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
    if end - begin != elements * width or not 0 < elements < 1 << 62:
        refuse(f"{what} of shape {shape} and type {dtype} cannot take {end - begin} bytes")
    return shape, word, end


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(side) is int and 0 <= side < 1 << 63 for side in value)


def _json_word(value: Any) -> str:
    words = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return words.get(type(value), "number")


_BLOCK_INDEX = re.compile(r"\.(\d{4,})(?=\.|$)")


def _described(
    path: str,
    shown: str,
    format: Format,
    size: int,
    tensors: dict[str, tuple[int, ...]],
    parameters: int,
    types: Mapping[str, int],
    metadata: Mapping[str, str | int | float | bool],
    declared: str,
) -> Inspection:
    # The library builds as many layers as the highest number in a name says, whether they are there or not.
    for name in tensors:
        match = _BLOCK_INDEX.search(name)
        if match and int(match.group(1)[:18]) > MAX_BLOCK_INDEX:
            raise NotAModel(
                f"{shown} is damaged: the tensor {name[:80]!r} belongs to a layer beyond {MAX_BLOCK_INDEX}", path=path
            )
    contents = architectures.contents_of(tensors, declared)
    architecture = architectures.detect(tensors) if contents == "picture model" else None
    warnings = []
    if contents == "unknown":
        warnings.append(f"What {shown} holds was not recognised by its tensor names.")
    return Inspection(
        path=path,
        format=format,
        size_bytes=size,
        architecture=architecture,
        contents=contents,
        tensors=tensors,
        parameter_count=parameters,
        types=dict(types),
        metadata=dict(metadata),
        warnings=tuple(warnings),
    )
