"""What goes on top of a model: upscalers, LoRAs, textual inversion embeddings and PhotoMaker."""

from __future__ import annotations

from collections.abc import Iterable

from tools.synthetic_models.tensors import Layers, Tensor
from tools.synthetic_models.text_encoders import clip_vision


def esrgan(factor: int) -> Layers:
    """One block; ``factor`` 2 or 4, which the library tells by the convolutions that double the picture."""
    layers = Layers()
    layers.convolution("conv_first", 3, 64)
    for dense in (1, 2, 3):
        for step in range(5):
            layers.convolution(f"body.0.rdb{dense}.conv{step + 1}", 64 + 32 * step, 32 if step < 4 else 64)
    layers.convolution("conv_body", 64, 64)
    layers.convolution("conv_up1", 64, 64)
    if factor == 4:
        layers.convolution("conv_up2", 64, 64)
    layers.convolution("conv_hr", 64, 64)
    layers.convolution("conv_last", 64, 3)
    return layers


def lora(base: Iterable[Tensor], parts: tuple[str, ...], rank: int = 4) -> Layers:
    """A low-rank pair for every matrix of ``base`` with one of ``parts`` in its name."""
    layers = Layers()
    for name, shape, role in base:
        if role == "matrix" and any(part in name for part in parts):
            layer = name.removesuffix(".weight")
            layers.parameter(f"{layer}.lora_A.weight", shape[0], rank)
            layers.parameter(f"{layer}.lora_B.weight", rank, shape[1])
    return layers


def embedding() -> Layers:
    """Two words' worth of Stable Diffusion 1."""
    layers = Layers()
    layers.parameter("emb_params", 768, 2)
    return layers


def photo_maker() -> Layers:
    """Version 1: a CLIP vision encoder for faces. The prompt must hold its trigger word."""
    layers = clip_vision(1024, 24, 4096)
    layers.linear("visual_projection", 1024, 768, bias=False)
    layers.linear("visual_projection_2", 1024, 1280, bias=False)
    for part, inputs in (("mlp1", 4096), ("mlp2", 2048)):
        layers.norm(f"fuse_module.{part}.layernorm", inputs)
        layers.linear(f"fuse_module.{part}.fc1", inputs, 2048)
        layers.linear(f"fuse_module.{part}.fc2", 2048, 2048)
    layers.norm("fuse_module.layer_norm", 2048)
    return layers


def photo_maker_v2() -> Layers:
    """Version 2, with a network that mixes in what a face recogniser found.

    The library takes a file for version 2 when there is a "v2" anywhere in its path.
    """
    layers = photo_maker()
    width, faces, tokens = 2048, 512, 2
    name = "qformer_perceiver"
    layers.linear(f"{name}.token_proj.fc1", faces, 4 * faces)
    layers.linear(f"{name}.token_proj.fc2", 4 * faces, tokens * width)
    layers.norm(f"{name}.token_norm", width)
    name = f"{name}.perceiver_resampler"
    layers.linear(f"{name}.proj_in", 1024, width)
    layers.linear(f"{name}.proj_out", width, width)
    layers.norm(f"{name}.norm_out", width)
    for block in range(4):
        layers.norm(f"{name}.layers.{block}.0.norm1", width)
        layers.norm(f"{name}.layers.{block}.0.norm2", width)
        layers.linear(f"{name}.layers.{block}.0.to_q", width, width, bias=False)
        layers.linear(f"{name}.layers.{block}.0.to_kv", width, 2 * width, bias=False)
        layers.linear(f"{name}.layers.{block}.0.to_out", width, width, bias=False)
        layers.norm(f"{name}.layers.{block}.1.0", width)
        layers.linear(f"{name}.layers.{block}.1.1.fc1", width, 4 * width, bias=False)
        layers.linear(f"{name}.layers.{block}.1.1.fc2", 4 * width, width, bias=False)
    return layers
