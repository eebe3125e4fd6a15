"""Recognises the family of a model by the names and shapes of its tensors.

Pure. It must not read files, and it refuses only what is certain: an unknown file is for the library to judge.
Shapes are in ggml order: the fastest-running dimension first.
"""

from __future__ import annotations

import re

from sdcpp_rest.core.architectures import (
    ARCHITECTURES,
    DIFFUSION_PREFIX,
    LLM_TABLES,
    Architecture,
    Contents,
    Shapes,
    side,
)
from sdcpp_rest.core.load_spec import ModelKind

# One tensor name each is proof enough; the order matters where a file of one family holds another's names too.
_SIGNS: tuple[tuple[str, str], ...] = (
    ("nerf_final_layer_conv.", "chroma_radiance"),
    ("joint_blocks.", "sd3"),
    ("transformer_blocks.0.img_mod.1.weight", "qwen_image"),
    ("double_blocks.0.img_mlp.gate_proj.weight", "ovis_image"),
    ("cap_embedder.0.weight", "z_image"),
    ("layers.0.adaLN_sa_ln.weight", "ernie_image"),
    ("input_blocks.8.0.time_mixer.mix_factor", "svd"),
)
_TOKEN_TABLES = frozenset(
    {
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
        "cond_stage_model.model.token_embedding.weight",
        "text_encoder.text_model.embeddings.token_embedding.weight",
        "te1.text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.token_embedding.weight",
        "te.text_model.embeddings.token_embedding.weight",
        "conditioner.embedders.0.model.token_embedding.weight",
        "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
    }
)
_SECOND_ENCODER = ("conditioner.embedders.1", "cond_stage_model.1", "te.1")


def detect(tensors: Shapes) -> Architecture | None:
    """The family of a picture model, or ``None``.

    Tensor names may carry the ``model.diffusion_model.`` prefix of single-file checkpoints or be bare, as in files
    that hold the diffusion model alone.
    """
    tensors = _with_usual_prefix(tensors)
    return _detect_prefixed(tensors) or _detect_prefixed(_with_prefix(tensors))


def natural_kind(tensors: Shapes) -> ModelKind | None:
    """How a picture model must be loaded: ``"checkpoint"`` when it brings its VAE or text encoders along under the
    names of a single-file checkpoint, ``"diffusion"`` when its names are bare; ``None`` when both ways work or nothing
    is certain."""
    if detect(tensors) is None:
        return None
    if any(name.startswith(_OTHER_PREFIXES) for name in tensors):
        # Under a prefix of its own the library finds them only where it is not given one for the file.
        return "checkpoint"
    if not any(name.startswith((DIFFUSION_PREFIX, "unet.")) for name in tensors):
        return "diffusion"
    brings = any(name.startswith(("first_stage_model.", "cond_stage_model.", "conditioner.")) for name in tensors)
    return "checkpoint" if brings else None


# Prefixes of other programs that the library takes for the one of single-file checkpoints.
_OTHER_PREFIXES = (
    "diffusion_model.",
    "transformer.double_blocks.",
    "transformer.single_blocks.",
    "transformer.img_in.",
)


def _with_usual_prefix(tensors: Shapes) -> Shapes:
    if not any(name.startswith(_OTHER_PREFIXES) for name in tensors):
        return tensors
    return {re.sub(r"^(diffusion_model|transformer)\.", DIFFUSION_PREFIX, name): tensors[name] for name in tensors}


def _with_prefix(tensors: Shapes) -> Shapes:
    return {
        name if name.startswith(DIFFUSION_PREFIX) else DIFFUSION_PREFIX + name: shape for name, shape in tensors.items()
    }


def _detect_prefixed(tensors: Shapes) -> Architecture | None:
    found = _detect_id(tensors)
    return ARCHITECTURES[found] if found else None


