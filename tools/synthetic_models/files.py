"""Model files: GGUF and safetensors, written tensor by tensor.

Knows storage and weights, no families. A file appears under its name when it is whole, not before.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from tools.synthetic_models.storage import FORMATS, STORAGES, Format, Storage, storage_of, stored_bytes
from tools.synthetic_models.tensors import Tensor, element_count
from tools.synthetic_models.weights import Tiles, deviation

Fill = Literal["random", "zero", "none"]
"""``random``: weights; ``zero``: a sparse file of the full size that takes no disk; ``none``: the header alone, enough
for whoever only looks at names and shapes."""

_GGUF_ALIGNMENT = 32


class _Placed(NamedTuple):
    tensor: Tensor
    storage: Storage
    offset: int
    bytes: int


def format_of(path: Path) -> Format:
    """By the ending. Raises ValueError for one that names no format."""
    for known in FORMATS:
        if path.suffix == f".{known}":
            return known
    raise ValueError(f"{path.name}: the ending must be .gguf or .safetensors")


def file_bytes(tensors: Sequence[Tensor], storage: str = "q4_0", file_format: Format = "gguf") -> int:
    """The size of the weights; the header comes on top."""
    placed = _place(tensors, storage, file_format)
    return placed[-1].offset + placed[-1].bytes if placed else 0


def write_model(
    path: Path, tensors: Sequence[Tensor], storage: str = "q4_0", *, fill: Fill = "random", seed: int = 1
) -> int:
    """Write ``tensors``, matrices in ``storage`` where their rows allow it; answers the size in bytes.

    The ending of ``path`` decides the format; missing folders are made. Equal arguments give equal bytes.
    """
    file_format = format_of(path)
    placed = _place(tensors, storage, file_format)
    header = _gguf_header(placed) if file_format == "gguf" else _safetensors_header(placed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    tiles = Tiles(seed)
    try:
        with partial.open("wb") as file:
            file.write(header)
            if fill != "none" and placed:
                if fill == "random":
                    for entry in placed:
                        file.seek(len(header) + entry.offset)
                        _write_weights(file, entry, tiles)
                file.truncate(len(header) + placed[-1].offset + placed[-1].bytes)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


def write_face_embedding(path: Path, faces: int = 1, *, seed: int = 1) -> None:
    """What a face recogniser found in ``faces`` pictures, in the plain format that PhotoMaker version 2 is read from:
    three numbers (sides, length of the name, type), the sides, the name, the floats."""
    shape, name, float_type = (512, faces), b"id_embeds", 0
    header = struct.pack("<3i2i", len(shape), len(name), float_type, *shape) + name
    path.write_bytes(header + Tiles(seed).random(STORAGES["f32"], 1.0)[: 4 * element_count(shape)])


def _place(tensors: Sequence[Tensor], storage: str, file_format: Format) -> list[_Placed]:
    alignment = _GGUF_ALIGNMENT if file_format == "gguf" else 1
    placed = []
    offset = 0
    for tensor in tensors:
        chosen = storage_of(tensor, storage, file_format)
        size = stored_bytes(tensor, chosen)
        placed.append(_Placed(tensor, chosen, offset, size))
        offset += -(-size // alignment) * alignment
    return placed


def _write_weights(file: BinaryIO, entry: _Placed, tiles: Tiles) -> None:
    if entry.tensor.role == "bias":
        return  # a hole in the file reads as zeros
    spread = deviation(entry.tensor)
    tile = tiles.random(entry.storage, spread) if spread else tiles.ones()
    whole, rest = divmod(entry.bytes, len(tile))
    for _ in range(whole):
        file.write(tile)
    file.write(tile[:rest])


def _gguf_text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _gguf_header(placed: Sequence[_Placed]) -> bytes:
    version, key_count, text_type = 3, 1, 8
    header = b"GGUF" + struct.pack("<IQQ", version, len(placed), key_count)
    header += _gguf_text("general.architecture") + struct.pack("<I", text_type) + _gguf_text("sd")
    parts = [header]
    for tensor, storage, offset, _ in placed:
        sides = len(tensor.shape)
        parts.append(_gguf_text(tensor.name) + struct.pack(f"<I{sides}Q", sides, *tensor.shape))
        parts.append(struct.pack("<IQ", storage.ggml_id, offset))
    header = b"".join(parts)
    return header + b"\0" * (-len(header) % _GGUF_ALIGNMENT)


def _safetensors_header(placed: Sequence[_Placed]) -> bytes:
    described = {
        tensor.name: {
            "dtype": storage.safetensors,
            "shape": list(reversed(tensor.shape)),
            "data_offsets": [offset, offset + size],
        }
        for tensor, storage, offset, size in placed
    }
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
