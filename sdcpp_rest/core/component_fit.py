"""Judges whether a component file, or an upscaler, is what its role needs, in words that say what it is and what is
needed.

Pure functions over tensor names and shapes (ggml order). It must not know any file.
"""

from __future__ import annotations

import re

from sdcpp_rest.core.architectures import Architecture, Contents, Shapes
from sdcpp_rest.core.component_forms import fitting_forms, form_of, usual_file, vision_form

_EXPECTED: dict[str, Contents] = {
    "vae": "VAE",
    "taesd": "tiny autoencoder",
    "clip_l": "CLIP text encoder",
    "clip_g": "CLIP text encoder",
    "clip_vision": "CLIP vision encoder",
    "t5xxl": "T5 text encoder",
    "llm": "language model",
    "controlnet": "ControlNet",
    "photo_maker": "PhotoMaker",
}
OWN_ROLES: dict[Contents, str] = {
    "VAE": "vae",
    "tiny autoencoder": "taesd",
    "CLIP vision encoder": "clip_vision",
    "T5 text encoder": "t5xxl",
    "language model": "llm",
    "ControlNet": "controlnet",
    "PhotoMaker": "photo_maker",
}
"""The role of a component by what its file holds, where that leaves no choice."""
_TOKEN_TABLES: dict[Contents, tuple[str, ...]] = {
    "CLIP text encoder": ("token_embedding.weight",),
    "T5 text encoder": ("shared.weight", "token_embd.weight"),
}
_CONTROL_WIDTHS = {"sd1": 768, "sd2": 1024, "sdxl": 2048}
_DIFFUSERS_CONTROL = ("controlnet_cond_embedding.", "controlnet_down_blocks.", "controlnet_mid_block.")


def component_fault(
    family: Architecture, role: str, tensors: Shapes, contents: Contents, model_tensors: Shapes
) -> str | None:
    """What is wrong with a file as ``role`` of a model of ``family``, as the end of a sentence that begins with the
    file's name; ``None`` where nothing is, as far as its header tells.

    ``model_tensors`` are the model's own. The width of a language model is judged elsewhere.
    """
    form = form_of(tensors, contents)
    wanted = fitting_forms(family, role, model_tensors)
    if role == "clip_vision" and contents == "CLIP text encoder" and any(map(_is_vision, tensors)):
        contents, form = "CLIP vision encoder", vision_form(tensors)  # files of whole CLIP models hold both encoders
    if role == "llm_vision":
        return (
            None if form in wanted else f"is {_words(form, contents)}; {role} needs {_name_needed(family, wanted[0])}"
        )
    expected = _EXPECTED.get(role)
    if expected is not None and contents != expected:
        own = OWN_ROLES.get(contents)
        needed = wanted[0] if wanted else expected
        words = f"{_article(needed)}; give it as '{own}'" if own else _name_needed(family, needed)
        return f"is {_words(form, contents)}; '{role}' needs {words}"
    if role == "controlnet":
        return _controlnet_fault(family, tensors)
    if role == "llm" or not wanted:
        return None
    if form is None and _has_width(tensors, contents):
        return f"is {_article(contents)} of another size; {family.name} needs {_name_needed(family, wanted[0])}"
    if form is not None and form not in wanted:
        choice = wanted[:1] if role == "clip_vision" else wanted
        return f"is {_article(form)}; {family.name} needs {' or '.join(_name_needed(family, one) for one in choice)}"
    if role == "vae" and any(name.startswith("first_stage_model.") for name in tensors):
        return (
            "has the names of a VAE inside a checkpoint (first_stage_model.), which are not found in a file of its own"
        )
    return None


def family_fault(family: Architecture, role: str) -> str | None:
    """Why a good file in this ``role`` would spoil a model of ``family``, as the end of a sentence that begins with
    the file's name; ``None`` where it helps or is not looked at."""
    if role == "photo_maker" and not family.takes_photo_maker:
        return f"is of no use here: {family.name} cannot be used with PhotoMaker, which is made for SDXL models"
    if role == "controlnet" and not family.takes_controlnet and not family.is_flow:
        return f"is of no use here: {family.name} cannot be used with a ControlNet, its UNet is too small for one"
    if role == "clip_g" and not family.is_flow and "clip_g" not in family.needs:
        # By the names of its tensors the library then takes the whole model for SDXL, and does not find its weights.
        return f"cannot be used: {family.name} reads prompts with one text encoder, only SDXL has a second one"
    return None


