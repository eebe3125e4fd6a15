"""How weights are stored: the types a file can hold, and which of them a tensor gets.

The library keeps convolutions as 16-bit and norms and biases as 32-bit floats whatever the file says, and unpacks
embeddings that are stored in a type it cannot look up rows of. Storing them otherwise would only cost memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tools.synthetic_models.tensors import Tensor, element_count

Format = Literal["gguf", "safetensors"]
FORMATS: tuple[Format, ...] = ("gguf", "safetensors")


@dataclass(frozen=True)
class Storage:
    """One storage type: ``block`` elements take ``block_bytes``. ``safetensors`` is empty where that format has none.

    ``scales``: byte offsets of a block's 16-bit scales. All other bytes of such a block may be anything, so random
    bytes are random weights; ``unit`` is their standard deviation where the scale is 1.
    """

    name: str
    ggml_id: int
    block: int
    block_bytes: int
    safetensors: str = ""
    scales: tuple[int, ...] = ()
    unit: float = 1.0


STORAGES: dict[str, Storage] = {
    entry.name: entry
    for entry in (
        Storage("f32", 0, 1, 4, "F32"),
        Storage("f16", 1, 1, 2, "F16"),
        Storage("bf16", 30, 1, 2, "BF16"),
        Storage("q8_0", 8, 32, 34, scales=(0,), unit=74.0),
        Storage("q4_0", 2, 32, 18, scales=(0,), unit=4.6),
        Storage("q6_K", 14, 256, 210, scales=(208,), unit=1400.0),
        Storage("q5_K", 13, 256, 176, scales=(0, 2), unit=300.0),
        Storage("q4_K", 12, 256, 144, scales=(0, 2), unit=150.0),
        Storage("q3_K", 11, 256, 110, scales=(108,), unit=40.0),
        Storage("q2_K", 10, 256, 84, scales=(80, 82), unit=12.0),
        Storage("tq1_0", 34, 256, 54, scales=(52,), unit=0.8),
    )
}

_ROW_STORAGES = ("f32", "f16", "q8_0", "q4_0")


def storage_of(tensor: Tensor, wanted: str, file_format: Format) -> Storage:
    """The type in which ``tensor`` is stored where weights are wanted in ``wanted``: the nearest that fits it."""
    if tensor.role in ("norm", "bias", "parameter"):
        return STORAGES["f32"]
    if tensor.role == "convolution":
        wanted = wanted if wanted in ("f32", "f16") else "f16"
    elif tensor.role == "embedding" and wanted not in _ROW_STORAGES:
        wanted = "q4_0"
    if file_format == "safetensors":
        return STORAGES[wanted] if STORAGES[wanted].safetensors else STORAGES["f16"]
    choices = (STORAGES[name] for name in (wanted, "q4_0", "f16"))
    return next(entry for entry in choices if tensor.shape[0] % entry.block == 0)


def stored_bytes(tensor: Tensor, storage: Storage) -> int:
    return element_count(tensor.shape) // storage.block * storage.block_bytes
