"""Computes how much memory a model takes: its weights as the library holds them, and the buffers it draws in.

Pure arithmetic over tensor shapes. The library plans one buffer per part (text encoder, diffusion model, autoencoder)
and has one at a time, so the largest counts. The formulas were fitted to what it logs as "compute buffer size", on
models of the real widths; tests/core/test_fit.py holds the measurements. They are estimates: other devices round
differently. A GPU's driver takes some for each process (527 MiB on an H200): free memory is asked for by the engine,
which has its share already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from sdcpp_rest.core import quantization
from sdcpp_rest.core.architectures import Architecture, Shapes
from sdcpp_rest.core.quantization import WeightType

Part = Literal["text_encoders", "diffusion_model", "vae", "controlnet"]
PARTS: tuple[Part, ...] = ("text_encoders", "diffusion_model", "vae", "controlnet")

MIB = 1 << 20
USUAL_VAE_CHANNELS = 128
USUAL_VAE_BYTES = 168 * MIB
"""Of the autoencoders that come with the families: what is assumed where none is named."""

_ENCODER_BUFFER = 64 * MIB  # a language model or T5 over a few hundred tokens; CLIP takes 1 to 3 MiB
_VAE_BYTES_PER_CHANNEL = 52  # im2col of a 3x3 convolution over twice the channels (2 x 9 x 2 bytes), in- and output
_VAE_DIRECT_BYTES_PER_CHANNEL = 22
_VAE_SCALED_BYTES_PER_CHANNEL = 8  # more, where convolutions are computed on scaled numbers: in- and output once again
_TAE_BYTES_PER_PIXEL = 1_921
_VIDEO_TAE_BYTES_PER_PIXEL = 6_913  # and latent frame: all of them are decoded at once
_RADIANCE_BYTES_PER_PIXEL = 7_715
_TILE_LATENTS, _LATENT_SIDE = 32, 8  # the library's default tile in latent pixels, and how many pixels make one
_TILE_PIXELS = (_TILE_LATENTS * _LATENT_SIDE) ** 2
_ESRGAN_BYTES_PER_CHANNEL = 26  # and pixel of what comes out: im2col of a 3x3 convolution (9 x 2 bytes), in- and output
_VIDEO_KERNEL = 3  # convolutions over time too: three times the columns
# What backends keep beside the model. The first three have one source: memory pools for converted weights and for what
# convolutions read, and the library for matrix products; with SDXL on an H200 200 MiB after 512 x 512 and 424 MiB after
# 1536 x 1536, which grows by 107 bytes a pixel. Vulkan's staging buffers took 23 to 114 MiB there.
_KEPT_BYTES = {**dict.fromkeys(("CUDA", "ROCm", "MUSA"), 400 * MIB), "Vulkan": 128 * MIB}
_POOLED_BYTES, _POOLED_BYTES_PER_PIXEL = 200 * MIB, 116
# Vulkan's buffers are pieces of 1 GiB (a larger tensor gets one of its own), and what does not fit into the rest of one
# leaves a gap. Of 1,106, 1,920 and 4,321 MiB it made 1,297, 2,112 and 5,725; a third more at most.
_PIECE_BYTES = 1 << 30
_GAPS_SHARE = 3


# --- weights ----------------------------------------------------------------------------------------------------------

_KEEP = ("img_in.", "txt_in.", "time_in.", "vector_in.", "guidance_in.", "final_layer.", "x_embedder.", "t_embedder.",
         "y_embedder.", "pos_embed", "context_embedder.", "time_embed.", "label_emb.", "embedding")  # fmt: skip
_F16, _F32 = quantization.BY_NAME["f16"], quantization.BY_NAME["f32"]
_TABLE_TYPES = frozenset({"f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"})
_TABLES = ("token_embedding.weight", "shared.weight", "embed_tokens.weight", "token_embd.weight")
_TEXT_PREFIXES = ("cond_stage_model.", "conditioner.", "te.", "text_encoders.")
_VAE_PREFIXES = ("first_stage_model.", "vae.")


def part_of(tensor: str, default: Part) -> Part:
    """The part that a tensor of a file belongs to; ``default`` is that of files which hold one part alone."""
    if tensor.startswith(_TEXT_PREFIXES):
        return "text_encoders"
    return "vae" if tensor.startswith(_VAE_PREFIXES) else default


def weight_bytes(
    tensors: Shapes,
    types: Mapping[str, str],
    default: Part,
    asked: WeightType | None = None,
    rules: tuple[tuple[str, WeightType], ...] = (),
) -> dict[Part, int]:
    """Bytes of a file's weights in memory by part, after the conversion to ``asked`` or to what ``rules`` say.

    Whatever the file says, convolutions are held as f16 and vectors as f32; tables of tokens stay in the few formats
    that rows can be read from.
    """
    compiled = [(re.compile(pattern), entry) for pattern, entry in rules]
    sums: dict[Part, int] = {}
    for name, shape in tensors.items():
        wanted = asked
        if compiled:
            wanted = next((entry for pattern, entry in compiled if pattern.search(name)), asked)
        part = part_of(name, default)
        held = held_type(name, shape, types.get(name, "f16"), wanted)
        sums[part] = sums.get(part, 0) + math.prod(shape) // held.block_size * held.block_bytes
    return sums


def held_type(name: str, shape: tuple[int, ...], stored: str, wanted: WeightType | None) -> WeightType:
    """The format that the library holds a tensor in, which is ``stored`` in its file and asked to become ``wanted``."""
    if len(shape) > 2:
        return _F16
    if len(shape) < 2:
        return _F32
    kind = quantization.BY_NAME.get(stored)
    if wanted is not None and not name.endswith((".bias", ".scale")) and not any(part in name for part in _KEEP):
        kind = wanted if wanted.row_bytes(shape[0]) is not None else kind
    if kind is None:  # eight-bit floats are widened when they are read
        return _F16
    is_unreadable = name.endswith(_TABLES) and kind.name not in _TABLE_TYPES
    return _F32 if is_unreadable or kind.row_bytes(shape[0]) is None else kind


# --- compute buffers --------------------------------------------------------------------------------------------------


class Size(NamedTuple):
    """What is to be drawn: pixels a side, and frames (1 for a picture). A batch is drawn one by one.
    ``reference_pixels`` are those of all pictures that the diffusion model is shown besides."""

    width: int
    height: int
    frames: int = 1
    reference_pixels: int = 0

    @property
    def latent_frames(self) -> int:
        """Frames that a video model computes: four of the video's in each, and the first one alone."""
        return 1 + max(0, self.frames - 1) // 4


