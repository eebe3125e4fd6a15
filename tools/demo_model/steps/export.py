"""Writes the finished files: what was trained, filled up to the layout's sizes, in the shipped number formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Format
from safetensors.torch import save_file
from torch import Tensor

from tools.demo_model import layout
from tools.demo_model.layout import Shapes
from tools.demo_model.steps import decoder, encoder, lora, text, transformer
from tools.demo_model.workshop import StepFailed, Workshop

LIMIT_BYTES = 20_000_000
"""All bundled files together."""


def run(workshop: Workshop) -> list[Path]:
    """Returns what it wrote: the model, and the LoRA where one was trained."""
    writers = [_write_transformer, _write_text_encoder, _write_autoencoder]
    if _has_lora(workshop):
        writers.append(_write_lora)
    written = [write(workshop) for write in writers]
    for path in written:
        print(f"export: {path}, {path.stat().st_size / 1e6:.2f} MB")
    whole = sum(path.stat().st_size for path in workshop.models.rglob("*") if path.is_file())
    if whole > LIMIT_BYTES:
        raise StepFailed(f"{workshop.models} holds {whole / 1e6:.1f} MB; at most {LIMIT_BYTES / 1e6:.0f} MB may ship")
    return written


def _write_transformer(workshop: Workshop) -> Path:
    network = transformer.load(workshop)
    tensors = _checked(network.file_tensors(), layout.transformer_shapes(network.size))
    return write_gguf(workshop.model_path(layout.TRANSFORMER_FILE), tensors, transformer_format, "ovis")


def _write_text_encoder(workshop: Workshop) -> Path:
    tensors = _checked(text.load(workshop).file_tensors(), layout.text_encoder_shapes())
    return write_gguf(workshop.model_path(layout.TEXT_ENCODER_FILE), tensors, text_encoder_format, "qwen3")


def _write_autoencoder(workshop: Workshop) -> Path:
    """Convolutions in F16, as the library holds them anyway; biases in F32."""
    both = {**encoder.load(workshop).file_tensors(), **decoder.load(workshop).file_tensors()}
    tensors = _checked(both, layout.autoencoder_shapes())
    path = workshop.model_path(layout.AUTOENCODER_FILE)
    save_file({name: one.half() if one.dim() > 1 else one.float() for name, one in tensors.items()}, path)
    return path


def _write_lora(workshop: Workshop) -> Path:
    tensors = _checked(lora.file_tensors(workshop), layout.lora_shapes(transformer.load(workshop).size))
    path = workshop.model_path(layout.LORA_FILE)
    save_file(tensors, path)
    return path


def _has_lora(workshop: Workshop) -> bool:
    """Whether there is one to export. Raises StepFailed for one that no longer fits: it would draw rubble."""
    change, base = workshop.folder / "lora.pt", workshop.folder / "transformer.pt"
    if change.is_file() and change.stat().st_mtime_ns < base.stat().st_mtime_ns:
        raise StepFailed(f"{change} was trained on an earlier transformer: run the step lora again, or delete it")
    return change.is_file()


def transformer_format(name: str, shape: layout.Shape) -> Format:
    """q8_0, but for vectors, and for the two layers that touch latents directly."""
    if len(shape) < 2 or name.startswith(("img_in", "final_layer.linear")):
        return Format.F32
    return Format.Q8_0


def text_encoder_format(name: str, shape: layout.Shape) -> Format:
    """The vocabulary in q4_0: the smallest format in which the library keeps it, instead of 39 MB of F32."""
    if len(shape) < 2:
        return Format.F32
    return Format.Q4_0 if "embed_tokens" in name else Format.Q8_0


def write_gguf(
    path: Path, tensors: dict[str, Tensor], format_of: Callable[[str, layout.Shape], Format], architecture: str
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(path.name)
    for name, tensor in tensors.items():
        values = np.ascontiguousarray(tensor.detach().float().numpy())
        chosen = format_of(name, values.shape)
        if chosen == Format.F32:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _checked(tensors: dict[str, Tensor], shapes: Shapes) -> dict[str, Tensor]:
    wrong = layout.differences({name: tuple(tensor.shape) for name, tensor in tensors.items()}, shapes)
    if wrong:
        raise StepFailed("the library would refuse the file: " + "; ".join(wrong))
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
