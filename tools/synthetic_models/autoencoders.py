"""Autoencoders: the VAE of Stable Diffusion and Flux, and the tiny ones that stand in for it and for video VAEs.

A VAE's decoder may be narrow, since the library takes its width from the file; its encoder's is fixed. The tiny ones
are fixed altogether.
"""

from __future__ import annotations

from tools.synthetic_models.tensors import Layers

_MULTIPLES = (1, 2, 4, 4)
_ENCODER_WIDTH = 128


def vae(latents: int, *, quantized: bool, encoder: bool = False, width: int = 32) -> Layers:
    """``latents``: channels of a latent; ``quantized``: with the 1x1 convolutions around it that Flux left out;
    ``width`` of the decoder, a multiple of 32."""
    layers = Layers()
    channels = width * _MULTIPLES[-1]
    layers.convolution("decoder.conv_in", latents, channels)
    _middle(layers, "decoder.mid", channels)
    for level in (3, 2, 1, 0):
        for block in range(3):
            _residual(layers, f"decoder.up.{level}.block.{block}", channels, width * _MULTIPLES[level])
            channels = width * _MULTIPLES[level]
        if level:
            layers.convolution(f"decoder.up.{level}.upsample.conv", channels, channels)
    layers.norm("decoder.norm_out", channels)
    layers.convolution("decoder.conv_out", channels, 3)
    if quantized:
        layers.convolution("post_quant_conv", latents, latents, kernel=1)
    if encoder:
        _encoder(layers, latents, quantized)
    return layers


def tae(latents: int, *, middle: bool = False) -> Layers:
    """The tiny image autoencoder: 4 latent channels for SD 1 to XL, 16 for SD 3 and Flux, 32 for Flux.2, whose
    blocks next to the latents have a normalised ``middle``."""
    layers = Layers()
    layers.convolution("decoder.layers.0", latents, 64)
    for index in (2, 3, 4):
        _tae_block(layers, f"decoder.layers.{index}", middle)
    for upsampled, blocks in ((6, (7, 8, 9)), (11, (12, 13, 14)), (16, (17,))):
        layers.convolution(f"decoder.layers.{upsampled}", 64, 64, bias=False)
        for index in blocks:
            _tae_block(layers, f"decoder.layers.{index}")
    layers.convolution("decoder.layers.18", 64, 3)
    layers.convolution("encoder.layers.0", 3, 64)
    _tae_block(layers, "encoder.layers.1")
    for downsampled, blocks in ((2, (3, 4, 5)), (6, (7, 8, 9)), (10, (11, 12, 13))):
        layers.convolution(f"encoder.layers.{downsampled}", 64, 64, bias=False)
        for index in blocks:
            _tae_block(layers, f"encoder.layers.{index}", middle and downsampled == 10)
    layers.convolution("encoder.layers.14", 64, latents)
    return layers


def video_tae(latents: int, patch: int = 1) -> Layers:
    """The tiny video autoencoder: 16 latent channels for Wan 2.1 and Qwen Image; 48 in patches of 2 for Wan 2.2."""
    layers = Layers()
    pixels = 3 * patch * patch
    layers.convolution("decoder.1", latents, 256)
    for first, channels, following, frames in ((3, 256, 128, 1), (9, 128, 64, 2), (15, 64, 64, 2)):
        for block in range(3):
            _memory_block(layers, f"decoder.{first + block}", channels)
        layers.convolution(f"decoder.{first + 4}.conv", channels, channels * frames, kernel=1, bias=False)
        layers.convolution(f"decoder.{first + 5}", channels, following, bias=False)
    layers.convolution("decoder.22", 64, pixels)
    layers.convolution("encoder.0", pixels, 64)
    for first, frames in ((2, 2), (7, 2), (12, 1)):
        layers.convolution(f"encoder.{first}.conv", 64 * frames, 64, kernel=1, bias=False)
        layers.convolution(f"encoder.{first + 1}", 64, 64, bias=False)
        for block in range(3):
            _memory_block(layers, f"encoder.{first + 2 + block}", 64)
    layers.convolution("encoder.17", 64, latents)
    return layers


def _encoder(layers: Layers, latents: int, quantized: bool) -> None:
    channels = _ENCODER_WIDTH
    layers.convolution("encoder.conv_in", 3, channels)
    for level, multiple in enumerate(_MULTIPLES):
        for block in range(2):
            _residual(layers, f"encoder.down.{level}.block.{block}", channels, _ENCODER_WIDTH * multiple)
            channels = _ENCODER_WIDTH * multiple
        if level < 3:
            layers.convolution(f"encoder.down.{level}.downsample.conv", channels, channels)
    _middle(layers, "encoder.mid", channels)
    layers.norm("encoder.norm_out", channels)
    layers.convolution("encoder.conv_out", channels, 2 * latents)
    if quantized:
        layers.convolution("quant_conv", 2 * latents, 2 * latents, kernel=1)


def _residual(layers: Layers, name: str, inputs: int, outputs: int) -> None:
    layers.norm(f"{name}.norm1", inputs)
    layers.convolution(f"{name}.conv1", inputs, outputs)
    layers.norm(f"{name}.norm2", outputs)
    layers.convolution(f"{name}.conv2", outputs, outputs)
    if inputs != outputs:
        layers.convolution(f"{name}.nin_shortcut", inputs, outputs, kernel=1)


def _middle(layers: Layers, name: str, channels: int) -> None:
    _residual(layers, f"{name}.block_1", channels, channels)
    layers.norm(f"{name}.attn_1.norm", channels)
    for part in ("q", "k", "v", "proj_out"):
        layers.convolution(f"{name}.attn_1.{part}", channels, channels, kernel=1)
    _residual(layers, f"{name}.block_2", channels, channels)


def _tae_block(layers: Layers, name: str, middle: bool = False) -> None:
    for index in (0, 2, 4):
        layers.convolution(f"{name}.conv.{index}", 64, 64)
    if middle:
        layers.convolution(f"{name}.pool.0", 64, 256, kernel=1, bias=False)
        layers.norm(f"{name}.pool.1", 256)
        layers.convolution(f"{name}.pool.3", 256, 64, kernel=1, bias=False)


def _memory_block(layers: Layers, name: str, channels: int) -> None:
    layers.convolution(f"{name}.conv.0", 2 * channels, channels)
    layers.convolution(f"{name}.conv.2", channels, channels)
    layers.convolution(f"{name}.conv.4", channels, channels)
