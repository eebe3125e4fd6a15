"""Writes the two upscalers by hand: bilinear interpolation in the layout of an ESRGAN. They enlarge, no more."""

from __future__ import annotations

import torch
from safetensors.torch import save_file
from torch import Tensor

from tools.demo_model import layout
from tools.demo_model.workshop import Workshop


def run(workshop: Workshop) -> None:
    for factor in (2, 4):
        path = workshop.model_path(layout.upscaler_file(factor))
        save_file(file_tensors(factor), path)
        print(f"upscaler: {path}, {path.stat().st_size / 1e6:.2f} MB")


def file_tensors(factor: int) -> dict[str, Tensor]:
    """Three of the 64 channels carry the picture. The library doubles pixels before each ``conv_up``; that blurs."""
    keep = torch.zeros(3, 3)
    keep[1, 1] = 1
    slope = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernels = {"conv_body": torch.zeros(3, 3), "conv_up1": slope.outer(slope), "conv_up2": slope.outer(slope)}
    tensors = {}
    for name, shape in layout.upscaler_shapes(factor).items():
        tensors[name] = torch.zeros(shape)
        layer, _, part = name.rpartition(".")
        if part == "weight":
            for channel in range(3):
                tensors[name][channel, channel] = kernels.get(layer, keep)
            tensors[name] = tensors[name].half()
    return tensors
