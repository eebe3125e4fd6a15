"""The nodes that load: models, text encoders, autoencoders, LoRAs; and those that change what was loaded.

Nothing is loaded here: they say what the job is to be bound to.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.routes.comfyui.node_types import (
    Input,
    NodeClass,
    Surroundings,
    choice,
    link,
    number,
    refuse,
    whole,
)
from sdcpp_rest.routes.comfyui.values import MOST_LORAS, Autoencoder, Encoders, LoraWeight, Model

_LOADERS = "loaders"
_WEIGHTS = ("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2")
_DEVICES = ("default", "cpu")
_CLIP_TYPES = (
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan",
    "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image", "flux2", "ovis", "flux", "sdxl",
    "hunyuan_video",
)  # fmt: skip


def _load_checkpoint(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    file, node = inputs["ckpt_name"], around.node_id
    return Model(node, file), Encoders(node, checkpoint=file.path), Autoencoder(node, checkpoint=file.path)


def _load_model(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    if inputs.get("weight_dtype", "default") != "default":
        around.note("weight_dtype has no effect here: a model keeps the weights of its file.")
    return (Model(around.node_id, inputs["unet_name"]),)


def _load_encoders(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    """The type of a CLIP loader is not asked for its meaning: what a file is, its tensors say."""
    files: dict[str, str] = {}
    for name in ("clip_name", "clip_name1", "clip_name2", "clip_name3"):
        file = inputs.get(name)
        if file is None:
            continue
        role = around.role_of(file)
        if role in files:
            raise refuse(f"{name}: {file.name} and {files[role]} are the same kind of text encoder ({role})", name)
        files[role] = file.name
    if inputs.get("device", "default") != "default":
        around.note("device has no effect here: where text encoders compute is an option of loading the model.")
    return (Encoders(around.node_id, files=tuple(files.items())),)


def _load_autoencoder(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    file: ModelFile = inputs["vae_name"]
    return (Autoencoder(around.node_id, role="taesd" if file.type == "taesd" else "vae", file=file.name),)


def _add_lora(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    file, model, weight = inputs["lora_name"], inputs["model"], inputs["strength_model"]
    try:
        lora_tag(file.name, weight)
    except ValueError as error:
        raise refuse(f"lora_name: {error}; rename the file", "lora_name") from None
    if len(model.loras) >= MOST_LORAS:
        raise refuse(f"at most {MOST_LORAS} LoRAs can be used together", "lora_name")
    changed = dataclasses.replace(model, loras=(*model.loras, LoraWeight(file.name, weight)))
    encoders = inputs.get("clip")
    if encoders is None:
        return (changed,)
    if inputs["strength_clip"] != weight:
        around.note(f"strength_clip of {file.name} has no effect here: a LoRA has one weight, strength_model.")
    return changed, dataclasses.replace(encoders, loras=(*encoders.loras, LoraWeight(file.name, weight)))


def _stop_early(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (dataclasses.replace(inputs["clip"], stop_at=-inputs["stop_at_clip_layer"]),)


def _shift(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (dataclasses.replace(inputs["model"], shift=inputs["shift"], is_exponent=False),)


def _shift_by_size(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    """A line through two points: base_shift at 256 tokens, max_shift at 4096; a token is 16 x 16 pixels."""
    base, largest = inputs["base_shift"], inputs["max_shift"]
    tokens = inputs["width"] * inputs["height"] / 256
    shift = base + (largest - base) * (tokens - 256) / (4096 - 256)
    if not 0 <= math.exp(min(shift, 700)) <= 1000 or shift < 0:
        raise refuse(f"max_shift and base_shift make a shift of {shift:.3g} at this size; 0 to 6.9 works", "max_shift")
    return (dataclasses.replace(inputs["model"], shift=shift, is_exponent=True),)


def _clip_loader(name: str, count: int) -> NodeClass:
    names = ("clip_name",) if count == 1 else tuple(f"clip_name{k}" for k in range(1, count + 1))
    inputs: list[Input] = [choice(one, "text_encoders") for one in names]
    if count < 3:
        inputs.append(choice("type", _CLIP_TYPES, is_required=False))
        inputs.append(choice("device", _DEVICES, "default", is_required=False))
    words = {1: "a text encoder", 2: "two text encoders", 3: "three text encoders"}[count]
    description = f"Names {words}; what each is, is told by its tensors."
    return NodeClass(name, _LOADERS, description, tuple(inputs), ("CLIP",), _load_encoders)


_SHIFT_INPUTS = (link("model", "MODEL"), number("shift", 3.0, param="flow_shift"))

LOADER_NODES = (
    NodeClass(
        "CheckpointLoaderSimple",
        _LOADERS,
        "Names the model, with the text encoders and the autoencoder that it has or that its sidecar names.",
        (choice("ckpt_name", "checkpoints"),),
        ("MODEL", "CLIP", "VAE"),
        _load_checkpoint,
    ),
    NodeClass(
        "UNETLoader",
        _LOADERS,
        "Names a diffusion model. weight_dtype has no effect.",
        (choice("unet_name", "diffusion_models"), choice("weight_dtype", _WEIGHTS, "default", is_required=False)),
        ("MODEL",),
        _load_model,
    ),
    NodeClass(
        "UnetLoaderGGUF",
        _LOADERS,
        "Names a diffusion model.",
        (choice("unet_name", "diffusion_models"),),
        ("MODEL",),
        _load_model,
    ),
    *(
        _clip_loader(f"{prefix}CLIPLoader{ending}", count)
        for count, prefix in ((1, ""), (2, "Dual"), (3, "Triple"))
        for ending in ("", "GGUF")
    ),
    NodeClass(
        "VAELoader",
        _LOADERS,
        "Names an autoencoder.",
        (choice("vae_name", "vae"),),
        ("VAE",),
        _load_autoencoder,
    ),
    NodeClass(
        "LoraLoader",
        _LOADERS,
        "Adds a LoRA. Its one weight is strength_model.",
        (
            link("model", "MODEL"),
            link("clip", "CLIP"),
            choice("lora_name", "loras"),
            number("strength_model", 1.0, low=-100, high=100),
            number("strength_clip", 1.0, low=-100, high=100),
        ),
        ("MODEL", "CLIP"),
        _add_lora,
    ),
    NodeClass(
        "LoraLoaderModelOnly",
        _LOADERS,
        "Adds a LoRA; what it has for the text encoder counts, too.",
        (
            link("model", "MODEL"),
            choice("lora_name", "loras"),
            number("strength_model", 1.0, low=-100, high=100),
        ),
        ("MODEL",),
        _add_lora,
    ),
    NodeClass(
        "CLIPSetLastLayer",
        "conditioning",
        "Leaves out the text encoder's last layers.",
        (link("clip", "CLIP"), whole("stop_at_clip_layer", -1, low=-12, high=-1)),
        ("CLIP",),
        _stop_early,
    ),
    NodeClass("ModelSamplingSD3", "advanced/model", "Shifts the noise schedule.", _SHIFT_INPUTS, ("MODEL",), _shift),
    NodeClass(
        "ModelSamplingAuraFlow", "advanced/model", "Shifts the noise schedule.", _SHIFT_INPUTS, ("MODEL",), _shift
    ),
    NodeClass(
        "ModelSamplingFlux",
        "advanced/model",
        "Shifts the noise schedule by the picture's size.",
        (
            link("model", "MODEL"),
            number("max_shift", 1.15, high=100),
            number("base_shift", 0.5, high=100),
            whole("width", 1024, param="width"),
            whole("height", 1024, param="height"),
        ),
        ("MODEL",),
        _shift_by_size,
    ),
)
