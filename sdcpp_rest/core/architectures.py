"""The model families: how their tensors give them away, which other files each one needs, and what it can make.

Pure functions over tensor names and shapes. It must not read files, and it refuses only what is certain: a file that is
not recognised is the library's to judge. Shapes are in ggml order everywhere: the fastest-running dimension first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import ModelKind

Shapes = Mapping[str, tuple[int, ...]]

DIFFUSION_PREFIX = "model.diffusion_model."

Contents = Literal[
    "picture model", "LoRA", "upscaler", "VAE", "tiny autoencoder", "ControlNet", "PhotoMaker", "language model",
    "CLIP text encoder", "CLIP vision encoder", "T5 text encoder", "embedding", "unknown",
]  # fmt: skip

_QWEN_VOCABULARY = 151_669  # one past the last special token that the Qwen tokenizer puts into a prompt
_MISTRAL_VOCABULARY = 131_072


class Architecture(Frozen):
    """One family.

    ``name`` is close to what the library prints as ``Version``. ``needs`` lists text encoders that must all be there,
    ``needs_any`` a choice of which one is enough, ``helped_by`` those without which the prompt counts for little or
    nothing. ``has_vae``: pixels come from an autoencoder (only Radiance draws pixels itself).
    ``takes_reference_images``: the library shows it the pictures of ``ref_images``; whether it was trained to look at
    them differs by variant. ``unusable`` says why this version of the library cannot use the family at all.
    """

    id: str
    name: str
    makes_images: bool = True
    makes_video: bool = False
    is_flow: bool = True
    needs: tuple[str, ...] = ()
    needs_any: tuple[str, ...] = ()
    helped_by: tuple[str, ...] = ()
    has_vae: bool = True
    takes_controlnet: bool = False
    takes_photo_maker: bool = False
    takes_reference_images: bool = False
    min_vocabulary: int = 0
    unusable: str = ""


def _unet(id: str, name: str, *needs: str, takes_controlnet: bool = True) -> Architecture:
    return Architecture(
        id=id,
        name=name,
        is_flow=False,
        needs=needs,
        takes_controlnet=takes_controlnet,
        takes_photo_maker="clip_g" in needs,
        takes_reference_images=id.endswith("_pix2pix"),
    )


def _flux(id: str, name: str, unusable: str = "") -> Architecture:
    encoders = ("clip_l", "t5xxl")
    return Architecture(
        id=id,
        name=name,
        needs_any=encoders,
        helped_by=encoders,
        # The others have more channels, for a second picture of their own: references beside them end the process.
        takes_reference_images=id == "flux",
        unusable=unusable,
    )


def _llm(id: str, name: str, min_vocabulary: int = _QWEN_VOCABULARY) -> Architecture:
    blind = id in ("anima", "ernie_image")
    return Architecture(
        id=id, name=name, needs=("llm",), min_vocabulary=min_vocabulary, takes_reference_images=not blind
    )


def _wan(id: str, name: str) -> Architecture:
    return Architecture(id=id, name=name, makes_images=False, makes_video=True, helped_by=("t5xxl",))


_ALL = (
    _unet("sd1", "SD 1.x", "clip_l"),
    _unet("sd1_inpaint", "SD 1.x Inpaint", "clip_l"),
    _unet("sd1_pix2pix", "Instruct-Pix2Pix", "clip_l"),
    _unet("sd1_tiny", "SD 1.x Tiny UNet", "clip_l", takes_controlnet=False),
    _unet("sd2", "SD 2.x", "clip_l"),
    _unet("sd2_inpaint", "SD 2.x Inpaint", "clip_l"),
    _unet("sd2_tiny", "SD 2.x Tiny UNet", "clip_l", takes_controlnet=False),
    _unet("sdxs_512", "SDXS (512-DS)", "clip_l", takes_controlnet=False),
    _unet("sdxs_09", "SDXS (09)", "clip_l", takes_controlnet=False),
    _unet("sdxl", "SDXL", "clip_l", "clip_g"),
    _unet("sdxl_inpaint", "SDXL Inpaint", "clip_l", "clip_g"),
    _unet("sdxl_pix2pix", "SDXL Instruct-Pix2Pix", "clip_l", "clip_g"),
    _unet("sdxl_vega", "SDXL (Vega)", "clip_l", "clip_g"),
    _unet("sdxl_ssd1b", "SDXL (SSD1B)", "clip_l", "clip_g"),
    Architecture(
        id="svd",
        name="SVD",
        is_flow=False,
        makes_images=False,
        makes_video=True,
        unusable="Stable Video Diffusion ends the engine while it is loaded",
    ),
    Architecture(id="sd3", name="SD3.x", needs=("clip_l", "clip_g"), helped_by=("t5xxl",)),
    _flux("flux", "Flux"),
    _flux("flux_fill", "Flux Fill"),
    _flux("flux_control", "Flux Control"),
    _flux("flex2", "Flex.2", unusable="every picture of Flex.2 ends the engine"),
    Architecture(id="chroma", name="Chroma", helped_by=("t5xxl",), takes_reference_images=True),
    Architecture(id="chroma_radiance", name="Chroma Radiance", helped_by=("t5xxl",), has_vae=False),
    _wan("wan2", "Wan 2.x"),
    _wan("wan2_2_i2v", "Wan 2.2 I2V"),
    _wan("wan2_2_ti2v", "Wan 2.2 TI2V"),
    _llm("qwen_image", "Qwen Image"),
    _llm("anima", "Anima", min_vocabulary=0),
    _llm("flux2", "Flux.2", _MISTRAL_VOCABULARY),
    _llm("flux2_klein", "Flux.2 klein"),
    _llm("z_image", "Z-Image"),
    _llm("ovis_image", "Ovis Image"),
    _llm("ernie_image", "Ernie Image", min_vocabulary=0),
)
ARCHITECTURES: dict[str, Architecture] = {entry.id: entry for entry in _ALL}


def architecture_named(name: str | None) -> Architecture | None:
    """The family of that ``name``, as load specs carry it; ``None`` for a model that was not recognised."""
    return next((entry for entry in _ALL if entry.name == name), None)


_FLUX_FAMILY = frozenset(
    {"flux", "flux_fill", "flux_control", "flex2", "chroma", "chroma_radiance", "ovis_image", "flux2", "flux2_klein"}
)
_WAN_FAMILY = frozenset({"wan2", "wan2_2_i2v", "wan2_2_ti2v"})

# The first layer that a language model's words go into.
_TEXT_READERS = {
    "flux2": "txt_in.weight",
    "flux2_klein": "txt_in.weight",
    "ovis_image": "txt_in.weight",
    "qwen_image": "txt_in.weight",
    "z_image": "cap_embedder.1.weight",
    "anima": "llm_adapter.blocks.0.cross_attn.k_proj.weight",
    "ernie_image": "text_proj.weight",
}
_LLM_TABLES = ("model.embed_tokens.weight", "token_embd.weight")

# --- what is in a file ------------------------------------------------------------------------------------------------

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
    return _detect_prefixed(tensors) or _detect_prefixed(_with_prefix(tensors))


def natural_kind(tensors: Shapes) -> ModelKind | None:
    """How a picture model must be loaded: ``"checkpoint"`` when it brings its VAE or text encoders along under the
    names of a single-file checkpoint, ``"diffusion"`` when its names are bare; ``None`` when both ways work or nothing
    is certain."""
    if detect(tensors) is None:
        return None
    if not any(name.startswith((DIFFUSION_PREFIX, "unet.")) for name in tensors):
        return "diffusion"
    brings = any(name.startswith(("first_stage_model.", "cond_stage_model.", "conditioner.")) for name in tensors)
    return "checkpoint" if brings else None


def _with_prefix(tensors: Shapes) -> Shapes:
    return {
        name if name.startswith(DIFFUSION_PREFIX) else DIFFUSION_PREFIX + name: shape for name, shape in tensors.items()
    }


def _detect_prefixed(tensors: Shapes) -> Architecture | None:
    found = _detect_id(tensors)
    return ARCHITECTURES[found] if found else None


def _side(shape: tuple[int, ...] | None, index: int) -> int:
    return shape[index] if shape is not None and index < len(shape) else 1


def _detect_id(tensors: Shapes) -> str | None:
    """Follows the library's own decisions, which are made on names and a few widths."""

    def has(part: str) -> bool:
        return any(part in name for name in tensors)

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
        return _detect_sdxl(_side(first, 2), has_middle_block_1, has_output_block)
    if has(DIFFUSION_PREFIX + "double_stream_modulation_img.lin.weight"):
        return "flux2" if has("single_blocks.47.linear1.weight") else "flux2_klein"
    if has(DIFFUSION_PREFIX + "double_blocks."):
        if has("distilled_guidance_layer.in_proj.weight"):
            return "chroma"
        return {384: "flux_fill", 128: "flux_control", 196: "flex2"}.get(_side(first, 0), "flux")

    width = next((_side(shape, 0) for name, shape in tensors.items() if name in _TOKEN_TABLES), 0)
    inputs = _side(first, 2)
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
        return "sdxs_09" if _side(key, 0) == 1024 else "sd2_tiny"
    return None


