"""Takes the bundled model into the workshop, so that training can go on from it, or a LoRA can be trained for it.

The way back from ``export``: what was quantized stays as coarse as it was, so exporting an adopted model without
training it writes the same numbers again.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import sdcpp_rest.errors
from tools.demo_model import layout
from tools.demo_model.networks.autoencoder import Decoder, LinearEncoder
from tools.demo_model.networks.text_encoder import TextEncoder
from tools.demo_model.networks.transformer import Transformer
from tools.demo_model.steps import decoder, encoder, text, transformer
from tools.demo_model.workshop import Workshop

BUNDLED = Path(sdcpp_rest.errors.__file__).parent / "demo"


def run(workshop: Workshop, models: Path = BUNDLED) -> None:
    """``models`` is laid out like the bundled model's folder."""
    autoencoder = load_file(models / layout.AUTOENCODER_FILE)
    text.save(workshop, TextEncoder.from_file_tensors(read_gguf(models / layout.TEXT_ENCODER_FILE)))
    encoder.save(workshop, LinearEncoder.from_file_tensors(autoencoder))
    decoder.save(workshop, Decoder.from_file_tensors(autoencoder))
    transformer.save(workshop, Transformer.from_file_tensors(read_gguf(models / layout.TRANSFORMER_FILE)))
    print(f"adopt: {models} is now what {workshop.folder} goes on from")


def read_gguf(path: Path) -> dict[str, Tensor]:
    """Every tensor of the file as F32, in PyTorch's shape."""
    return {
        one.name: torch.from_numpy(
            np.array(gguf.dequantize(one.data, one.tensor_type), dtype=np.float32).reshape(one.shape[::-1].tolist())
        )
        for one in gguf.GGUFReader(path).tensors
    }