def _detect_id(tensors: Shapes) -> str | None:
    """Follows the library's own decisions, which are made on names and a few widths."""
    # One search through all names: no part that is looked for holds the end of a line.
    names = "\n".join(tensors)

    def has(part: str) -> bool:
        return part in names

    if has("individual_token_refiner"):
        return None  # HunyuanVideo has blocks of the same names as Flux
    for sign, family in _SIGNS:
        if has(DIFFUSION_PREFIX + sign):
            return family
    if has("llm_adapter.blocks.0.cross_attn.q_proj.weight"):
        return "anima"
    if has(DIFFUSION_PREFIX + "blocks.0.cross_attn.norm_k.weight"):
        embedding = DIFFUSION_PREFIX + "patch_embedding.weight"
        patch = next((shape for name, shape in tensors.items() if embedding in name), None)
        return _detect_wan(_wan_patch_channels(patch), has(DIFFUSION_PREFIX + "img_emb"))

    first = None
    for name in ("input_blocks.0.0.weight", "img_in.weight"):
        first = tensors.get(DIFFUSION_PREFIX + name, first)
    first = tensors.get("unet.conv_in.weight", first)
    is_unet = has(DIFFUSION_PREFIX + "input_blocks.") or has("unet.down_blocks.")
    has_middle_block_1 = has(DIFFUSION_PREFIX + "middle_block.1.") or has("unet.mid_block.resnets.1.")
    if is_unet and any(has(part) for part in _SECOND_ENCODER):
        has_output_block = has(DIFFUSION_PREFIX + "output_blocks.3.1.transformer_blocks.1") or has(
            "unet.up_blocks.1.attentions.0.transformer_blocks.1"
        )
        return _detect_sdxl(side(first, 2), has_middle_block_1, has_output_block)
    if has(DIFFUSION_PREFIX + "double_stream_modulation_img.lin.weight"):
        return "flux2" if has("single_blocks.47.linear1.weight") else "flux2_klein"
    if has(DIFFUSION_PREFIX + "double_blocks."):
        if has("distilled_guidance_layer.in_proj.weight"):
            return "chroma"
        return {384: "flux_fill", 128: "flux_control", 196: "flex2"}.get(side(first, 0), "flux")

    width = next((side(shape, 0) for name, shape in tensors.items() if name in _TOKEN_TABLES), 0)
    inputs = side(first, 2)
    if not is_unet:
        # The library calls anything with a CLIP table SD; a text encoder alone is none, and fails there more slowly.
        return None
    if width == 768:
        if inputs in (8, 9):
            return "sd1_inpaint" if inputs == 9 else "sd1_pix2pix"
        if has_middle_block_1:
            return "sd1"
        has_late_attention = has(DIFFUSION_PREFIX + "output_blocks.7.1") or has("unet.up_blocks.2.attentions.1")
        return "sd1_tiny" if has_late_attention else "sdxs_512"
    if width == 1024:
        if inputs == 9:
            return "sd2_inpaint"
        if has_middle_block_1:
            return "sd2"
        key = tensors.get(DIFFUSION_PREFIX + "output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight")
        return "sdxs_09" if side(key, 0) == 1024 else "sd2_tiny"
    return None


def _wan_patch_channels(shape: tuple[int, ...] | None) -> int:
    """Input times output channels of the patch embedding, which GGUF files store as one merged dimension."""
    if shape is None:
        return 0
    return shape[3] * shape[4] if len(shape) == 5 else side(shape, 3)


def _detect_wan(channels: int, has_image_embedding: bool) -> str:
    if has_image_embedding:
        return "wan2"
    return {184_320: "wan2_2_i2v", 147_456: "wan2_2_ti2v"}.get(channels, "wan2")


def _detect_sdxl(inputs: int, has_middle_block_1: bool, has_output_block: bool) -> str:
    if inputs in (8, 9):
        return "sdxl_inpaint" if inputs == 9 else "sdxl_pix2pix"
    if has_middle_block_1:
        return "sdxl"
    return "sdxl_ssd1b" if has_output_block else "sdxl_vega"


_LORA_NAME = re.compile(
    r"[._](lora\d?[._]?(up|down|mid|a|b|linear|magnitude_vector)|lokr_\w+|hada_\w+|b?oft_\w+|diff(_b)?|set_weight|alpha|"
    r"w_norm|b_norm|dora_scale)(\.|$)|^(lora|lycoris)[._]|^base_model\.model\.",
    re.IGNORECASE,
)
_LANGUAGE_MODELS = frozenset(
    {
        "llama", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe", "gemma",
        "gemma2", "gemma3", "mistral", "mistral3", "ministral3", "mixtral", "phi2", "phi3", "falcon", "gpt2", "gptj",
        "gptneox", "mpt", "bloom", "starcoder", "starcoder2", "deepseek", "deepseek2", "command-r", "olmo", "olmo2",
        "granite", "gpt-oss", "glm4", "chatglm", "internlm2", "stablelm", "baichuan", "mamba", "rwkv6", "rwkv7",
        "bert", "nomic-bert",
    }
)  # fmt: skip


