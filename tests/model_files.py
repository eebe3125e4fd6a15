"""Writes tiny model files for tests, with struct and json only: whole ones, and ones broken in a chosen way."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GGUF_TYPES = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q8_0": (8, 32, 34), "i32": (26, 1, 4),
              "tq1_0": (34, 256, 54), "tq2_0": (35, 256, 66)}  # fmt: skip
SAFETENSORS_TYPES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1}

Shapes = Mapping[str, Sequence[int]]


def gguf_text(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value: Any) -> bytes:
    """A metadata value with its type: text, int (u32), float (f32), or a list of one of these."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(gguf_text(text) for text in value)
    return struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)


def gguf_bytes(
    tensors: Shapes,
    kind: str = "f32",
    metadata: Mapping[str, Any] | None = None,
    *,
    version: int = 3,
    type_id: int | None = None,
    tensor_count: int | None = None,
    key_count: int | None = None,
    fill: bool = True,
) -> bytes:
    """A GGUF file; ``tensors`` maps names to shapes in ggml order. The keyword arguments lie about what is in it."""
    number, block, size = GGUF_TYPES[kind]
    metadata = {} if metadata is None else metadata
    head = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if tensor_count is None else tensor_count,
        len(metadata) if key_count is None else key_count,
    )
    head += b"".join(gguf_text(key) + gguf_value(value) for key, value in metadata.items())
    offset = 0
    for name, shape in tensors.items():
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", number if type_id is None else type_id, offset)
        elements = 1
        for side in shape:
            elements *= side
        offset += -(-(elements // block * size) // 32) * 32
    head += b"\0" * (-len(head) % 32)
    return head + bytes(offset if fill else 0)


def safetensors_bytes(tensors: Shapes, dtype: str = "F32", metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file; ``tensors`` maps names to shapes in torch order (the slowest dimension first)."""
    header, data_bytes = _safetensors_header(tensors, dtype, metadata)
    return raw_safetensors(header, data_bytes)


def _safetensors_header(
    tensors: Shapes, dtype: str = "F32", metadata: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], int]:
    """What is in its header, and the size of what is behind it."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, shape in tensors.items():
        elements = 1
        for side in shape:
            elements *= side
        end = offset + elements * SAFETENSORS_TYPES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    return header, offset


def raw_safetensors(header: Any, data_bytes: int = 64) -> bytes:
    """A file with ``header`` (any JSON value, or bytes taken as they are) where safetensors has its header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(data_bytes)


def write_sparse_safetensors(path: Path, tensors: Shapes) -> Path:
    """The same as a file on the disk, with a hole where the weights would be."""
    header, data_bytes = _safetensors_header(tensors)
    write(path, raw_safetensors(header, 0))
    os.truncate(path, path.stat().st_size + data_bytes)
    return path


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- the smallest tensor lists that give each kind of file away (shapes in ggml order) --------------------------------

FLUX: dict[str, tuple[int, ...]] = {
    "img_in.weight": (64, 128),
    "txt_in.weight": (64, 128),
    "double_blocks.0.img_attn.qkv.weight": (128, 384),
    "double_blocks.0.txt_attn.norm.key_norm.scale": (128,),
    "single_blocks.0.norm.key_norm.scale": (128,),
}
OVIS: dict[str, tuple[int, ...]] = {**FLUX, "double_blocks.0.img_mlp.gate_proj.weight": (128, 512)}
CHROMA: dict[str, tuple[int, ...]] = {**FLUX, "distilled_guidance_layer.in_proj.weight": (64, 128)}
KLEIN: dict[str, tuple[int, ...]] = {**FLUX, "double_stream_modulation_img.lin.weight": (128, 768)}
SD3: dict[str, tuple[int, ...]] = {
    "joint_blocks.0.x_block.attn.qkv.weight": (64, 192),
    "context_embedder.weight": (64, 64),
}
QWEN: dict[str, tuple[int, ...]] = {
    "txt_in.weight": (64, 128),
    "transformer_blocks.0.img_mod.1.weight": (64, 64),
}
LORA: dict[str, tuple[int, ...]] = {
    "diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight": (128, 8),
    "diffusion_model.double_blocks.0.img_attn.qkv.lora_B.weight": (8, 384),
}
KOHYA_LORA: dict[str, tuple[int, ...]] = {
    "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (128, 8),
    "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": (8, 384),
    "lora_unet_double_blocks_0_img_attn_qkv.alpha": (1,),
}
ESRGAN: dict[str, tuple[int, ...]] = {"conv_first.weight": (3, 3, 3, 64), "conv_body.weight": (3, 3, 64, 64)}
VAE: dict[str, tuple[int, ...]] = {"decoder.conv_in.weight": (3, 3, 16, 64), "decoder.mid.block_1.norm1.weight": (64,)}
TAE: dict[str, tuple[int, ...]] = {"decoder.layers.0.weight": (3, 3, 16, 64), "encoder.layers.0.weight": (3, 3, 3, 64)}
CONTROLNET: dict[str, tuple[int, ...]] = {
    "zero_convs.0.0.weight": (1, 1, 32, 32),
    "input_blocks.0.0.weight": (3, 3, 4, 32),
}
CLIP_L: dict[str, tuple[int, ...]] = {"text_model.encoder.layers.0.mlp.fc1.weight": (64, 64)}
T5: dict[str, tuple[int, ...]] = {"encoder.block.0.layer.0.SelfAttention.q.weight": (64, 64), "shared.weight": (64, 64)}
LLM: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (64, 151_936),
    "model.layers.0.self_attn.q_proj.weight": (64, 64),
}
LLAMA: dict[str, tuple[int, ...]] = {"token_embd.weight": (64, 512), "blk.0.attn_q.weight": (64, 64)}
EMBEDDING: dict[str, tuple[int, ...]] = {"emb_params": (768, 2)}


def clip(width: int) -> dict[str, tuple[int, ...]]:
    """A CLIP text encoder: 768 wide for CLIP-L, 1280 for CLIP-G."""
    prefix = "text_model.embeddings."
    return {**CLIP_L, prefix + "token_embedding.weight": (width, 8), prefix + "position_embedding.weight": (width, 77)}


def t5(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """The text encoder of T5-XXL (32,128 tokens) or UMT5-XXL (256,384)."""
    return {"encoder.block.0.layer.0.SelfAttention.q.weight": (64, 64), "shared.weight": (4096, vocabulary)}


def wan_vae(channels: int) -> dict[str, tuple[int, ...]]:
    """A VAE of Wan 2.1 (16 channels) or of Wan 2.2 5B (48)."""
    return {"conv2.bias": (channels,), "decoder.conv1.weight": (3, 3, 3, channels * 8), "decoder.conv1.bias": (8,)}


def wan(blocks: int, channels: int = 96) -> dict[str, tuple[int, ...]]:
    """A Wan video model with that many blocks; ``channels`` = input x output channels of its patch embedding."""
    tensors: dict[str, tuple[int, ...]] = {"patch_embedding.weight": (2, 2, 1, channels)}
    for index in range(blocks):
        tensors[f"blocks.{index}.cross_attn.norm_k.weight"] = (8,)
    return tensors


def unet(
    *, width: int = 768, inputs: int = 4, middle: bool = True, second_encoder: bool = False
) -> dict[str, tuple[int, ...]]:
    """A single-file Stable Diffusion checkpoint with its text encoder and VAE; ``width`` of the text encoder."""
    unet_prefix = "model.diffusion_model."
    tensors: dict[str, tuple[int, ...]] = {
        unet_prefix + "input_blocks.0.0.weight": (3, 3, inputs, 8),
        unet_prefix + "output_blocks.7.1.norm.weight": (8,),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (width, 4),
        "first_stage_model.decoder.conv_in.weight": (3, 3, 4, 8),
    }
    if middle:
        tensors[unet_prefix + "middle_block.1.norm.weight"] = (8,)
    if second_encoder:
        tensors["cond_stage_model.1.transformer.text_model.final_layer_norm.weight"] = (8,)
    return tensors


def reversed_shapes(tensors: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """ggml order to torch order, or back."""
    return {name: tuple(reversed(shape)) for name, shape in tensors.items()}
