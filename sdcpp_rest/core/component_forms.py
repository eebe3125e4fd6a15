"""Matches component files with models: the exact form of a VAE, text encoder or language model, told by its tensors,
and the form that a family asks for.

Pure functions over tensor names and shapes (ggml order). A form is a phrase that a person may read; two that are equal
fit each other. It must not know any file.
"""

from __future__ import annotations

import re

from sdcpp_rest.core.architectures import Architecture, Contents, Shapes
from sdcpp_rest.core.family_needs import text_widths

_CLIP_WIDTHS = {768: "CLIP-L text encoder", 1280: "CLIP-G text encoder", 1024: "OpenCLIP-H text encoder"}
_T5_XXL_WIDTH = 4096
# The vocabulary of T5 has 32 thousand tokens, that of the multilingual UMT5 256 thousand.
_LARGEST_T5_VOCABULARY = 100_000
_VISION_WIDTHS = {1280: "CLIP-H vision encoder", 1024: "CLIP-L vision encoder", 1664: "CLIP-G vision encoder"}
_VISION_PART = "vision part of a language model"


def form_of(tensors: Shapes, contents: Contents) -> str | None:
    """The form of a file with these tensors, which ``contents_of`` took for ``contents``; ``None`` where it has none
    (a LoRA, say) or where its tensors do not say."""
    if contents == "CLIP text encoder":
        return _CLIP_WIDTHS.get(_side(tensors, 0, "token_embedding.weight", "final_layer_norm.weight", "fc1.weight"))
    if contents == "T5 text encoder":
        width = _side(tensors, 0, "shared.weight", "token_embd.weight", "embed_tokens.weight")
        vocabulary = _side(tensors, 1, "shared.weight", "token_embd.weight", "embed_tokens.weight")
        name = "UMT5" if vocabulary > _LARGEST_T5_VOCABULARY else "T5"
        return f"{name}-XXL text encoder" if width == _T5_XXL_WIDTH else None
    if contents == "PhotoMaker":
        return contents
    if contents == "CLIP vision encoder":
        return vision_form(tensors)
    if contents == "language model":
        width = _side(tensors, 0, "embed_tokens.weight", "token_embd.weight")
        return _language_model(width) if width else None
    if contents == "VAE":
        return _vae_form(tensors)
    if contents == "tiny autoencoder":
        channels = _side(tensors, 2, "decoder.layers.0.weight")
        if channels:
            return f"tiny autoencoder of {channels} channels"
        channels = _side(tensors, 2, "decoder.1.weight")
        return f"tiny Wan autoencoder of {channels} channels" if channels else None
    if any(name.startswith(("v.blk.", "visual.blocks.", "v.patch_embd.", "patch_embed.proj.")) for name in tensors):
        return _VISION_PART
    return None


def vision_form(tensors: Shapes) -> str:
    """The form of the CLIP vision encoder among these tensors, which may have a text encoder beside it."""
    return _VISION_WIDTHS.get(_side(tensors, 0, "vision_model.embeddings.class_embedding"), "CLIP vision encoder")


def _vae_form(tensors: Shapes) -> str | None:
    channels = _side(tensors, 2, "decoder.conv_in.weight")
    if channels:
        return f"VAE of {channels} channels"
    # Wan's are three-dimensional: GGUF files merge two of the dimensions, only the bias tells the latent's channels.
    channels = next(
        (shape[0] for name, shape in tensors.items() if re.fullmatch(r"((first_stage_model|vae)\.)?conv2\.bias", name)),
        0,
    )
    if not channels:
        channels = {384: 16, 1024: 48}.get(_side(tensors, 0, "decoder.conv1.bias"), 0)
    return f"Wan VAE of {channels} channels" if channels else None


def vocabulary_of(tensors: Shapes) -> int:
    """How many tokens a text encoder or language model knows; 0 where its tensors do not say."""
    return _side(tensors, 1, "shared.weight", "embed_tokens.weight", "token_embd.weight", "token_embedding.weight")


def _language_model(width: int) -> str:
    return f"language model {width} wide"


def _side(tensors: Shapes, index: int, *endings: str) -> int:
    """A side of the first tensor whose name ends so; 0 where there is none."""
    for ending in endings:
        for name, shape in tensors.items():
            if name.endswith(ending) and index < len(shape):
                return shape[index]
    return 0


# --- what a family asks for -------------------------------------------------------------------------------------------

_WAN_LATENTS = {"wan2": 16, "wan2_2_i2v": 16, "wan2_2_ti2v": 48, "qwen_image": 16, "anima": 16}
_FLUX_2_LATENTS = frozenset({"flux2", "flux2_klein", "ernie_image"})


def latent_channels(architecture: Architecture) -> int:
    """Channels of the autoencoder that this family's latents go through; 0 for none."""
    if not architecture.has_vae:
        return 0
    if architecture.id in _WAN_LATENTS:
        return _WAN_LATENTS[architecture.id]
    if architecture.id in _FLUX_2_LATENTS:
        return 32
    return 16 if architecture.is_flow else 4