def contents_of(tensors: Shapes, declared: str = "") -> Contents:
    """What kind of file this is, by its tensors; ``declared`` is a GGUF's ``general.architecture``.

    Only kinds with unmistakable signs are named; everything else is ``"unknown"``.
    """

    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in tensors)

    if has("fuse_module.", "pmid.fuse_module.", "qformer_perceiver."):
        return "PhotoMaker"  # asked before LoRA: it brings one along
    if sum(1 for name in tensors if _LORA_NAME.search(name)) * 2 > len(tensors):
        return "LoRA"
    if has("zero_convs.", "controlnet_", "input_hint_block.") or (has("control_model.") and not has(DIFFUSION_PREFIX)):
        return "ControlNet"
    if detect(tensors) is not None:
        return "picture model"
    if "conv_first.weight" in tensors or ("model.0.weight" in tensors and has("model.1.sub.")):
        return "upscaler"
    if tensors.keys() & {"emb_params", "clip_l", "clip_g", "*"} or has("string_to_param"):
        return "embedding"
    if has("encoder.block.0.layer.", "enc.blk.0."):
        return "T5 text encoder"
    if has("text_model.encoder.layers.", "text_model.embeddings.") or "token_embedding.weight" in tensors:
        return "CLIP text encoder"
    if has("vision_model.", "visual.transformer."):
        return "CLIP vision encoder"
    if declared in _LANGUAGE_MODELS or has(*LLM_TABLES, "model.layers.0.self_attn."):
        return "language model"
    if has("decoder.layers.", "encoder.layers.0.") or has("decoder.1.weight", "decoder.3.conv."):
        return "tiny autoencoder"
    if has("decoder.conv_in.", "decoder.conv1.", "decoder.mid", "first_stage_model.decoder."):
        return "VAE"
    return "unknown"


# --- files that are not known -----------------------------------------------------------------------------------------

_ORIGINAL = "take the single file of the original form, or a GGUF"
_NOT_SUPPORTED = "which this version of the library cannot draw with"
_STRANGERS: tuple[tuple[str, str], ...] = (
    (r"individual_token_refiner", f"is a HunyuanVideo model, {_NOT_SUPPORTED}"),
    (r"(^|\.)double_stream_blocks\.", f"is a HiDream model, {_NOT_SUPPORTED}"),
    (r"(^|\.)(double_layers|joint_transformer_blocks)\.", f"is an AuraFlow model, {_NOT_SUPPORTED}"),
    (r"patchify_proj\.", f"is an LTX-Video model, {_NOT_SUPPORTED}"),
    (r"(^|\.)(clip_txt_mapper|clip_mapper|effnet_mapper)\.", f"is a Stable Cascade model, {_NOT_SUPPORTED}"),
    (r"caption_projection\.|y_embedder\.y_embedding", f"is a PixArt model, {_NOT_SUPPORTED}"),
    (r"(^|\.)single_transformer_blocks\.", f"is Flux in diffusers' form, which cannot be read; {_ORIGINAL}"),
    (
        r"(^|\.)transformer_blocks\.\d+\.(attn\.add_q_proj|norm1_context)\.",
        f"is a transformer in diffusers' form (SD3 or the like), which cannot be read; {_ORIGINAL}",
    ),
    (
        r"(^|\.)blocks\.\d+\.attn2\.norm_k\.|(^|\.)condition_embedder\.",
        f"is Wan in diffusers' form, which cannot be read; {_ORIGINAL}",
    ),
    (
        r"(^|\.)down_blocks\.\d+\.(resnets|attentions)\.",
        f"is a UNet in diffusers' form without its text encoder, which cannot be read; {_ORIGINAL}",
    ),
    (
        r"(^|\.)input_blocks\.\d+\.",
        "is a UNet without its text encoder; the library knows such models only as whole checkpoints",
    ),
    (r"(^|\.)transformer_blocks\.\d+\.", f"is a transformer of a family that is not known, {_NOT_SUPPORTED}"),
)


def describe_unknown(tensors: Shapes) -> str | None:
    """What a file seems to be that `detect` does not know, as the end of a sentence that begins with its name."""
    for pattern, words in _STRANGERS:
        if any(re.search(pattern, name) for name in tensors):
            return words
    return None
