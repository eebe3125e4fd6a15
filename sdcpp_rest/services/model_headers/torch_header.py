"""Reads what a torch file holds without running any of it: its zip archive's directory, and the opcodes of its pickle.

Follows the library's own reader, which knows plain dictionaries of tensors and nothing else. No class is imported, no
function called. Knows no model families and no folders.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from sdcpp_rest.services.model_headers.model_header import MAX_HEADER_BYTES, MAX_TENSORS, NOT_WHOLE, Header, NotAModel

MAX_OPERATIONS = 3_000_000
"""Of one pickle; a large checkpoint has some ten thousand."""

_MAX_DIMENSIONS = 5
_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_HEADER_BYTES = 8
_TYPES = {
    "FloatStorage": ("f32", 4),
    "DoubleStorage": ("f64", 8),
    "HalfStorage": ("f16", 2),
    "BFloat16Storage": ("bf16", 2),
    "IntStorage": ("i32", 4),
    "LongStorage": ("i64", 8),
}
_REBUILDERS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
_MARK = object()


class _Global(NamedTuple):
    name: str


class _Storage(NamedTuple):
    type: str
    width: int
    key: str
    elements: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]


class _Fault(Exception):
    """What is wrong, as the end of a sentence that begins with the file's name."""


def read_torch(path: str, shown: str, file: IO[bytes], size: int, is_zip: bool) -> Header:
    """The tensors that the library will find in ``file``. Raises NotAModel."""
    try:
        tensors = _read_zip(file, size) if is_zip else _read_legacy(file, size)
    except _Fault as fault:
        raise NotAModel(f"{shown} {fault}", path=path) from None
    if not tensors:
        raise NotAModel(f"{shown} holds no tensors in a form that can be read", path=path)
    shapes = {name: tuple(reversed(tensor.shape)) or (1,) for name, tensor in tensors.items() if 0 not in tensor.shape}
    return Header(
        "torch",
        shapes,
        {name: tensors[name].storage.type for name in shapes},
        sum(math.prod(shape) for shape in shapes.values()),
        {},
    )


# --- zip archives -----------------------------------------------------------------------------------------------------