def fitting_forms(architecture: Architecture, role: str, tensors: Shapes) -> tuple[str, ...]:
    """The forms of file that this model can use as ``role``, best first; empty where anything or nothing may fit.

    ``tensors`` are the model's own: some families come in sizes that read different language models.
    """
    channels = latent_channels(architecture)
    wan = "Wan " if architecture.id in _WAN_LATENTS else ""
    if role == "vae":
        return (f"{wan}VAE of {channels} channels",) if channels else ()
    if role == "taesd":
        return (f"tiny {wan}autoencoder of {channels} channels",) if channels else ()
    if role == "clip_l":
        return ("OpenCLIP-H text encoder",) if architecture.id.startswith(("sd2", "sdxs_09")) else (_CLIP_WIDTHS[768],)
    if role == "clip_g":
        return (_CLIP_WIDTHS[1280],)
    if role == "clip_vision":
        return (_VISION_WIDTHS[1280], "CLIP vision encoder")
    if role == "photo_maker":
        return ("PhotoMaker",) if architecture.takes_photo_maker else ()
    if role == "t5xxl":
        return ("UMT5-XXL text encoder" if architecture.makes_video else "T5-XXL text encoder",)
    if role == "llm_vision":
        return (_VISION_PART,)
    if role == "llm":
        return tuple(_language_model(width) for width in language_model_widths(architecture, tensors))
    return ()


def used_roles(architecture: Architecture, tensors: Shapes) -> frozenset[str]:
    """The roles of components that a model with these tensors, its own, makes use of."""
    roles = {*architecture.needs, *architecture.needs_any, *architecture.helped_by}
    if architecture.has_vae:
        roles |= {"vae", "taesd"}
    if architecture.takes_controlnet:
        roles.add("controlnet")
    if architecture.takes_photo_maker:
        roles.add("photo_maker")
    if architecture.id == "qwen_image":
        roles.add("llm_vision")
    if architecture.makes_video:
        roles.add("high_noise_diffusion_model")
        if any("img_emb." in name for name in tensors):
            roles.add("clip_vision")
    return frozenset(roles)


def language_model_widths(architecture: Architecture, tensors: Shapes) -> tuple[int, ...]:
    """Hidden sizes of the language models that this model can read, likeliest first; empty where nothing tells."""
    return text_widths(architecture, tensors) or _USUAL_WIDTHS.get(architecture.id, ())


_USUAL_WIDTHS: dict[str, tuple[int, ...]] = {
    "ovis_image": (2048,),
    "qwen_image": (3584,),
    "z_image": (2560,),
    "anima": (1024,),
    "ernie_image": (3072,),
}

_USUAL_FILES = {
    "VAE of 16 channels": "ae.safetensors",
    "VAE of 32 channels": "flux2-vae.safetensors",
    "Wan VAE of 16 channels": "wan_2.1_vae.safetensors",
    "Wan VAE of 48 channels": "wan2.2_vae.safetensors",
    "CLIP-L text encoder": "clip_l.safetensors",
    "CLIP-G text encoder": "clip_g.safetensors",
    "CLIP-H vision encoder": "clip_vision_h.safetensors",
    "T5-XXL text encoder": "t5xxl_fp16.safetensors",
    "UMT5-XXL text encoder": "umt5_xxl_fp16.safetensors",
}


def usual_file(architecture: Architecture, form: str) -> str:
    """What a file of ``form`` that fits this family is called where people find it; empty where names differ."""
    if form == "VAE of 4 channels":
        return "sdxl_vae.safetensors" if architecture.id.startswith("sdxl") else "vae-ft-mse-840000-ema.safetensors"
    if architecture.id == "sd3" and form.startswith("VAE"):
        return "the VAE of SD3"  # of the same shape as Flux's, and another
    if architecture.id in ("qwen_image", "anima") and form.startswith("Wan VAE"):
        return "qwen_image_vae.safetensors"
    return _USUAL_FILES.get(form, "")


# --- what names say ---------------------------------------------------------------------------------------------------

# Of files of one form some were made for one family, some for another; only their names tell.
_NAME_HINTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("vae taesd", r"xl", ("sdxl",)),
    ("vae taesd", r"sd3|tae3", ("sd3",)),
    (
        "vae taesd",
        r"(?<![a-z])ae(?![a-z])|flux(?!.?2)|taef1|z.?image|schnell",
        ("flux", "chroma", "z_image", "ovis_image"),
    ),
    ("vae taesd", r"ft-mse|sd.?1|v1-5|(?<![a-z])taesd(?!xl|3)|840000|anything", ("sd1", "sd2", "sdxs")),
    ("vae taesd", r"flux.?2|taef2|small.?decoder", ("flux2", "ernie_image")),
    ("vae", r"qwen", ("qwen_image", "anima")),
    ("vae", r"wan", ("wan2",)),
    ("llm", r"qwen.?2.?5.*vl", ("qwen_image",)),
    ("llm", r"ovis", ("ovis_image",)),
    ("llm", r"qwen.?3(?!.?\d?.?vl)", ("z_image", "flux2_klein", "anima")),
    ("llm", r"ministral", ("ernie_image",)),
    ("llm", r"(?<!mini)(?<!mini-)mistral", ("flux2",)),
    ("llm_vision", r"mmproj", ("qwen_image",)),
)


def name_score(architecture: Architecture, role: str, file_name: str) -> int:
    """1 where a file's name says that it was made for this family, -1 where it names another family alone, else 0."""
    said: set[bool] = set()
    for roles, pattern, families in _NAME_HINTS:
        if role in roles.split() and re.search(pattern, file_name, re.IGNORECASE):
            said.add(any(architecture.id == family or architecture.id.startswith(f"{family}_") for family in families))
    if True in said:
        return 1
    return -1 if said else 0