def _is_vision(name: str) -> bool:
    return name.startswith("vision_model.")


def _controlnet_fault(family: Architecture, tensors: Shapes) -> str | None:
    if any(name.startswith(_DIFFUSERS_CONTROL) for name in tensors):
        return "is a ControlNet in diffusers' form, which cannot be read; take the original one (control_...)"
    wanted = next((width for start, width in _CONTROL_WIDTHS.items() if family.id.startswith(start)), None)
    width = next((shape[0] for name, shape in tensors.items() if name.endswith("attn2.to_k.weight")), None)
    if wanted is None or width is None or width == wanted:
        return None
    made_for = {768: "SD 1.x", 1024: "SD 2.x", 2048: "SDXL"}.get(width, f"texts {width} wide")
    return f"is a ControlNet for {made_for}; {family.name} needs one for texts {wanted} wide"


def _has_width(tensors: Shapes, contents: Contents) -> bool:
    endings = _TOKEN_TABLES.get(contents)
    return endings is not None and any(name.endswith(endings) for name in tensors)


def _words(form: str | None, contents: Contents) -> str:
    if contents == "unknown" and form is None:
        return "no file that is recognised by its tensors"
    return _article(form or contents)


def _name_needed(family: Architecture, form: str) -> str:
    example = usual_file(family, form)
    return f"{_article(form)}{f', such as {example}' if example else ''}"


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiouOU' and not words.startswith('UMT') else 'a'} {words}"


def embedding_fault(family: Architecture, tensors: Shapes) -> str | None:
    """What is wrong with an embedding (textual inversion) for a model of ``family``, as the end of a sentence that
    begins with its file's name; ``None`` where nothing is, or where the family reads its prompts in another way."""
    wanted = {768} if "clip_l" in family.needs and not family.is_flow else set[int]()
    if family.id.startswith(("sd2", "sdxs_09")):
        wanted = {1024}
    if wanted and "clip_g" in family.needs:
        wanted = {768, 1280}  # with one of the two the other text encoder would look beyond its own table
    widths = {shape[0] for shape in tensors.values() if len(shape) <= 2 and shape[0] > 1}
    if not wanted or widths == wanted:
        return None
    words = {frozenset({768}): "SD 1.x", frozenset({1024}): "SD 2.x", frozenset({768, 1280}): "SDXL"}
    made_for = words.get(frozenset(widths), f"vectors {' and '.join(map(str, sorted(widths)))} wide")
    return f"is an embedding for {made_for}; {family.name} needs vectors {' and '.join(map(str, sorted(wanted)))} wide"


# --- upscalers --------------------------------------------------------------------------------------------------------

_OTHER_UPSCALERS: tuple[tuple[str, str], ...] = (
    (r"overlap_attn|conv_block\.cab", "HAT"),
    (r"\.attn\.attns\.|attn\.rpe_biases|blocks\.\d+\.attn\.temperature", "DAT"),
    (r"residual_group\.|patch_embed\.", "SwinIR"),
    (r"block_\d\.c\d_r\.", "SPAN"),
    (r"^(params(_ema)?\.)?body\.\d+\.(weight|bias)$", "SRVGG (Compact)"),
    (r"feats\.\d+\.(lk|doublecon)", "PLKSR"),
)
_FEATURES = 64
_OLD_8X = re.compile(r"model\.1[1-9]\.")


def upscaler_fault(tensors: Shapes) -> str | None:
    """What is wrong with an upscaler, as the end of a sentence that begins with its file's name; ``None`` where the
    library can use it."""
    for pattern, word in _OTHER_UPSCALERS:
        if any(re.search(pattern, name) for name in tensors):
            return f"is an upscaler of the kind {word}; only ESRGAN (RRDB) can be used"
    first = tensors.get("conv_first.weight", tensors.get("model.0.weight"))
    if first is None or len(first) != 4:
        return None
    if first[2] != 3:
        also = ", as RealESRGAN_x2plus does" if first[2] == 12 else ""
        return f"reads pictures of {first[2]} channels{also}; only ESRGAN upscalers that read 3 can be used"
    if "conv_up3.weight" in tensors or any(_OLD_8X.match(name) for name in tensors):
        return "enlarges 8 times; only ESRGAN upscalers that enlarge 4 times, 2 times or once can be used"
    if first[3] != _FEATURES:
        return f"is {first[3]} features wide; only ESRGAN upscalers of {_FEATURES} can be used"
    return None
