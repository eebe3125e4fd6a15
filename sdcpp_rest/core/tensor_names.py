"""Turns the names that model and LoRA files give their tensors into the names of the library's own weights.

Follows the library's own renaming, bugs included: what does not come out right here is not found there either. Pure
functions over names; it must not know files or shapes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

DIFFUSION = "model.diffusion_model."
SECOND_CLIP = "cond_stage_model.1."
_TEXT_ENCODERS = (SECOND_CLIP, "cond_stage_model.", "conditioner.embedders.", "text_encoders.")

_UNETS = ("sd1", "sd2", "sdxs_", "sdxl")
_FLUX = frozenset({"flux", "flux_fill", "flux_control", "flex2", "chroma", "chroma_radiance", "ovis_image"})
_FLUX_2 = frozenset({"flux2", "flux2_klein"})


def is_unet(family: str) -> bool:
    """Whether a model of the family with this id is a UNet (``svd`` is not among those that can be used)."""
    return family.startswith(_UNETS)


# --- names of model files ---------------------------------------------------------------------------------------------

_PREFIXES = {
    "diffusion_model.": DIFFUSION,
    "unet.": DIFFUSION,
    "transformer.": DIFFUSION,
    "vae.": "first_stage_model.",
    "text_encoder.2.": "cond_stage_model.1.transformer.",
    "text_encoder.": "cond_stage_model.transformer.",
    "te.": "cond_stage_model.transformer.",
    "conditioner.embedders.0.open_clip.": "cond_stage_model.",
    "conditioner.embedders.0.": "cond_stage_model.",
    "conditioner.embedders.1.": SECOND_CLIP,
    "te2.": "cond_stage_model.1.transformer.",
    "te1.": "cond_stage_model.transformer.",
    "te3.": "text_encoders.t5xxl.transformer.",
}


def weight_name(name: str, family: str) -> str:
    """The library's name of the weight that a model of ``family`` (an id) keeps under ``name``, which carries the
    prefix of the role that its file is loaded for."""
    name = _with_known_prefix(name, family)
    if name.startswith(DIFFUSION):
        return DIFFUSION + _diffusion_name(name[len(DIFFUSION) :], family)
    for prefix in _TEXT_ENCODERS:
        if name.startswith(prefix):
            return prefix + _text_encoder_name(name[len(prefix) :])
    return name


def _with_known_prefix(name: str, family: str) -> str:
    prefixes = {**_PREFIXES, "te1.": "text_encoders.clip_l.transformer."} if family in _FLUX else _PREFIXES
    for given in sorted(prefixes, key=len, reverse=True):
        if name.startswith(given):
            return prefixes[given] + name[len(given) :]
    return name


def _diffusion_name(name: str, family: str) -> str:
    if is_unet(family):
        return _unet_name(name, is_xl=family.startswith("sdxl"))
    if family == "sd3":
        return _transformer_name(name, _SD3)
    if family in _FLUX or family in _FLUX_2:
        return _transformer_name(name, _FLUX_NAMES)
    if family == "z_image":
        return _z_image_name(name)
    if family == "anima":
        return name if name.startswith("net.") else "net." + name
    return name


# --- UNets in diffusers' form -----------------------------------------------------------------------------------------

_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET_PARTS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET_BLOCK = re.compile(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(conv\.)?")


def _unet_name(name: str, is_xl: bool) -> str:
    whole = re.fullmatch(r"(.+)\.(weight|bias)", name)
    if whole and whole[1] in _UNET_ENDS and (is_xl or not whole[1].startswith("add_")):
        return f"{_UNET_ENDS[whole[1]]}.{whole[2]}"
    if "resnets" in name:
        for part, own in _RESNET_PARTS.items():
            name = name.replace(part, own, 1)
    name = _UNET_BLOCK.sub(lambda match: _unet_block(match, is_xl), name, count=1)
    name = name.replace("mid_block.attentions.0.", "middle_block.1.", 1)
    for number in (0, 1):
        name = name.replace(f"mid_block.resnets.{number}.", f"middle_block.{2 * number}.", 1)
    if is_xl:
        name = name.replace("output_blocks.2.1.conv.", "output_blocks.2.2.conv.", 1)
        name = name.replace("to_out.weight", "to_out.0.weight", 1).replace("to_out.bias", "to_out.0.bias", 1)
    return name


def _unet_block(match: re.Match[str], is_xl: bool) -> str:
    side, block, part, number = match[1], int(match[2]), match[3], int(match[4])
    first = 3 * block + number
    if part == "downsamplers":
        return f"input_blocks.{3 * (block + 1)}.0.op."
    rest = match[5] or ""
    if part == "upsamplers":
        return f"output_blocks.{3 * block + 2}.{1 if block == 0 else 2}.{rest}"
    place = 0 if part == "resnets" else 1
    blocks = "input_blocks" if side == "down" else "output_blocks"
    return f"{blocks}.{first + 1 if side == 'down' else first}.{place}.{rest}"


# --- transformers in diffusers' form ----------------------------------------------------------------------------------


class _Form(NamedTuple):
    """How diffusers' names of one family become the original ones: ``blocks`` by kind of block, each with its new name,
    the blocks that are renamed, and the parts; a part with a number is that piece of a fused weight."""

    blocks: dict[str, tuple[str, int, dict[str, str]]]
    ends: dict[str, str]


def _pieces(original: str, *parts: str) -> dict[str, str]:
    return {part: f"{original}#{number}" if number else original for number, part in enumerate(parts)}


_EMBEDDERS = {
    "time_text_embed.timestep_embedder": "t_embedder.mlp",
    "time_text_embed.text_embedder": "y_embedder.mlp",
}
_SD3_PARTS = {
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    **_pieces("x_block.attn.qkv", "attn.to_q", "attn.to_k", "attn.to_v"),
    **_pieces("context_block.attn.qkv", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    **_pieces("x_block.attn2.qkv", "attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn2.to_out.0": "x_block.attn2.proj",
}
_SD3 = _Form(
    {"transformer_blocks": ("joint_blocks", 38, _SD3_PARTS)},
    {
        **{f"{given}.linear_{n + 1}": f"{own}.{2 * n}" for given, own in _EMBEDDERS.items() for n in (0, 1)},
        "pos_embed.proj": "x_embedder.proj",
        "proj_out": "final_layer.linear",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
    },
)
_FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    **_pieces("img_attn.qkv", "attn.to_q", "attn.to_k", "attn.to_v"),
    **_pieces("txt_attn.qkv", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
}
_FLUX_SINGLE = {
    "norm.linear": "modulation.lin",
    **_pieces("linear1", "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "proj_out": "linear2",
}
_FLUX_EMBEDDERS = {"timestep_embedder": "time_in", "text_embedder": "vector_in", "guidance_embedder": "guidance_in"}
_FLUX_NAMES = _Form(
    {
        "transformer_blocks": ("double_blocks", 19, _FLUX_DOUBLE),
        "single_transformer_blocks": ("single_blocks", 38, _FLUX_SINGLE),
    },
    {
        **{f"time_text_embed.{given}.linear_1": f"{own}.in_layer" for given, own in _FLUX_EMBEDDERS.items()},
        **{f"time_text_embed.{given}.linear_2": f"{own}.out_layer" for given, own in _FLUX_EMBEDDERS.items()},
        "context_embedder": "txt_in",
        "x_embedder": "img_in",
        "proj_out": "final_layer.linear",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
    },
)
_BLOCK = re.compile(r"(\w+)\.(\d{1,4})\.(.+?)\.(weight|bias)(\..+)?")
_END = re.compile(r"(.+?)\.(weight|bias)(\..+)?")


def _transformer_name(name: str, form: _Form) -> str:
    match = _BLOCK.fullmatch(name)
    if match and match[1] in form.blocks:
        own, count, parts = form.blocks[match[1]]
        if int(match[2]) < count and match[3] in parts:
            return f"{own}.{match[2]}.{_piece(parts[match[3]], match[4])}{match[5] or ''}"
        return name
    match = _END.fullmatch(name)
    if match and match[1] in form.ends:
        return f"{form.ends[match[1]]}.{match[2]}{match[3] or ''}"
    return name


def _piece(original: str, kind: str) -> str:
    own, _, number = original.partition("#")
    return f"{own}.{kind}.{number}" if number else f"{own}.{kind}"


_Z_BLOCK = re.compile(r"((?:noise_refiner|context_refiner|layers)\.\d{1,2})\.attention\.(.+)")
_Z_PIECES = {"to_q": "", "to_k": ".1", "to_v": ".2"}


def _z_image_name(name: str) -> str:
    name = re.sub(r"^all_(x_embedder|final_layer)\.2-1\.", r"\1.", name)
    match = _Z_BLOCK.fullmatch(name)
    if match is None:
        return name
    rest = re.sub(r"^norm_([qk])\.", r"\1_norm.", match[2])
    rest = re.sub(r"^to_out\.0\.", "out.", rest)
    rest = re.sub(r"^(to_[qkv])\.(weight|bias)", lambda one: f"qkv.{one[2]}{_Z_PIECES[one[1]]}", rest)
    return f"{match[1]}.attention.{rest}"


# --- text encoders ----------------------------------------------------------------------------------------------------

_RESBLOCK = re.compile(r"model\.transformer\.resblocks\.(\d+)\.(.+)")
_RESBLOCK_PARTS = {
    "attn.in_proj_bias": "self_attn.in_proj.bias",
    "attn.in_proj_weight": "self_attn.in_proj.weight",
    **{f"attn.out_proj.{kind}": f"self_attn.out_proj.{kind}" for kind in ("weight", "bias")},
    **{f"mlp.c_fc.{kind}": f"mlp.fc1.{kind}" for kind in ("weight", "bias")},
    **{f"mlp.c_proj.{kind}": f"mlp.fc2.{kind}" for kind in ("weight", "bias")},
}
_T5_PARTS = {
    "enc.": "encoder.",
    "blk.": "block.",
    "attn_q.": "layer.0.SelfAttention.q.",
    "attn_k.": "layer.0.SelfAttention.k.",
    "attn_v.": "layer.0.SelfAttention.v.",
    "attn_o.": "layer.0.SelfAttention.o.",
    "ffn_up.": "layer.1.DenseReluDense.wi_1.",
    "ffn_down.": "layer.1.DenseReluDense.wo.",
    "ffn_gate.": "layer.1.DenseReluDense.wi_0.",
}
_LLM_PARTS = {
    "blk.": "model.layers.",
    "attn_q.": "self_attn.q_proj.",
    "attn_k.": "self_attn.k_proj.",
    "attn_v.": "self_attn.v_proj.",
    "attn_output.": "self_attn.o_proj.",
    "ffn_down.": "mlp.down_proj.",
    "ffn_gate.": "mlp.gate_proj.",
    "ffn_up.": "mlp.up_proj.",
}


def _text_encoder_name(name: str) -> str:
    parts = _T5_PARTS if "t5xxl" in name else _LLM_PARTS if "llm" in name else None
    if parts is not None:
        for given, own in parts.items():
            name = name.replace(given, own, 1)
        return name
    match = _RESBLOCK.fullmatch(name)
    if match and match[2] in _RESBLOCK_PARTS:
        return f"transformer.text_model.encoder.layers.{match[1]}.{_RESBLOCK_PARTS[match[2]]}"
    return name


# --- names of LoRA files ----------------------------------------------------------------------------------------------

_SUFFIXES = {
    **{f".lora_{part}.weight": f"lora_{part}" for part in ("down", "mid", "up")},
    **{f"{dot}lora.{part}.weight": f"lora_{part}" for part in ("down", "mid", "up") for dot in "._"},
    ".lora_A.weight": "lora_down",
    ".lora_B.weight": "lora_up",
    ".lora_A.default.weight": "lora_down",
    ".lora_B.default.weight": "lora_up",
    ".lora_linear": "alpha",
    **{f".{part}": part for part in ("alpha", "scale", "diff", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    **{f".{part}": part for part in ("hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b")},
    **{f".{part}": part for part in ("lokr_w2", "lokr_w2_a", "lokr_w2_b")},
}
_LORA_STARTS = ("lora.", "lora_", "lycoris_", "lycoris.")
_UNDERLINED = ("unet_", "te_", "te1_", "te2_", "te3_", "vae_")
# In names that are written with underlines alone, these are words; every other underline stands for a dot.
_WORDS = (
    "self_attn", "out_proj", "q_proj", "k_proj", "v_proj", "to_k", "to_q", "to_v", "to_out", "text_model",
    "down_blocks", "mid_block", "up_block", "proj_in", "proj_out", "transformer_blocks",
    "single_transformer_blocks", "single_blocks", "diffusion_model", "cond_stage_model", "first_stage_model",
    "conv_in", "conv_out", "time_emb_proj", "conv_shortcut", "time_embedding", "conv_norm_out", "double_blocks",
    "txt_attn", "img_attn", "input_blocks", "output_blocks", "middle_block", "skip_connection", "emb_layers",
    "in_layers", "out_layers", "add_q_proj", "add_k_proj", "add_v_proj", "add_out_proj", "ff_context",
    "norm_added_q", "norm_added_v", "to_add_out", "txt_mod", "img_mod", "txt_mlp", "img_mlp", "proj_mlp", "wi_0",
    "wi_1", "norm1_context", "x_embedder",
)  # fmt: skip
_ENDING = ".lora"
_CLIP_PIECES = {"q_proj": "", "k_proj": ".1", "v_proj": ".2"}


class LoraPart(NamedTuple):
    """One tensor of a LoRA: the weight that it is for, and which part of the change it is."""

    weight: str
    part: str


def lora_part(name: str, family: str, *, is_high_noise: bool = False, has_fused_clip: bool = False) -> LoraPart | None:
    """What the tensor ``name`` of a LoRA is for in a model of ``family``; ``None`` where the library does not know the
    form of its ending.

    A LoRA of the ``is_high_noise`` expert is looked up under that expert's own prefix. ``has_fused_clip``: the second
    CLIP text encoder keeps its q, k and v in one weight.
    """
    if is_high_noise:
        name = name if name.startswith("model.high_noise_") else "model.high_noise_" + name
    start = next((start for start in _LORA_STARTS if name.startswith(start)), "")
    name = name[len(start) :]
    is_underlined = start == "lycoris_" or name.startswith(_UNDERLINED)
    kind = "weight"
    if name.endswith(".diff_b"):
        stem, part, kind = name[: -len(".diff_b")], "diff", "bias"
    else:
        ending = next((ending for ending in _SUFFIXES if name.endswith(ending)), None)
        if ending is None:
            return None
        stem, part = name[: -len(ending)], _SUFFIXES[ending]
    stem = stem.replace(".processor", "", 1)
    if stem.startswith(("transformer_blocks", "single_transformer_blocks")):
        stem = "transformer." + stem
    if is_unet(family) or is_underlined:
        stem = _put_dots(stem)
    # With an ending the library does not rename what it knows as a whole name only (a UNet's conv_in, say).
    weight = weight_name(f"{stem}.{kind}{_ENDING}", family).removesuffix(_ENDING)
    if has_fused_clip and weight.startswith(SECOND_CLIP):
        weight = re.sub(
            r"self_attn\.([qkv]_proj)\.(weight|bias)$",
            lambda match: f"self_attn.in_proj.{match[2]}{_CLIP_PIECES[match[1]]}",
            weight,
        )
    return LoraPart(weight, part)


def _put_dots(name: str) -> str:
    kept: set[int] = set()
    for word in _WORDS:
        start = name.find(word)
        while start >= 0:
            kept.update(start + at for at, letter in enumerate(word) if letter == "_")
            start = name.find(word, start + len(word))
    return "".join("." if letter == "_" and at not in kept else letter for at, letter in enumerate(name))