class _Transformer(NamedTuple):
    """One family of diffusion transformers. ``width_of`` is the tensor whose second side (ggml order; the last one of
    a convolution) is the network's width; ``text_tokens`` are added to the picture's. Bytes per token and unit of
    width: ``plain`` beside the attention matrix, ``flash`` without one. ``flash_pairs``: bytes per pair of tokens that
    flash attention takes all the same, for a mask."""

    width_of: tuple[str, ...]
    text_tokens: int
    plain: float
    flash: float
    head_width: int = 128
    flash_pairs: float = 0.0


_FLUX = _Transformer(("img_in.weight", "txt_in.weight"), 256, 50.0, 61.5)
_FLUX_2 = _Transformer(("img_in.weight",), 512, 58.5, 78.5)
_FAMILIES: dict[str, _Transformer] = {
    "flux": _FLUX,
    "flux_fill": _FLUX,
    "flux_control": _FLUX,
    "flex2": _FLUX,
    "chroma": _FLUX,
    "chroma_radiance": _FLUX,
    "ovis_image": _FLUX_2,
    "flux2": _FLUX_2,
    "flux2_klein": _FLUX_2,
    "sd3": _Transformer(("x_embedder.proj.weight",), 154, 23.0, 28.0, 64, 6.0),
    "qwen_image": _Transformer(("img_in.weight",), 64, 28.5, 40.5),
    "z_image": _Transformer(("x_embedder.weight",), 64, 28.6, 46.0),
    "anima": _Transformer(("x_embedder.proj.1.weight",), 64, 28.6, 46.0),
    "ernie_image": _Transformer(("x_embedder.proj.weight",), 64, 28.6, 46.0),
    "wan2": _Transformer(("text_embedding.2.weight",), 0, 21.7, 28.0, 128, 6.0),
}
_FAMILIES["wan2_2_i2v"] = _FAMILIES["wan2_2_ti2v"] = _FAMILIES["wan2"]
_USUAL_WIDTH = 3_072
_UNET_WIDTH = 320
_UNET_PLAIN, _UNET_FLASH = 38.0, 98.5  # bytes per latent pixel and unit of width