def _wan_patch_channels(shape: tuple[int, ...] | None) -> int:
    """Input times output channels of the patch embedding, which GGUF files store as one merged dimension."""
    if shape is None:
        return 0
    return shape[3] * shape[4] if len(shape) == 5 else _side(shape, 3)


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
    r"[._](lora[._]?(up|down|mid|a|b|linear)|lokr_\w+|hada_\w+|diff(_b)?|alpha|dora_scale)(\.|$)|^lora", re.IGNORECASE
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
    if tensors.keys() & {"emb_params", "clip_l", "clip_g"} or has("string_to_param"):
        return "embedding"
    if has("encoder.block.0.layer.", "enc.blk.0."):
        return "T5 text encoder"
    if has("text_model.encoder.layers.", "text_model.embeddings.") or "token_embedding.weight" in tensors:
        return "CLIP text encoder"
    if has("vision_model.", "visual.transformer."):
        return "CLIP vision encoder"
    if declared in _LANGUAGE_MODELS or has(*_LLM_TABLES, "model.layers.0.self_attn."):
        return "language model"
    if has("decoder.layers.", "encoder.layers.0.") or has("decoder.1.weight", "decoder.3.conv."):
        return "tiny autoencoder"
    if has("decoder.conv_in.", "decoder.conv1.", "decoder.mid", "first_stage_model.decoder."):
        return "VAE"
    return "unknown"


