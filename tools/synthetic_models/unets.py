"""The UNets of Stable Diffusion 1, 2 and XL with their small relatives, and what attaches to them: ControlNet.

All widths are fixed in the library; the variants differ in depth, and it tells them apart by the blocks that are
missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.synthetic_models.autoencoders import tae, vae
from tools.synthetic_models.tensors import Layers, prefixed
from tools.synthetic_models.text_encoders import clip_g, clip_h, clip_l

DIFFUSION_PREFIX = "model.diffusion_model."
_WIDTH = 320
_TIME = 1280


@dataclass(frozen=True)
class Unet:
    """The plan of one UNet. Levels run from the picture inwards, each half the size of the one before.

    ``depths``: transformer blocks of each attention, by level. ``attends``: shrink factors at which there is
    attention. ``context``: width of the text. ``middle``: ``"full"``, ``"residual"`` (one block without attention)
    or ``"none"``.
    """

    context: int = 768
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    depths: tuple[int, ...] = (1, 1, 1, 1)
    attends: tuple[int, ...] = (4, 2, 1)
    middle: str = "full"
    residuals: int = 2
    linear: bool = False
    is_xl: bool = False
    is_tiny: bool = False
    has_tae: bool = False
    self_reads_text: bool = False
    """SDXS-09: the self-attention of the widest level takes the text's width as well."""
    inner_down: int = 0
    """SSD-1B: other depths of the innermost level on the way down,"""
    inner_up: tuple[int, ...] = ()
    """of its blocks on the way up,"""
    second_up: tuple[int, ...] = ()
    """and of the level before it."""


SD1 = Unet()
SD1_TINY = Unet(multiples=(1, 2, 4), middle="none", residuals=1, is_tiny=True)
SDXS_512 = Unet(multiples=(1, 2, 4), attends=(4, 2), middle="none", residuals=1, is_tiny=True, has_tae=True)
SD2 = Unet(context=1024, linear=True)
SD2_TINY = Unet(context=1024, multiples=(1, 2, 4), middle="none", residuals=1, linear=True, is_tiny=True)
SDXS_09 = Unet(
    context=1024,
    multiples=(1, 2, 4),
    middle="none",
    residuals=1,
    linear=True,
    is_tiny=True,
    has_tae=True,
    self_reads_text=True,
)
SDXL = Unet(context=2048, multiples=(1, 2, 4), depths=(1, 2, 10), attends=(4, 2), linear=True, is_xl=True)
SSD_1B = Unet(
    context=2048,
    multiples=(1, 2, 4),
    depths=(1, 2, 10),
    attends=(4, 2),
    middle="residual",
    linear=True,
    is_xl=True,
    inner_down=4,
    inner_up=(4, 4, 10),
    second_up=(2, 1, 1),
)
VEGA = Unet(
    context=2048, multiples=(1, 2, 4), depths=(1, 1, 2), attends=(4, 2), middle="residual", linear=True, is_xl=True
)


def checkpoint(plan: Unet, channels: int = 4, *, encoder: bool = False) -> Layers:
    """A single file with UNet, text encoders and VAE (SDXS: a tiny autoencoder).

    ``channels`` of its input: 9 for inpainting, 8 for editing; those need the VAE's ``encoder``.
    """
    layers = prefixed(DIFFUSION_PREFIX, unet(plan, channels))
    layers.nest("cond_stage_model.transformer.", clip_h() if plan.context == 1024 else clip_l())
    if plan.is_xl:
        layers.nest("cond_stage_model.1.transformer.", clip_g())
    layers.nest("first_stage_model.", tae(4) if plan.has_tae else vae(4, quantized=True, encoder=encoder))
    return layers


def unet(plan: Unet, channels: int = 4) -> Layers:
    layers = Layers()
    _time_embedding(layers)
    if plan.is_xl:
        layers.linear("label_emb.0.0", 2816, _TIME)
        layers.linear("label_emb.0.2", _TIME, _TIME)
    layers.convolution("input_blocks.0.0", channels, _WIDTH)
    skipped = _way_down(layers, plan)
    width = _WIDTH * plan.multiples[-1]
    if plan.middle != "none":
        _residual(layers, "middle_block.0", width, width)
    if plan.middle == "full":
        _attention(layers, plan, "middle_block.1", width, plan.depths[-1])
        _residual(layers, "middle_block.2", width, width)
    _way_up(layers, plan, skipped)
    layers.norm("out.0", _WIDTH)
    layers.convolution("out.2", _WIDTH, 4)
    return layers


