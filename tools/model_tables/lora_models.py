"""The models that LoRA forms are tried on, and models with a LoRA's change merged into them by numpy: what the library
should draw like when it applies the LoRA.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import gguf
import numpy as np

from tools.model_tables.lora_changes import Array
from tools.model_tables.lora_forms import LoraForm, flux_forms, unet_forms
from tools.synthetic_models.families import FAMILIES, path_below, write_file

WeightType = Literal["f16", "q8_0", "q4_0"]
FORMS: dict[str, list[LoraForm]] = {"flux_schnell": flux_forms(), "sdxs": unet_forms()}
"""By the model that they are for, a name in FAMILIES."""
WEIGHT_TYPES: dict[str, tuple[WeightType, ...]] = {"flux_schnell": ("f16", "q8_0", "q4_0"), "sdxs": ("f16", "q4_0")}
"""In which types each model is tried. The library has one code for all quantized types; the UNet is half a gigabyte."""


class ModelFiles(NamedTuple):
    """Paths by role; the model's own role is ``model``."""

    paths: Mapping[str, Path]

    def replacing(self, old: Path, new: Path) -> ModelFiles:
        return ModelFiles({role: new if path == old else path for role, path in self.paths.items()})


def write_base(folder: Path, model: str, weight_type: WeightType, *, header_only: bool = False) -> ModelFiles:
    """Write the files of ``model``, all of ``weight_type``."""
    family = FAMILIES[model]
    below = folder / weight_type
    files = {"model": family.model, **family.components}
    for file in files.values():
        if not path_below(below, file).exists():
            write_file(below, file, storage=weight_type, fill="zero" if header_only else "random")
    return ModelFiles({role: path_below(below, file) for role, file in files.items()})


@contextmanager
def merge_change(files: ModelFiles, change: Mapping[str, Array], folder: Path) -> Iterator[ModelFiles]:
    """The same files with ``change`` added to the weights it names. Floats are changed where they lie, and changed
    back; a file of quantized weights is written anew into ``folder``, with those it changes as 32-bit floats.
    """
    with ExitStack() as stack:
        for path in files.paths.values():
            if path.suffix == ".gguf":
                tensors = gguf.GGUFReader(path).tensors
                own = [tensor for tensor in tensors if tensor.name in change]
                if any(tensor.tensor_type not in _FLOATS for tensor in own):
                    written = folder / f"merged_{path.name}"
                    stack.callback(written.unlink)
                    _write_merged(written, tensors, change)
                    files = files.replacing(path, written)
                else:
                    for tensor in own:
                        _add_in_place(path, tensor, change[tensor.name], stack)
        yield files


_FLOATS = {gguf.GGMLQuantizationType.F16: np.float16, gguf.GGMLQuantizationType.F32: np.float32}


def _add_in_place(path: Path, tensor: gguf.ReaderTensor, change: Array, stack: ExitStack) -> None:
    before = tensor.data.tobytes()
    weight = np.frombuffer(before, _FLOATS[tensor.tensor_type]).astype(np.float32).reshape(change.shape) + change
    stack.callback(_put, path, tensor.data_offset, before)
    _put(path, tensor.data_offset, weight.astype(_FLOATS[tensor.tensor_type]).tobytes())


def _put(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _write_merged(out: Path, tensors: list[gguf.ReaderTensor], change: Mapping[str, Array]) -> None:
    writer = gguf.GGUFWriter(out, "sd")
    for tensor in tensors:
        if tensor.name not in change:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        changed = weight.reshape(change[tensor.name].shape) + change[tensor.name]
        is_convolution = changed.ndim == 4
        writer.add_tensor(tensor.name, changed.astype(np.float16) if is_convolution else changed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_lora(path: Path, tensors: Mapping[str, Array]) -> Path:
    """A safetensors file of 32-bit floats."""
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in tensors.values()))
    return path


def file_name(title: str) -> str:
    """What the file of the form called ``title`` is called."""
    return "".join(letter if letter.isalnum() else "_" for letter in title) + ".safetensors"
