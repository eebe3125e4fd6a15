"""Tells which other files a model of a family needs, and whether its tensors can work at all.

Pure: names and shapes in ggml order, the fastest-running dimension first. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from sdcpp_rest.core.architectures import FLUX_FAMILY, LLM_TABLES, WAN_FAMILY, Architecture, Shapes, side
from sdcpp_rest.core.load_spec import ModelKind

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
_INSIDE: dict[str, tuple[str, ...]] = {
    "clip_l": ("text_encoders.clip_l", "cond_stage_model.", "conditioner.embedders.0", "te.", "te1.", "text_encoder."),
    "clip_g": ("text_encoders.clip_g", "cond_stage_model.1", "conditioner.embedders.1", "te.1", "te2."),
    "t5xxl": ("text_encoders.t5xxl", "te3."),
    "llm": ("text_encoders.llm", "text_encoders.qwen"),
    "vae": ("first_stage_model.", "vae.", "decoder."),
}
_ANY_INSIDE = tuple(start for starts in _INSIDE.values() for start in starts)
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
    words = {**_COMPONENT_WORDS, "t5xxl": "a UMT5-XXL text encoder"} if architecture.makes_video else _COMPONENT_WORDS
    return [
        f"Without {words[role]} ('{role}') {architecture.name} follows the prompt poorly."
        for role in architecture.helped_by
        if role not in inside and role not in components
    ]


def roles_inside(tensor_names: Iterable[str]) -> set[str]:
    """The components that a single-file checkpoint brings along, by role."""
    names = [name for name in tensor_names if name.startswith(_ANY_INSIDE)]
    return {role for role, starts in _INSIDE.items() if any(name.startswith(starts) for name in names)}


def structural_faults(architecture: Architecture, tensors: Shapes) -> list[str]:
    """Sentences about tensors that are missing or of a size that ends the process while loading (division by zero,
    abort)."""
    found = []
    if architecture.unusable:
        found.append(f"{architecture.name} cannot be used with this version of the library: {architecture.unusable}.")
    if architecture.id in FLUX_FAMILY:
        heads = [
            side(shape, 0)
            for name, shape in tensors.items()
            if name.endswith(("double_blocks.0.txt_attn.norm.key_norm.scale", "single_blocks.0.norm.key_norm.scale"))
        ]
        hidden = next((side(shape, 1) for name, shape in tensors.items() if name.endswith("txt_in.weight")), 3072)
        if not heads:
            found.append(f"It looks like {architecture.name}, but the norms of its first attention block are missing.")
        elif max(heads) > hidden:
            found.append(f"Its attention heads are {max(heads)} wide, wider than the whole network ({hidden}).")
    if architecture.id in WAN_FAMILY:
        blocks = {int(match.group(1)) for name in tensors if (match := _WAN_BLOCK.search(name))}
        count = max(blocks, default=-1) + 1
        if count not in (30, 40):
            found.append(f"{architecture.name} has 30 or 40 blocks; this file has {count}.")
    return found


_WAN_BLOCK = re.compile(r"(?<!vace_)blocks\.(\d{1,6})\.")


# By their width: those that the published models of some family read.
_LANGUAGE_MODELS = {
    1024: "Qwen3 0.6B",
    2048: "the one of Ovis 2.5",
    2560: "Qwen3 4B",
    3072: "Ministral 3B",
    3584: "Qwen2.5-VL 7B",
    4096: "Qwen3 8B",
    5120: "Mistral Small",
}


def language_model_faults(architecture: Architecture, tensors: Shapes, language_model: Shapes) -> list[str]:
    """Sentences about a language model that loads beside this picture model and then ends the process at the first
    prompt."""
    table = next((shape for name, shape in language_model.items() if name.endswith(LLM_TABLES)), None)
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
        known = [_LANGUAGE_MODELS[side] for side in expected if side in _LANGUAGE_MODELS]
        example = f", such as {' or '.join(known)}" if known else ""
        found.append(f"The language model is {width} wide; this {name} model expects one of width {widths}{example}.")
    return found


def text_widths(architecture: Architecture, tensors: Shapes) -> tuple[int, ...]:
    """Hidden sizes of the language models that a picture model with these tensors reads, likeliest first; empty where
    nothing tells."""
    reader = _TEXT_READERS.get(architecture.id)
    width = next((side(shape, 0) for name, shape in tensors.items() if reader and name.endswith(reader)), 0)
    if not width:
        return ()
    if architecture.id in ("flux2", "flux2_klein") and width % 3 == 0:
        # Three layers of the language model lie side by side; a model with too few layers gives one.
        return (width // 3, width)
    return (width,)