def controlnet() -> Layers:
    """For Stable Diffusion 1: its way down once more, with a zero convolution after each block."""
    layers = Layers()
    _time_embedding(layers)
    layers.convolution("input_blocks.0.0", 4, _WIDTH)
    hint = (3, 16, 16, 32, 32, 96, 96, 256, _WIDTH)
    for step in range(8):
        layers.convolution(f"input_hint_block.{2 * step}", hint[step], hint[step + 1])
    widths = _way_down(layers, SD1)
    for block, width in enumerate(widths):
        layers.convolution(f"zero_convs.{block}.0", width, width, kernel=1)
    width = widths[-1]
    _residual(layers, "middle_block.0", width, width)
    _attention(layers, SD1, "middle_block.1", width, 1)
    _residual(layers, "middle_block.2", width, width)
    layers.convolution("middle_block_out.0", width, width, kernel=1)
    return layers


def _time_embedding(layers: Layers) -> None:
    layers.linear("time_embed.0", _WIDTH, _TIME)
    layers.linear("time_embed.2", _TIME, _TIME)


def _way_down(layers: Layers, plan: Unet) -> list[int]:
    """Answers the widths that the way up takes over, in the order they came."""
    widths, width, block, shrink = [_WIDTH], _WIDTH, 0, 1
    for level, multiple in enumerate(plan.multiples):
        for _ in range(plan.residuals):
            block += 1
            _residual(layers, f"input_blocks.{block}.0", width, multiple * _WIDTH)
            width = multiple * _WIDTH
            if shrink in plan.attends:
                innermost = level == len(plan.multiples) - 1
                depth = plan.inner_down if innermost and plan.inner_down else plan.depths[level]
                _attention(layers, plan, f"input_blocks.{block}.1", width, depth)
            widths.append(width)
            # The small UNets leave a number out for each residual block that they lack.
            block += plan.is_tiny
        if level != len(plan.multiples) - 1:
            block += 1
            layers.convolution(f"input_blocks.{block}.0.op", width, width)
            widths.append(width)
            shrink *= 2
    return widths


def _way_up(layers: Layers, plan: Unet, skipped: list[int]) -> None:
    width, block, shrink = _WIDTH * plan.multiples[-1], 0, 2 ** (len(plan.multiples) - 1)
    for level in reversed(range(len(plan.multiples))):
        for repeat in range(plan.residuals + 1):
            _residual(layers, f"output_blocks.{block}.0", width + skipped.pop(), plan.multiples[level] * _WIDTH)
            width = plan.multiples[level] * _WIDTH
            upsampled = 1
            if shrink in plan.attends:
                special = {2: plan.inner_up, 1: plan.second_up}.get(level) or ()
                depth = special[repeat] if special else plan.depths[level]
                _attention(layers, plan, f"output_blocks.{block}.1", width, depth)
                upsampled = 2
            if level > 0 and repeat == plan.residuals:
                if plan.is_tiny:
                    block += 1
                    upsampled = 1 if block == 2 else upsampled
                layers.convolution(f"output_blocks.{block}.{upsampled}.conv", width, width)
                shrink //= 2
            block += 1


def _residual(layers: Layers, name: str, inputs: int, outputs: int) -> None:
    layers.norm(f"{name}.in_layers.0", inputs)
    layers.convolution(f"{name}.in_layers.2", inputs, outputs)
    layers.linear(f"{name}.emb_layers.1", _TIME, outputs)
    layers.norm(f"{name}.out_layers.0", outputs)
    layers.convolution(f"{name}.out_layers.3", outputs, outputs)
    if inputs != outputs:
        layers.convolution(f"{name}.skip_connection", inputs, outputs, kernel=1)


def _attention(layers: Layers, plan: Unet, name: str, width: int, depth: int) -> None:
    own = plan.context if plan.self_reads_text and width == _WIDTH else width
    layers.norm(f"{name}.norm", width)
    _projection(layers, plan, f"{name}.proj_in", width)
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        for attention, keys in (("attn1", own), ("attn2", plan.context)):
            layers.linear(f"{block}.{attention}.to_q", width, width, bias=False)
            layers.linear(f"{block}.{attention}.to_k", keys, width, bias=False)
            layers.linear(f"{block}.{attention}.to_v", keys, width, bias=False)
            layers.linear(f"{block}.{attention}.to_out.0", width, width)
        layers.linear(f"{block}.ff.net.0.proj", width, 8 * width)
        layers.linear(f"{block}.ff.net.2", 4 * width, width)
        for norm in ("norm1", "norm2", "norm3"):
            layers.norm(f"{block}.{norm}", width)
    _projection(layers, plan, f"{name}.proj_out", width)


def _projection(layers: Layers, plan: Unet, name: str, width: int) -> None:
    if plan.linear:
        layers.linear(name, width, width)
    else:
        layers.convolution(name, width, width, kernel=1)