def diffusion_buffer(architecture: Architecture | None, tensors: Shapes, size: Size, flash: bool) -> int:
    """Bytes of the diffusion model's buffer for one step. ``flash``: with flash attention, which never holds the
    matrix of all pairs of tokens. A model that was not recognised is taken for a transformer of the usual width."""
    family = architecture.id if architecture is not None else ""
    if architecture is not None and not architecture.is_flow:
        return _unet_buffer(family, size, flash)
    made_of = _FAMILIES.get(family, _FLUX)
    width = _width(tensors, made_of.width_of)
    side = 32 if family == "wan2_2_ti2v" else 16
    tokens = size.latent_frames * -(-size.width // side) * -(-size.height // side) + made_of.text_tokens
    tokens += -(-size.reference_pixels // (side * side))
    heads = max(1, width // made_of.head_width)
    if flash:
        needed = made_of.flash * tokens * width + made_of.flash_pairs * tokens * tokens
    else:
        needed = made_of.plain * tokens * width + 4 * heads * tokens * tokens
    if family == "chroma_radiance":
        needed = max(needed, _RADIANCE_BYTES_PER_PIXEL * size.width * size.height)
    return int(needed)


def _unet_buffer(family: str, size: Size, flash: bool) -> int:
    latent = -(-size.width // 8) * -(-size.height // 8)
    convolutions = _UNET_FLASH * _UNET_WIDTH * latent
    if flash:
        return int(convolutions)
    # Heads, and the share of the latent pixels that attend to each other: XL's largest level has no attention.
    heads, tokens = (10, latent // 4) if family.startswith("sdxl") else (5 if family.startswith("sd2") else 8, latent)
    return int(max(convolutions, _UNET_PLAIN * _UNET_WIDTH * latent + 4 * heads * tokens * tokens))


def _width(tensors: Shapes, names: tuple[str, ...]) -> int:
    for wanted in names:
        for name, shape in tensors.items():
            if name.endswith(wanted) and len(shape) > 1:
                return shape[-1]
    return _USUAL_WIDTH


def encoder_buffer(roles: frozenset[str]) -> int:
    """Bytes of the text encoders' buffer; ``roles`` of the load's components."""
    return _ENCODER_BUFFER if roles & {"llm", "llm_vision", "t5xxl"} else 4 * MIB


class Autoencoder(NamedTuple):
    """What turns latents into pixels. ``channels`` of its widest layer at full size; ``is_tiny``: a TAESD; ``patch``:
    pixels a side that come out of one point of that layer; ``is_scaled``: its convolutions are computed on scaled-down
    numbers, as the library does with SDXL's own."""

    channels: int = USUAL_VAE_CHANNELS
    is_tiny: bool = False
    is_video: bool = False
    patch: int = 1
    is_scaled: bool = False


def autoencoder_of(tensors: Shapes) -> Autoencoder | None:
    """The autoencoder among ``tensors``, or ``None``."""
    for name, shape in tensors.items():
        if name.endswith("decoder.conv_out.weight") and len(shape) == 4:
            return Autoencoder(channels=shape[2])
        if name.endswith("decoder.head.2.weight"):
            return Autoencoder(channels=96, is_video=True)
        if name.endswith("decoder.22.weight"):
            return Autoencoder(channels=64, is_tiny=True, is_video=True, patch=2 if shape[-1] == 12 else 1)
    if any("decoder.layers." in name for name in tensors):
        return Autoencoder(channels=64, is_tiny=True)
    return None


def vae_buffer(
    autoencoder: Autoencoder, size: Size, tiling: bool = False, direct: bool = False, tile_pixels: int = 0
) -> int:
    """Bytes of the buffer that pixels are decoded in: by far the largest at a picture's full size. ``tiling``: in tiles
    of ``tile_pixels`` (0: the default size); ``direct``: with vae_conv_direct. Video autoencoders that are not tiny
    were not measured."""
    pixels = size.width * size.height // autoencoder.patch**2
    if tiling:
        pixels = min(pixels, tile_pixels or _TILE_PIXELS)
    if autoencoder.is_tiny:
        if autoencoder.is_video:
            return _VIDEO_TAE_BYTES_PER_PIXEL * pixels * size.latent_frames
        return _TAE_BYTES_PER_PIXEL * pixels
    per_channel = _VAE_DIRECT_BYTES_PER_CHANNEL if direct else _VAE_BYTES_PER_CHANNEL
    if autoencoder.is_scaled:
        per_channel += _VAE_SCALED_BYTES_PER_CHANNEL
    needed = per_channel * autoencoder.channels * pixels
    return needed * _VIDEO_KERNEL if autoencoder.is_video else needed


def tile_side(size: int, share: float, side: int) -> int:
    """Pixels of one side of a VAE tile: of ``size`` in latent pixels (0: the default), or by ``share`` of the picture's
    ``side`` where that is not 0; above 1 it is how many tiles there are."""
    if share:
        return math.ceil(side * share) if share <= 1 else math.ceil(side / share)
    return (size or _TILE_LATENTS) * _LATENT_SIDE


def upscaler_buffer(channels: int, tile: tuple[int, int], factor: int) -> int:
    """Bytes that an ESRGAN of so many ``channels`` takes to make a tile (width, height) ``factor`` times larger."""
    return _ESRGAN_BYTES_PER_CHANNEL * channels * tile[0] * tile[1] * factor * factor


def backend_bytes(backend: str, pixels: int = 0) -> int:
    """Bytes that a device's ``backend`` keeps beside weights and buffers while it draws a picture of so many
    ``pixels``; 0 where that was not measured."""
    kept = _KEPT_BYTES.get(backend, 0)
    return kept if backend == "Vulkan" or not kept else max(kept, _POOLED_BYTES + _POOLED_BYTES_PER_PIXEL * pixels)


def allocated_bytes(buffer: int, backend: str) -> int:
    """Bytes that ``backend`` allocates for a buffer of that size: more than that where it does so piece by piece."""
    return buffer + buffer // _GAPS_SHARE if backend == "Vulkan" and buffer > _PIECE_BYTES else buffer