def _read_zip(file: IO[bytes], size: int) -> dict[str, _Tensor]:
    _check_directory_size(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            name = next((name for name in entries if name.endswith("data.pkl")), None)
            if name is None:
                raise _Fault("is a zip archive without weights (data.pkl): no model file")
            if entries[name].file_size > MAX_HEADER_BYTES or entries[name].compress_size > MAX_HEADER_BYTES:
                raise _Fault(f"has a header of more than {MAX_HEADER_BYTES >> 20} MB")
            with archive.open(entries[name]) as opened:
                raw = opened.read(MAX_HEADER_BYTES + 1)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
        raise _Fault("is truncated or damaged: its zip archive cannot be read") from error
    except RuntimeError as error:
        raise _Fault("is an encrypted zip archive") from error
    if len(raw) > MAX_HEADER_BYTES:
        raise _Fault(f"has a header of more than {MAX_HEADER_BYTES >> 20} MB")
    tensors = _tensors_of(_Walk(raw).run())
    folder = name[: -len("data.pkl")]
    for tensor_name, tensor in tensors.items():
        entry = entries.get(f"{folder}data/{tensor.storage.key}")
        if entry is None or entry.header_offset + entry.compress_size > size:
            raise _Fault(f"is not whole: the weights of the tensor {tensor_name[:80]!r} are missing")
        _check_end(tensor_name, tensor, entry.file_size)
    return tensors


def _check_directory_size(file: IO[bytes], size: int) -> None:
    """Python's reader takes in the whole directory, however long it claims to be."""
    tail_bytes = min(size, 65_557)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < 22:
        raise _Fault("is truncated: its zip archive has no end")
    (length,) = struct.unpack_from("<I", tail, at + 12)
    if length == 0xFFFFFFFF:
        wide = tail.rfind(b"PK\6\6", 0, at)
        length = struct.unpack_from("<Q", tail, wide + 40)[0] if wide >= 0 and len(tail) - wide >= 48 else 0
    if length > MAX_HEADER_BYTES:
        raise _Fault(f"has a directory of more than {MAX_HEADER_BYTES >> 20} MB")
    file.seek(0)


# --- files from before torch 1.6 --------------------------------------------------------------------------------------


def _read_legacy(file: IO[bytes], size: int) -> dict[str, _Tensor]:
    file.seek(0)
    stream = io.BytesIO(file.read(min(size, MAX_HEADER_BYTES)))
    found = _Walk(stream).run()
    if found == _MAGIC:
        _Walk(stream).run()  # the version of the form
        _Walk(stream).run()  # the machine that wrote it
        found = _Walk(stream).run()
    tensors = _tensors_of(found)
    if not tensors:
        return {}
    _Walk(stream).run()  # the names of the storages, which follow
    for name, tensor in tensors.items():
        _check_end(name, tensor, tensor.storage.elements * tensor.storage.width)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    needed = sum(one.elements * one.width + _STORAGE_HEADER_BYTES for one in storages.values())
    if stream.tell() + needed > size:
        raise _Fault(
            f"is truncated: it has {size} bytes, its weights end at byte {stream.tell() + needed}; {NOT_WHOLE}"
        )
    return tensors


# --- pickles ----------------------------------------------------------------------------------------------------------


def _check_end(name: str, tensor: _Tensor, available: int) -> None:
    if (tensor.offset + math.prod(tensor.shape)) * tensor.storage.width > available:
        raise _Fault(f"is damaged: the tensor {name[:80]!r} ends beyond its weights")


def _tensors_of(value: Any) -> dict[str, _Tensor]:
    """The tensors in a dictionary and in the dictionaries inside it, by their own key alone, as the library has it."""
    found: dict[str, _Tensor] = {}
    pending, visited = [value], set[int]()
    while pending:
        one = pending.pop()
        if not isinstance(one, dict) or id(one) in visited:
            continue
        visited.add(id(one))
        for key, item in one.items():
            if isinstance(key, str) and isinstance(item, _Tensor):
                found[key] = item
            elif isinstance(item, dict):
                pending.append(item)
        if len(found) > MAX_TENSORS:
            raise _Fault(f"is damaged: it holds more than {MAX_TENSORS} tensors")
    return found


class _Walk:
    """Walks once over the opcodes of a pickle, with a stack of plain values: what would call or import something leaves
    ``None`` there instead."""

    def __init__(self, source: bytes | IO[bytes]) -> None:
        self._source = source
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the pickle describes. Raises _Fault."""
        try:
            for count, (opcode, argument, _) in enumerate(self._operations()):
                if count > MAX_OPERATIONS:
                    raise _Fault(f"is damaged: its header has more than {MAX_OPERATIONS} operations")
                if opcode == "STOP":
                    return self._stack.pop()
                self._do(opcode, argument)
        except (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise _Fault("is truncated or damaged: its header is no whole pickle") from error
        raise _Fault("is truncated: the file ends inside its header")

    def _operations(self) -> Iterator[tuple[str, Any, int | None]]:
        # Here, because it is a megabyte that few folders of models need.
        import pickletools

        for opcode, argument, position in pickletools.genops(self._source):
            yield opcode.name, argument, position

    def _do(self, opcode: str, argument: Any) -> None:
        stack = self._stack
        if opcode in _PUSHED:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode]())
        elif opcode in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[int(argument)])
        elif opcode in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[int(argument)] = stack[-1]
        elif opcode == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif opcode == "GLOBAL":
            stack.append(_Global(str(argument)))
        elif opcode in _STEPS:
            _STEPS[opcode](self)
        elif opcode not in ("PROTO", "FRAME"):
            raise _Fault("holds whole Python objects, which are not looked into; save its weights alone (a state_dict)")

    def take(self, count: int) -> list[Any]:
        """The last ``count`` values, taken off the stack."""
        if count > len(self._stack):
            raise IndexError
        taken = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return taken

    def take_to_mark(self) -> list[Any]:
        """What lies above the last mark, taken off with it."""
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError
        taken = self._stack[at + 1 :]
        del self._stack[at:]
        return taken

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def fill(self, items: list[Any]) -> None:
        """Put keys and values that follow each other into the dictionary on top."""
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, (str, int)):
                target[key] = value

    def extend(self, items: list[Any]) -> None:
        """Put ``items`` into the list on top."""
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError
        target.extend(items)

    def make_global(self) -> None:
        module, name = self.take(2)
        self.push(_Global(f"{module} {name}"))

    def make_storage(self) -> None:
        """What a persistent id stands for: ``("storage", type, key, place, count)``."""
        (description,) = self.take(1)
        word, kind, key, _, count = description[:5]
        if word != "storage" or not isinstance(kind, _Global) or not isinstance(count, int) or count < 0:
            raise TypeError
        known = _TYPES.get(kind.name.removeprefix("torch "))
        if known is None:
            raise _Fault(f"stores tensors as {kind.name[:60]}, which cannot be read; it can be {', '.join(_TYPES)}")
        self.push(_Storage(*known, str(key), count))

    def call(self) -> None:
        """A tensor or a dictionary, where these would be made; else nothing."""
        function, given = self.take(2)
        name = function.name if isinstance(function, _Global) else ""
        if name == "collections OrderedDict" and given == ():
            self.push({})
        elif name in _REBUILDERS and isinstance(given[0], _Storage):
            self.push(_tensor(*given[:4]))
        else:
            self.push(None)

    def discard(self) -> None:
        self.take(1)

    def repeat(self) -> None:
        self.push(self._stack[-1])


def _tensor(storage: _Storage, offset: Any, shape: Any, strides: Any) -> _Tensor:
    sizes = (offset, *shape, *strides)
    if not all(isinstance(size, int) and 0 <= size < 1 << 62 for size in sizes) or len(shape) > _MAX_DIMENSIONS:
        raise _Fault("is damaged: a tensor has a shape that cannot be")
    expected = 1
    for side, stride in zip(reversed(shape), reversed(strides), strict=False):
        if stride != expected and math.prod(shape) > 0:
            raise _Fault("holds tensors that are views of others (not contiguous), which cannot be read")
        expected *= side
    return _Tensor(storage, offset, tuple(shape))


_PUSHED = frozenset(
    {
        "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
        "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
        "BINBYTES8", "BYTEARRAY8",
    }
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "MARK": lambda: _MARK,
}
_STEPS: dict[str, Callable[[_Walk], Any]] = {
    "TUPLE": lambda walk: walk.push(tuple(walk.take_to_mark())),
    "TUPLE1": lambda walk: walk.push(tuple(walk.take(1))),
    "TUPLE2": lambda walk: walk.push(tuple(walk.take(2))),
    "TUPLE3": lambda walk: walk.push(tuple(walk.take(3))),
    "LIST": lambda walk: walk.push(walk.take_to_mark()),
    "FROZENSET": lambda walk: walk.push(walk.take_to_mark()),
    "SETITEM": lambda walk: walk.fill(walk.take(2)),
    "SETITEMS": lambda walk: walk.fill(walk.take_to_mark()),
    "APPEND": lambda walk: walk.extend(walk.take(1)),
    "APPENDS": lambda walk: walk.extend(walk.take_to_mark()),
    "ADDITEMS": lambda walk: walk.extend(walk.take_to_mark()),
    "STACK_GLOBAL": lambda walk: walk.make_global(),
    "BINPERSID": lambda walk: walk.make_storage(),
    "REDUCE": lambda walk: walk.call(),
    "BUILD": lambda walk: walk.discard(),
    "POP": lambda walk: walk.discard(),
    "POP_MARK": lambda walk: walk.take_to_mark(),
    "DUP": lambda walk: walk.repeat(),
}
