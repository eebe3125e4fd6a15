"""Transformers of Flux's build: Flux.1 with its relatives, Flux.2, Chroma, Radiance and Ovis.

The library takes width, depth and the text's width from the file. Only a head's width is fixed, so one head of 128
is the smallest network there is.
"""

from __future__ import annotations

from typing import Literal

from tools.synthetic_models.tensors import Layers

HIDDEN = 128
_HEAD = 128
_APPROXIMATOR = 5120

Build = Literal["flux", "flux2", "chroma", "ovis"]


def flux(inputs: int = 64, *, guidance: bool = True) -> Layers:
    """``inputs``: 64 for pictures, 128 with a control picture, 384 with a mask, 196 for Flex.2; without ``guidance``
    it is the schnell variant."""
    return _transformer("flux", inputs, outputs=64, context=4096, guidance=guidance)


def flux2() -> Layers:
    """48 single blocks are what tells it from klein."""
    return _transformer("flux2", 128, outputs=128, context=64, guidance=True, singles=48)


def klein() -> Layers:
    return _transformer("flux2", 128, outputs=128, context=64)


def ovis() -> Layers:
    return _transformer("ovis", 64, outputs=64, context=64)


def chroma() -> Layers:
    return _transformer("chroma", 64, outputs=64, context=4096)


def radiance() -> Layers:
    """Chroma that reads and draws pixels instead of latents."""
    layers = Layers(tensor for tensor in chroma() if not tensor.name.startswith(("img_in", "final_layer")))
    layers.convolution("img_in_patch", 3, HIDDEN, kernel=16)
    layers.linear("nerf_image_embedder.embedder.0", 67, 64)
    for block in range(4):
        layers.linear(f"nerf_blocks.{block}.param_generator", HIDDEN, 49_152)
        layers.norm(f"nerf_blocks.{block}.norm", 64, bias=False, weight="scale")
    layers.norm("nerf_final_layer_conv.norm", 64, bias=False, weight="scale")
    layers.convolution("nerf_final_layer_conv.conv", 64, 3)
    return layers


def _transformer(
    build: Build, inputs: int, *, outputs: int, context: int, guidance: bool = False, singles: int = 1
) -> Layers:
    bias = build != "flux2"
    layers = Layers()
    layers.linear("img_in", inputs, HIDDEN, bias)
    layers.linear("txt_in", context, HIDDEN, bias)
    if build == "chroma":
        _approximator(layers)
    else:
        _conditioning(layers, build, guidance, bias)
    if build == "ovis":
        layers.norm("txt_norm", context, bias=False, weight="scale")
    for side in ("img", "txt"):
        _double_block(layers, build, side, bias)
    for block in range(singles):
        _single_block(layers, build, f"single_blocks.{block}", bias)
    layers.linear("final_layer.linear", HIDDEN, outputs, bias)
    return layers


def _conditioning(layers: Layers, build: Build, guidance: bool, bias: bool) -> None:
    scalars = ["time_in", "guidance_in"] if guidance else ["time_in"]
    for name in scalars:
        layers.linear(f"{name}.in_layer", 256, HIDDEN, bias)
        layers.linear(f"{name}.out_layer", HIDDEN, HIDDEN, bias)
    if build == "flux":
        layers.linear("vector_in.in_layer", 768, HIDDEN)
        layers.linear("vector_in.out_layer", HIDDEN, HIDDEN)
    layers.linear("final_layer.adaLN_modulation.1", HIDDEN, 2 * HIDDEN, bias)
    if build == "flux2":
        for side in ("img", "txt"):
            layers.linear(f"double_stream_modulation_{side}.lin", HIDDEN, 6 * HIDDEN, bias)
        layers.linear("single_stream_modulation.lin", HIDDEN, 3 * HIDDEN, bias)


def _approximator(layers: Layers) -> None:
    """Chroma computes all modulations in one network, whose sizes are fixed."""
    name, width = "distilled_guidance_layer", _APPROXIMATOR
    layers.linear(f"{name}.in_proj", 64, width)
    for block in range(5):
        layers.linear(f"{name}.layers.{block}.in_layer", width, width)
        layers.linear(f"{name}.layers.{block}.out_layer", width, width)
        layers.norm(f"{name}.norms.{block}", width, bias=False, weight="scale")
    layers.linear(f"{name}.out_proj", width, HIDDEN)


def _double_block(layers: Layers, build: Build, side: str, bias: bool) -> None:
    name = f"double_blocks.0.{side}"
    if build in ("flux", "ovis"):
        layers.linear(f"{name}_mod.lin", HIDDEN, 6 * HIDDEN)
    layers.linear(f"{name}_attn.qkv", HIDDEN, 3 * HIDDEN, bias)
    layers.linear(f"{name}_attn.proj", HIDDEN, HIDDEN, bias)
    _head_norms(layers, f"{name}_attn.norm")
    if build == "ovis":
        layers.linear(f"{name}_mlp.gate_proj", HIDDEN, 4 * HIDDEN)
        layers.linear(f"{name}_mlp.up_proj", HIDDEN, 4 * HIDDEN)
        layers.linear(f"{name}_mlp.down_proj", 4 * HIDDEN, HIDDEN)
        return
    layers.linear(f"{name}_mlp.0", HIDDEN, _inner(build) * _gates(build), bias)
    layers.linear(f"{name}_mlp.2", _inner(build), HIDDEN, bias)


def _single_block(layers: Layers, build: Build, name: str, bias: bool) -> None:
    if build in ("flux", "ovis"):
        layers.linear(f"{name}.modulation.lin", HIDDEN, 3 * HIDDEN)
    layers.linear(f"{name}.linear1", HIDDEN, 3 * HIDDEN + _inner(build) * _gates(build), bias)
    layers.linear(f"{name}.linear2", HIDDEN + _inner(build), HIDDEN, bias)
    _head_norms(layers, f"{name}.norm")


def _inner(build: Build) -> int:
    return HIDDEN * (3 if build == "flux2" else 4)


def _gates(build: Build) -> int:
    """2 where one half of the inner values gates the other."""
    return 2 if build in ("flux2", "ovis") else 1


def _head_norms(layers: Layers, name: str) -> None:
    for part in ("query_norm", "key_norm"):
        layers.norm(f"{name}.{part}", _HEAD, bias=False, weight="scale")