# --- what goes with it ------------------------------------------------------------------------------------------------

_INSIDE: dict[str, tuple[str, ...]] = {
    "clip_l": ("text_encoders.clip_l", "cond_stage_model.", "conditioner.embedders.0", "te.", "te1.", "text_encoder."),
    "clip_g": ("text_encoders.clip_g", "cond_stage_model.1", "conditioner.embedders.1", "te.1", "te2."),
    "t5xxl": ("text_encoders.t5xxl", "te3."),
    "llm": ("text_encoders.llm", "text_encoders.qwen"),
    "vae": ("first_stage_model.", "vae.", "decoder."),
}
_COMPONENT_WORDS = {
    "clip_l": "a CLIP-L text encoder",
    "clip_g": "a CLIP-G text encoder",
    "t5xxl": "a T5-XXL text encoder",
    "llm": "a language model",
    "vae": "a VAE",
}


def missing_components(
    architecture: Architecture,
    tensor_names: Iterable[str],
    components: Collection[str],
    *,
    kind: ModelKind = "checkpoint",
    tae_preview_only: bool = False,
) -> list[str]:
    """Sentences, one for each file without which a model of this family cannot draw; empty when nothing is missing.

    ``components`` are the roles that are given. Parts inside the main file count only when it is loaded as a
    checkpoint: for a diffusion model the library takes every tensor for a part of the network itself.
    """
    inside = roles_inside(tensor_names) if kind == "checkpoint" else set()
    present = inside | set(components)
    sentences = []
    for role in architecture.needs:
        if role not in present:
            sentences.append(f"{architecture.name} needs {_COMPONENT_WORDS[role]}: name one as '{role}'.")
    if architecture.needs_any and not present & set(architecture.needs_any):
        words = " or ".join(_COMPONENT_WORDS[role] for role in architecture.needs_any)
        roles = " or ".join(f"'{role}'" for role in architecture.needs_any)
        sentences.append(f"{architecture.name} needs {words}: name one as {roles}.")
    draws_by_tae = "taesd" in present and (not tae_preview_only or architecture.id in ("sdxs_512", "sdxs_09"))
    if architecture.has_vae and "vae" not in present and not draws_by_tae:
        also = "" if tae_preview_only else ", or a tiny autoencoder as 'taesd'"
        sentences.append(f"{architecture.name} needs a VAE: name one as 'vae'{also}.")
    return sentences


