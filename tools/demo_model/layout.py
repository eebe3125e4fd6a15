"""Names and shapes of every tensor in the shipped files, as the native library expects them.

The contract between the networks, the export and the tests: whatever is written is compared with this page first.
Shapes are PyTorch's, [out, in, ...]; a GGUF header shows them reversed. Needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

HEAD = 128
"""Width of an attention head, in both transformers: the library allows no other (16 + 56 + 56 RoPE dimensions)."""
TEXT_WIDTH = 64
"""Width of the text features that the diffusion transformer reads."""
LATENT_CHANNELS = 16
LATENT_SCALE = 8
"""Pixels per latent pixel, in each direction."""
PATCH = 2
"""Latent pixels per transformer token, in each direction."""

TRANSFORMER_FILE = PurePosixPath("diffusion_models/demo_dit_q8_0.gguf")
TEXT_ENCODER_FILE = PurePosixPath("llm/demo_llm_q4_0.gguf")
AUTOENCODER_FILE = PurePosixPath("taesd/demo_tae.safetensors")
LORA_FILE = PurePosixPath("loras/demo_lora.safetensors")


def upscaler_file(factor: int) -> PurePosixPath:
    return PurePosixPath(f"esrgan/esrgan_x{factor}.safetensors")


# --- diffusion transformer (Ovis Image) -------------------------------------------------------------------------------


@dataclass(frozen=True)
class TransformerSize:
    """What the library infers from the file. ``hidden`` is a multiple of HEAD."""

    hidden: int = 128
    double_blocks: int = 1
    single_blocks: int = 5


BUNDLED_SIZE = TransformerSize()


def transformer_shapes(size: TransformerSize = BUNDLED_SIZE) -> Shapes:
    """``double_blocks.0.img_mlp.gate_proj.weight`` is what tells the library that this is an Ovis Image model."""
    h = size.hidden
    patch = LATENT_CHANNELS * PATCH * PATCH
    shapes: Shapes = {
        **_linear("img_in", h, patch),
        **_linear("time_in.in_layer", h, 256),
        **_linear("time_in.out_layer", h, h),
        "txt_norm.scale": (TEXT_WIDTH,),
        **_linear("txt_in", h, TEXT_WIDTH),
    }
    for block in range(size.double_blocks):
        for stream in ("img", "txt"):
            name = f"double_blocks.{block}.{stream}"
            shapes |= _linear(f"{name}_mod.lin", 6 * h, h)
            shapes |= _linear(f"{name}_attn.qkv", 3 * h, h)
            shapes |= {f"{name}_attn.norm.{one}_norm.scale": (HEAD,) for one in ("query", "key")}
            shapes |= _linear(f"{name}_attn.proj", h, h)
            shapes |= _linear(f"{name}_mlp.gate_proj", 4 * h, h)
            shapes |= _linear(f"{name}_mlp.up_proj", 4 * h, h)
            shapes |= _linear(f"{name}_mlp.down_proj", h, 4 * h)
    for block in range(size.single_blocks):
        name = f"single_blocks.{block}"
        shapes |= _linear(f"{name}.linear1", 11 * h, h)  # query, key, value, then 4h value and 4h gate of the MLP
        shapes |= _linear(f"{name}.linear2", h, 5 * h)
        shapes |= {f"{name}.norm.{one}_norm.scale": (HEAD,) for one in ("query", "key")}
        shapes |= _linear(f"{name}.modulation.lin", 3 * h, h)
    shapes |= _linear("final_layer.linear", patch, h)
    shapes |= _linear("final_layer.adaLN_modulation.1", 2 * h, h)
    return shapes


LORA_RANK = 8
LORA_PREFIX = "diffusion_model."
"""Without it the library ignores a LoRA silently."""


def lora_targets(size: TransformerSize = BUNDLED_SIZE) -> list[str]:
    """The linear layers that the bundled LoRA changes."""
    return [
        *(f"single_blocks.{block}.{name}" for block in range(size.single_blocks) for name in ("linear1", "linear2")),
        *(f"double_blocks.{block}.img_attn.{name}" for block in range(size.double_blocks) for name in ("qkv", "proj")),
    ]


def lora_shapes(size: TransformerSize = BUNDLED_SIZE) -> Shapes:
    weights = transformer_shapes(size)
    shapes: Shapes = {}
    for target in lora_targets(size):
        wide, narrow = weights[f"{target}.weight"]
        shapes[f"{LORA_PREFIX}{target}.lora_A.weight"] = (LORA_RANK, narrow)
        shapes[f"{LORA_PREFIX}{target}.lora_B.weight"] = (wide, LORA_RANK)
    return shapes


# --- text encoder (Qwen3) ---------------------------------------------------------------------------------------------

VOCABULARY = 151936
QUERY_HEADS, KEY_HEADS = 32, 8
"""Both, and the vocabulary, are fixed in the library; what is not trained is zero in the file."""


def text_encoder_shapes(layers: int = 2, mlp: int = 128) -> Shapes:
    d = TEXT_WIDTH
    shapes: Shapes = {"model.embed_tokens.weight": (VOCABULARY, d), "model.norm.weight": (d,)}
    for layer in range(layers):
        name = f"model.layers.{layer}"
        shapes |= {
            f"{name}.self_attn.q_proj.weight": (QUERY_HEADS * HEAD, d),
            f"{name}.self_attn.k_proj.weight": (KEY_HEADS * HEAD, d),
            f"{name}.self_attn.v_proj.weight": (KEY_HEADS * HEAD, d),
            f"{name}.self_attn.o_proj.weight": (d, QUERY_HEADS * HEAD),
            f"{name}.self_attn.q_norm.weight": (HEAD,),
            f"{name}.self_attn.k_norm.weight": (HEAD,),
            f"{name}.mlp.gate_proj.weight": (mlp, d),
            f"{name}.mlp.up_proj.weight": (mlp, d),
            f"{name}.mlp.down_proj.weight": (d, mlp),
            f"{name}.input_layernorm.weight": (d,),
            f"{name}.post_attention_layernorm.weight": (d,),
        }
    return shapes


# --- autoencoder (taef1) ----------------------------------------------------------------------------------------------

AUTOENCODER_WIDTH = 64
BLOCKS_PER_STAGE = 3
"""Both fixed in the library; a block of zeros passes its (never negative) input on unchanged."""


def encoder_shapes() -> Shapes:
    w = AUTOENCODER_WIDTH
    shapes = _conv("encoder.layers.0", w, 3) | _conv_block("encoder.layers.1")
    for shrink in (2, 6, 10):
        shapes |= _conv(f"encoder.layers.{shrink}", w, w, bias=False)
        for block in range(BLOCKS_PER_STAGE):
            shapes |= _conv_block(f"encoder.layers.{shrink + 1 + block}")
    return shapes | _conv("encoder.layers.14", LATENT_CHANNELS, w)


def decoder_shapes() -> Shapes:
    w = AUTOENCODER_WIDTH
    shapes = _conv("decoder.layers.0", w, LATENT_CHANNELS)
    for block in range(BLOCKS_PER_STAGE):
        shapes |= _conv_block(f"decoder.layers.{2 + block}")
    for grow in (6, 11):
        shapes |= _conv(f"decoder.layers.{grow}", w, w, bias=False)
        for block in range(BLOCKS_PER_STAGE):
            shapes |= _conv_block(f"decoder.layers.{grow + 1 + block}")
    shapes |= _conv("decoder.layers.16", w, w, bias=False)
    return shapes | _conv_block("decoder.layers.17") | _conv("decoder.layers.18", 3, w)


def autoencoder_shapes() -> Shapes:
    return encoder_shapes() | decoder_shapes()


# --- upscaler (ESRGAN) ------------------------------------------------------------------------------------------------

UPSCALER_WIDTH = 64


def upscaler_shapes(factor: int) -> Shapes:
    """An RRDBNet with no RRDB block at all, which the library accepts. ``factor`` is 2 or 4."""
    w = UPSCALER_WIDTH
    shapes = _conv("conv_first", w, 3) | _conv("conv_body", w, w) | _conv("conv_up1", w, w)
    if factor == 4:
        shapes |= _conv("conv_up2", w, w)
    return shapes | _conv("conv_hr", w, w) | _conv("conv_last", 3, w)


# --- comparing --------------------------------------------------------------------------------------------------------


def differences(found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> list[str]:
    """One line for every tensor that is missing, unknown or of another shape; empty when all is well."""
    lines = [f"{name} is missing" for name in wanted if name not in found]
    lines += [f"{name} is not part of the layout" for name in found if name not in wanted]
    lines += [
        f"{name} has shape {tuple(found[name])}, not {shape}"
        for name, shape in wanted.items()
        if name in found and tuple(found[name]) != shape
    ]
    return lines


def _linear(name: str, wide: int, narrow: int) -> Shapes:
    return {f"{name}.weight": (wide, narrow), f"{name}.bias": (wide,)}


def _conv(name: str, wide: int, narrow: int, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (wide, narrow, 3, 3)}
    return shapes | {f"{name}.bias": (wide,)} if bias else shapes


def _conv_block(name: str) -> Shapes:
    w = AUTOENCODER_WIDTH
    return _conv(f"{name}.conv.0", w, w) | _conv(f"{name}.conv.2", w, w) | _conv(f"{name}.conv.4", w, w)
