"""The nodes between words and a sampler: prompts, guidance, ControlNets, pictures to refer to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.routes.comfyui.node_types import NodeClass, Surroundings, choice, link, number, refuse, text, whole
from sdcpp_rest.routes.comfyui.values import Conditioning, Control, EdgesOf, GivenPicture

_CONDITIONING = "conditioning"
_EMBEDDING = re.compile(r"\bembedding:\s*([\w./\\+-]+)", re.IGNORECASE)
_ENDING = re.compile(r"\.(?:safetensors|pt|bin|gguf)$", re.IGNORECASE)


def _encode(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (Conditioning(around.node_id, _read_embeddings(inputs["text"]), inputs["clip"]),)


def _encode_for_flux(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    words = _one_of_two(inputs, "t5xxl", "clip_l", around)
    return (Conditioning(around.node_id, words, inputs["clip"], guidance=inputs["guidance"]),)


def _encode_for_sdxl(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    words = _one_of_two(inputs, "text_g", "text_l", around)
    around.note("The sizes and the crop of CLIPTextEncodeSDXL have no effect here: the model is told the picture's.")
    return (Conditioning(around.node_id, words, inputs["clip"]),)


def _one_of_two(inputs: Mapping[str, Any], first: str, second: str, around: Surroundings) -> str:
    one, other = _read_embeddings(inputs[first]), _read_embeddings(inputs[second])
    if one.strip() and other.strip() and one != other:
        around.note(f"{second} has no effect here where it differs from {first}: all text encoders read one prompt.")
    return one if one.strip() else other


def _read_embeddings(words: str) -> str:
    """Embeddings go by their bare names here."""

    def name_of(match: re.Match[str]) -> str:
        return _ENDING.sub("", re.split(r"[/\\]", match[1])[-1])

    return _EMBEDDING.sub(name_of, words)


def _zero_out(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (dataclasses.replace(inputs["conditioning"], node=around.node_id, text="", is_zeroed=True),)


def _guide(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (dataclasses.replace(inputs["conditioning"], guidance=inputs["guidance"]),)


def _refer(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    latent, words = inputs.get("latent"), inputs["conditioning"]
    if latent is None:
        return (words,)
    if latent.picture is None:
        raise refuse("latent must be that of a picture (VAEEncode): what is drawn cannot be referred to", "latent")
    return (dataclasses.replace(words, references=(*words.references, latent.picture)),)


def _find_edges(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    picture = inputs["image"]
    if not isinstance(picture, GivenPicture):
        raise refuse("image must be a picture that is brought along", "image")
    around.note("The thresholds of Canny have no effect here: the library has its own.")
    return (EdgesOf(picture),)


def _control_of(inputs: Mapping[str, Any], around: Surroundings) -> Control:
    picture = inputs["image"]
    source = picture.picture if isinstance(picture, EdgesOf) else picture
    if not isinstance(source, GivenPicture):
        raise refuse("image must be a picture that is brought along: what is drawn cannot guide the drawing", "image")
    return Control(
        around.node_id, inputs["control_net"].name, source, inputs["strength"], finds_edges=isinstance(picture, EdgesOf)
    )


def _add_control(words: Conditioning, control: Control) -> Conditioning:
    if words.controls:
        raise refuse("only one ControlNet can be used at a time", "control_net")
    return dataclasses.replace(words, controls=(control,))


def _apply_control(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (_add_control(inputs["conditioning"], _control_of(inputs, around)),)


def _apply_control_to_both(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    if inputs["start_percent"] > 0 or inputs["end_percent"] < 1:
        around.note("start_percent and end_percent have no effect here: a ControlNet guides every step.")
    control = _control_of(inputs, around)
    return _add_control(inputs["positive"], control), _add_control(inputs["negative"], control)


CONDITIONING_NODES = (
    NodeClass(
        "CLIPTextEncode",
        _CONDITIONING,
        "Words; `embedding:name` names an embedding.",
        (text("text", is_long=True), link("clip", "CLIP")),
        ("CONDITIONING",),
        _encode,
    ),
    NodeClass(
        "CLIPTextEncodeFlux",
        "advanced/conditioning",
        "Words and guidance. All text encoders read t5xxl, or clip_l where that is empty.",
        (
            link("clip", "CLIP"),
            text("clip_l", is_long=True),
            text("t5xxl", is_long=True),
            number("guidance", 3.5, param="distilled_guidance"),
        ),
        ("CONDITIONING",),
        _encode_for_flux,
    ),
    NodeClass(
        "CLIPTextEncodeSDXL",
        "advanced/conditioning",
        "Words. Both text encoders read text_g, or text_l where that is empty; the sizes have no effect.",
        (
            link("clip", "CLIP"),
            *(whole(name, 1024, high=16_384) for name in ("width", "height")),
            *(whole(name, 0, high=16_384) for name in ("crop_w", "crop_h")),
            *(whole(name, 1024, high=16_384) for name in ("target_width", "target_height")),
            text("text_g", is_long=True),
            text("text_l", is_long=True),
        ),
        ("CONDITIONING",),
        _encode_for_sdxl,
    ),
    NodeClass(
        "ConditioningZeroOut",
        "advanced/conditioning",
        "No words at all, as the negative of models that know none: an empty prompt here.",
        (link("conditioning", "CONDITIONING"),),
        ("CONDITIONING",),
        _zero_out,
    ),
    NodeClass(
        "FluxGuidance",
        "advanced/conditioning/flux",
        "How closely the words are followed by models that were taught it.",
        (link("conditioning", "CONDITIONING"), number("guidance", 3.5, param="distilled_guidance")),
        ("CONDITIONING",),
        _guide,
    ),
    NodeClass(
        "ReferenceLatent",
        "advanced/conditioning/edit_models",
        "A picture to refer to, for models that look at some.",
        (link("conditioning", "CONDITIONING"), link("latent", "LATENT", is_required=False)),
        ("CONDITIONING",),
        _refer,
    ),
    NodeClass(
        "ControlNetLoader",
        "loaders",
        "Names a ControlNet.",
        (choice("control_net_name", "controlnet"),),
        ("CONTROL_NET",),
        lambda inputs, around: (inputs["control_net_name"],),
    ),
    NodeClass(
        "ControlNetApply",
        "conditioning/controlnet",
        "A picture that guides the drawing.",
        (
            link("conditioning", "CONDITIONING"),
            link("control_net", "CONTROL_NET"),
            link("image", "IMAGE"),
            number("strength", 1.0, param="control_strength"),
        ),
        ("CONDITIONING",),
        _apply_control,
    ),
    NodeClass(
        "ControlNetApplyAdvanced",
        "conditioning/controlnet",
        "A picture that guides the drawing. start_percent and end_percent have no effect.",
        (
            link("positive", "CONDITIONING"),
            link("negative", "CONDITIONING"),
            link("control_net", "CONTROL_NET"),
            link("image", "IMAGE"),
            number("strength", 1.0, param="control_strength"),
            number("start_percent", 0.0, high=1),
            number("end_percent", 1.0, high=1),
            link("vae", "VAE", is_required=False),
        ),
        ("CONDITIONING", "CONDITIONING"),
        _apply_control_to_both,
        ("positive", "negative"),
    ),
    NodeClass(
        "Canny",
        "image/preprocessors",
        "The edges of a picture, for a ControlNet. The thresholds have no effect.",
        (link("image", "IMAGE"), number("low_threshold", 0.4, high=1), number("high_threshold", 0.8, high=1)),
        ("IMAGE",),
        _find_edges,
    ),
)