def component_advice(
    architecture: Architecture,
    tensor_names: Iterable[str],
    components: Collection[str],
    *,
    kind: ModelKind = "checkpoint",
) -> list[str]:
    """Sentences about text encoders that are not needed to draw, but to follow the prompt."""
    inside = roles_inside(tensor_names) if kind == "checkpoint" else set()
    return [
        f"Without {_COMPONENT_WORDS[role]} ('{role}') {architecture.name} follows the prompt poorly."
        for role in architecture.helped_by
        if role not in inside and role not in components
    ]


def roles_inside(tensor_names: Iterable[str]) -> set[str]:
    """The components that a single-file checkpoint brings along, by role."""
    names = list(tensor_names)
    return {role for role, starts in _INSIDE.items() if any(name.startswith(starts) for name in names)}


def structural_faults(architecture: Architecture, tensors: Shapes) -> list[str]:
    """Sentences about tensors that are missing or of a size that ends the process while loading (division by zero,
    abort)."""
    found = []
    if architecture.unusable:
        found.append(f"{architecture.name} cannot be used with this version of the library: {architecture.unusable}.")
    if architecture.id in _FLUX_FAMILY:
        heads = [
            _side(shape, 0)
            for name, shape in tensors.items()
            if name.endswith(("double_blocks.0.txt_attn.norm.key_norm.scale", "single_blocks.0.norm.key_norm.scale"))
        ]
        hidden = next((_side(shape, 1) for name, shape in tensors.items() if name.endswith("txt_in.weight")), 3072)
        if not heads:
            found.append(f"It looks like {architecture.name}, but the norms of its first attention block are missing.")
        elif max(heads) > hidden:
            found.append(f"Its attention heads are {max(heads)} wide, wider than the whole network ({hidden}).")
    if architecture.id in _WAN_FAMILY:
        blocks = {int(match.group(1)) for name in tensors if (match := _WAN_BLOCK.search(name))}
        count = max(blocks, default=-1) + 1
        if count not in (30, 40):
            found.append(f"{architecture.name} has 30 or 40 blocks; this file has {count}.")
    return found


_WAN_BLOCK = re.compile(r"(?<!vace_)blocks\.(\d{1,6})\.")


def language_model_faults(architecture: Architecture, tensors: Shapes, language_model: Shapes) -> list[str]:
    """Sentences about a language model that loads beside this picture model and then ends the process at the first
    prompt."""
    table = next((shape for name, shape in language_model.items() if name.endswith(_LLM_TABLES)), None)
    if table is None or len(table) != 2:
        return []
    width, vocabulary = table
    found = []
    if vocabulary < architecture.min_vocabulary:
        least = architecture.min_vocabulary
        found.append(f"The language model knows {vocabulary} tokens; {architecture.name} uses at least {least}.")
    expected = text_widths(architecture, tensors)
    if expected and width not in expected:
        name, widths = architecture.name, " or ".join(map(str, expected))
        found.append(f"The language model is {width} wide; this {name} model expects one of width {widths}.")
    return found


def text_widths(architecture: Architecture, tensors: Shapes) -> tuple[int, ...]:
    """Hidden sizes of the language models that a picture model with these tensors reads, likeliest first; empty where
    nothing tells."""
    reader = _TEXT_READERS.get(architecture.id)
    width = next((_side(shape, 0) for name, shape in tensors.items() if reader and name.endswith(reader)), 0)
    if not width:
        return ()
    if architecture.id in ("flux2", "flux2_klein") and width % 3 == 0:
        # Three layers of the language model lie side by side; a model with too few layers gives one.
        return (width // 3, width)
    return (width,)


def scheduler_warning(architecture: Architecture, scheduler: str) -> str | None:
    """A sentence when ``scheduler`` makes noise instead of pictures with this family."""
    if scheduler == "ays":
        fits = architecture.id.startswith(("sd1", "sdxl", "sdxs_512", "svd"))
    else:
        fits = scheduler != "gits" or not architecture.is_flow
    if fits:
        return None
    name = architecture.name
    return f"The scheduler '{scheduler}' was made for Stable Diffusion 1 and XL; with {name} it draws noise."
