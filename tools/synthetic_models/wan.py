"""Wan, the video transformer: from text, from a first frame, from first and last frame, and with control videos.

The library knows Wan by its number of blocks: 30 mean a width of 1,536 (3,072 for the 5B model of Wan 2.2), any
other number but 40 ends the process.
"""

from __future__ import annotations

from tools.synthetic_models.tensors import Layers

_BLOCKS = 30
_PATCH = (2, 2, 1)
_PICTURE = 1280


def wan21() -> Layers:
    return _wan(1536, 8960, inputs=16, outputs=16)


def wan22() -> Layers:
    """The 5B model of Wan 2.2, which takes text and a first frame alike."""
    return _wan(3072, 14_336, inputs=48, outputs=48)


def wan21_i2v(*, last_frame: bool = False) -> Layers:
    """From a first frame, seen through CLIP vision; ``last_frame``: from the first and the last one, which loads and
    cannot draw: the library only shows the last frame to the 14B model."""
    layers = _wan(1536, 8960, inputs=36, outputs=16, sees=True)
    layers.norm("img_emb.proj.0", _PICTURE)
    layers.linear("img_emb.proj.1", _PICTURE, _PICTURE)
    layers.linear("img_emb.proj.3", _PICTURE, 1536)
    layers.norm("img_emb.proj.4", 1536)
    if last_frame:
        layers.parameter("img_emb.emb_pos", _PICTURE, 514, 1)
    return layers


def wan21_flf2v() -> Layers:
    return wan21_i2v(last_frame=True)


def wan21_vace() -> Layers:
    """One control block is enough: it then speaks at the first block alone."""
    layers = wan21()
    layers.convolution("vace_patch_embedding", 96, 1536, kernel=_PATCH)
    _block(layers, "vace_blocks.0", 1536, 8960)
    layers.linear("vace_blocks.0.before_proj", 1536, 1536)
    layers.linear("vace_blocks.0.after_proj", 1536, 1536)
    return layers


def wan22_i2v() -> Layers:
    """The 14B model of Wan 2.2: 40 blocks of 5,120 in each of its two experts. Too large to draw with in a test."""
    return _wan(5120, 13_824, inputs=36, outputs=16, blocks=40)


def _wan(width: int, inner: int, *, inputs: int, outputs: int, sees: bool = False, blocks: int = _BLOCKS) -> Layers:
    layers = Layers()
    layers.convolution("patch_embedding", inputs, width, kernel=_PATCH)
    layers.linear("text_embedding.0", 4096, width)
    layers.linear("text_embedding.2", width, width)
    layers.linear("time_embedding.0", 256, width)
    layers.linear("time_embedding.2", width, width)
    layers.linear("time_projection.1", width, 6 * width)
    for block in range(blocks):
        _block(layers, f"blocks.{block}", width, inner, sees)
    layers.linear("head.head", width, 4 * outputs)
    layers.parameter("head.modulation", width, 2)
    return layers


def _block(layers: Layers, name: str, width: int, inner: int, sees: bool = False) -> None:
    for attention in ("self_attn", "cross_attn"):
        for part in "qkvo":
            layers.linear(f"{name}.{attention}.{part}", width, width)
        layers.norm(f"{name}.{attention}.norm_q", width, bias=False)
        layers.norm(f"{name}.{attention}.norm_k", width, bias=False)
    if sees:
        layers.linear(f"{name}.cross_attn.k_img", width, width)
        layers.linear(f"{name}.cross_attn.v_img", width, width)
        layers.norm(f"{name}.cross_attn.norm_k_img", width, bias=False)
    layers.norm(f"{name}.norm3", width)
    layers.linear(f"{name}.ffn.0", width, inner)
    layers.linear(f"{name}.ffn.2", inner, width)
    layers.parameter(f"{name}.modulation", width, 6)
