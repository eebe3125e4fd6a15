"""Writes tiny torch files, opcode by opcode: zip archives of today, and the form from before torch 1.6."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence

Shapes = Mapping[str, Sequence[int]]
STORAGE_BYTES = {"FloatStorage": 4, "HalfStorage": 2, "LongStorage": 8, "ByteStorage": 1}


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def tensor(
    key: str, shape: Sequence[int], storage: str = "FloatStorage", strides: Sequence[int] | None = None
) -> bytes:
    """The opcodes that push a tensor; ``shape`` in torch order."""
    count, own = 1, [1]
    for side in reversed(shape):
        count *= side
        own.append(own[-1] * side)
    place = b"(" + text("storage") + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"
    dictionary = b"ccollections\nOrderedDict\n)R"
    arguments = (
        place + number(0) + numbers(shape) + numbers(strides or own[-2::-1][: len(shape)]) + b"\x89" + dictionary
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def dictionary(tensors: Shapes, storage: str = "FloatStorage") -> bytes:
    """The opcodes that push a dictionary of tensors, whose storages are called by their number."""
    items = b"".join(text(name) + tensor(str(at), shape, storage) for at, (name, shape) in enumerate(tensors.items()))
    return b"}(" + items + b"u"


def pickle(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def storages(tensors: Shapes, storage: str = "FloatStorage") -> dict[str, bytes]:
    found = {}
    for at, shape in enumerate(tensors.values()):
        count = 1
        for side in shape:
            count *= side
        found[str(at)] = bytes(count * STORAGE_BYTES[storage])
    return found


def zip_bytes(header: bytes, weights: Mapping[str, bytes]) -> bytes:
    """An archive as torch.save writes it: ``header`` is the pickle, ``weights`` its storages."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        # Without a date of their own: the same bytes each time.
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), header)
        for key, value in weights.items():
            archive.writestr(zipfile.ZipInfo(f"archive/data/{key}"), value)
    return made.getvalue()


def torch_bytes(tensors: Shapes, storage: str = "FloatStorage", wrapper: str = "") -> bytes:
    """A whole file of today's form; ``tensors`` in torch order, inside a dictionary called ``wrapper`` if that is
    given."""
    body = dictionary(tensors, storage)
    if wrapper:
        body = b"}(" + text("epoch") + number(3) + text(wrapper) + body + b"u"
    return zip_bytes(pickle(body), storages(tensors, storage))


def legacy_bytes(tensors: Shapes, storage: str = "FloatStorage") -> bytes:
    """A whole file of the old form."""
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    keys = b"](" + b"".join(text(str(at)) for at in range(len(tensors))) + b"e"
    weights = b"".join(bytes(8) + value for value in storages(tensors, storage).values())
    return magic + pickle(b"M\xe9\x03") + pickle(b"}") + pickle(dictionary(tensors, storage)) + pickle(keys) + weights
