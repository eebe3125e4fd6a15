"""Text encoders, and encoders that look at pictures: CLIP, T5 and language models, as small as the library takes them.

CLIP and T5 have fixed sizes there; a language model's width, depth and vocabulary are taken from the file.
"""

from __future__ import annotations

from tools.synthetic_models.tensors import Layers

_CLIP_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


def clip_l() -> Layers:
    return _clip_text(768, 12, 3072)


def clip_h() -> Layers:
    """The text encoder of Stable Diffusion 2."""
    return _clip_text(1024, 24, 4096)


def clip_g() -> Layers:
    layers = _clip_text(1280, 32, 5120)
    layers.matrix("text_model.text_projection", 1280, 1280)
    return layers


def clip_vision_h() -> Layers:
    """What Wan looks at a first frame with."""
    layers = clip_vision(1280, 32, 5120)
    layers.linear("visual_projection", 1280, 1024, bias=False)
    return layers


def clip_vision(width: int, depth: int, inner: int) -> Layers:
    layers = Layers()
    layers.parameter("vision_model.embeddings.class_embedding", width)
    layers.convolution("vision_model.embeddings.patch_embedding", 3, width, kernel=14, bias=False)
    layers.parameter("vision_model.embeddings.position_embedding.weight", width, 257)
    layers.norm("vision_model.pre_layernorm", width)
    layers.norm("vision_model.post_layernorm", width)
    _clip_blocks(layers, "vision_model.encoder.layers", width, depth, inner)
    return layers


def t5(vocabulary: int = 32_128, bias_in_every_block: bool = False) -> Layers:
    """T5-XXL; with 256,384 words and a position table in every block, UMT5-XXL."""
    layers = Layers()
    layers.embedding("shared.weight", 4096, vocabulary)
    for block in range(24):
        attention = f"encoder.block.{block}.layer.0"
        for part in "qkvo":
            layers.matrix(f"{attention}.SelfAttention.{part}.weight", 4096, 4096)
        if block == 0 or bias_in_every_block:
            layers.parameter(f"{attention}.SelfAttention.relative_attention_bias.weight", 64, 32)
        layers.norm(f"{attention}.layer_norm", 4096, bias=False)
        dense = f"encoder.block.{block}.layer.1"
        layers.norm(f"{dense}.layer_norm", 4096, bias=False)
        layers.matrix(f"{dense}.DenseReluDense.wi_0.weight", 4096, 10_240)
        layers.matrix(f"{dense}.DenseReluDense.wi_1.weight", 4096, 10_240)
        layers.matrix(f"{dense}.DenseReluDense.wo.weight", 10_240, 4096)
    layers.norm("encoder.final_layer_norm", 4096, bias=False)
    return layers


def umt5() -> Layers:
    return t5(256_384, bias_in_every_block=True)


def qwen3(width: int) -> Layers:
    """Also knows heads by 128, 32 of them for queries and 8 for keys, whatever its width."""
    layers = _language_model(width, 151_936, queries=4096, keys=1024, bias=False)
    for part in ("q_norm", "k_norm"):
        layers.norm(f"model.layers.0.self_attn.{part}", 128, bias=False)
    return layers


def mistral(width: int) -> Layers:
    return _language_model(width, 131_072, queries=4096, keys=1024, bias=False)


def qwen2_5_vl() -> Layers:
    """3,584 wide like the real one: Qwen Image's transformer expects it."""
    return _language_model(3584, 152_064, queries=3584, keys=512, bias=True)


def qwen2_5_vision() -> Layers:
    """The part that shows Qwen Image Edit its picture; every size of it is fixed."""
    width, inner, merged = 1280, 3420, 5120
    layers = Layers()
    layers.convolution("patch_embed.proj", 3, width, kernel=(14, 14, 2), bias=False)
    for block in range(32):
        name = f"blocks.{block}"
        layers.linear(f"{name}.attn.qkv", width, 3 * width)
        layers.linear(f"{name}.attn.proj", width, width)
        layers.linear(f"{name}.mlp.gate_proj", width, inner)
        layers.linear(f"{name}.mlp.up_proj", width, inner)
        layers.linear(f"{name}.mlp.down_proj", inner, width)
        layers.norm(f"{name}.norm1", width, bias=False)
        layers.norm(f"{name}.norm2", width, bias=False)
    layers.norm("merger.ln_q", width, bias=False)
    layers.linear("merger.mlp.0", merged, merged)
    layers.linear("merger.mlp.2", merged, 3584)
    return layers


def _clip_text(width: int, depth: int, inner: int) -> Layers:
    layers = Layers()
    layers.embedding("text_model.embeddings.token_embedding.weight", width, 49_408)
    layers.parameter("text_model.embeddings.position_embedding.weight", width, 77)
    _clip_blocks(layers, "text_model.encoder.layers", width, depth, inner)
    layers.norm("text_model.final_layer_norm", width)
    return layers


def _clip_blocks(layers: Layers, prefix: str, width: int, depth: int, inner: int) -> None:
    for block in range(depth):
        name = f"{prefix}.{block}"
        for part in _CLIP_PROJECTIONS:
            layers.linear(f"{name}.self_attn.{part}", width, width)
        layers.norm(f"{name}.layer_norm1", width)
        layers.norm(f"{name}.layer_norm2", width)
        layers.linear(f"{name}.mlp.fc1", width, inner)
        layers.linear(f"{name}.mlp.fc2", inner, width)


def _language_model(width: int, vocabulary: int, *, queries: int, keys: int, bias: bool, inner: int = 64) -> Layers:
    """One layer is enough; the vocabulary must hold the tokenizer's special tokens."""
    layers = Layers()
    layers.embedding("model.embed_tokens.weight", width, vocabulary)
    layers.norm("model.norm", width, bias=False)
    name = "model.layers.0"
    layers.norm(f"{name}.input_layernorm", width, bias=False)
    layers.norm(f"{name}.post_attention_layernorm", width, bias=False)
    layers.linear(f"{name}.self_attn.q_proj", width, queries, bias)
    layers.linear(f"{name}.self_attn.k_proj", width, keys, bias)
    layers.linear(f"{name}.self_attn.v_proj", width, keys, bias)
    layers.linear(f"{name}.self_attn.o_proj", queries, width, bias=False)
    layers.linear(f"{name}.mlp.gate_proj", width, inner, bias=False)
    layers.linear(f"{name}.mlp.up_proj", width, inner, bias=False)
    layers.linear(f"{name}.mlp.down_proj", inner, width, bias=False)
    return layers
