"""Families of models over HTTP: how each draws well and what it needs, and what one of the user's own files is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.presets import PRESETS, Preset
from sdcpp_rest.core.variants import name_pattern
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, read_query
from sdcpp_rest.services.models.architecture_presets import preset_of
from sdcpp_rest.services.models.model_detection import Detection, Suggestion

architectures = Blueprint("architectures", __name__)


class DetectQuery(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "demo_dit_q8_0.gguf"}]})

    model: Text = Field(
        min_length=1,
        max_length=1_000,
        description="A name of `GET /models`, with or without its ending.",
        examples=["demo_dit_q8_0.gguf"],
    )
    type: Text = optional("The model's type, where several have such a name.", examples=["diffusion"])


class MatchShown(Answer):
    """For clients that choose a preset by what `GET /health` tells."""

    architecture: str = Field(description="As `model_architecture` has it.", examples=["SDXL"])
    nameRegex: str = optional(  # noqa: N815 the API's own spelling
        "Of names of files, in any case. Presets without one are for all others of that architecture."
    )


class PresetShown(Answer):
    """A family of models, or a variant of one."""

    id: str = Field(description="Its name among the architectures.", examples=["SDXL"])
    name: str = Field(description="The same as display_name.")
    aliases: list[str] = Field(description="Other names of it.")
    display_name: str = Field(examples=["Stable Diffusion XL"])
    description: str
    requiredComponents: list[str] = Field(  # noqa: N815 the API's own spelling
        description="What it cannot do without, named as in `POST /models/load`; may be inside the model's file.",
        examples=[["clip_l", "clip_g"]],
    )
    optionalComponents: list[str] = Field(  # noqa: N815
        description="What else it can be loaded or used with.", examples=[["vae", "lora", "controlnet"]]
    )
    generationDefaults: dict[str, Any] = Field(  # noqa: N815
        description="Fields of a job's request, with the values that they get when they are left out."
    )
    loadOptions: dict[str, Any] = Field(description="The same as loadDefaults.")  # noqa: N815
    imageEditMode: Literal["ref_images"] | None = Field(  # noqa: N815
        description="How it is given a picture to edit; `null` for models that do not edit."
    )
    match: MatchShown
    loadDefaults: dict[str, Any] = Field(  # noqa: N815
        description="Options of `POST /models/load` that suit it. A suggestion: they are not applied by themselves."
    )
    architecture: str = Field(description="Its family, as `GET /health` names it.", examples=["SDXL"])
    makes_images: bool
    makes_video: bool
    takes_controlnet: bool
    takes_photo_maker: bool
    takes_reference_images: bool = Field(description="Whether `ref_images` reach it.")
    unusable: str | None = Field(description="Why the library cannot use it at all; `null` where it can.")


class ArchitecturesShown(Answer):
    """All presets by their names, and that of the current model."""

    architectures: dict[str, PresetShown]
    current_architecture: str | None = Field(
        description="The preset of the model that is loaded, or will be for the next job; `null` for none."
    )
    current_preset: PresetShown | None = Field(
        description="That preset, with the model's own generation defaults (its sidecar's) in it."
    )


class SuggestionShown(Answer):
    """A file that fits as a component."""

    name: str
    type: ModelType
    form: str = Field(description="What it is, by its tensors.", examples=["VAE of 16 channels"])
    why: str


class DetectionShown(Answer):
    """What a model file is, and what goes with it."""

    model: str = Field(description="Its whole name.")
    type: ModelType
    contents: str = Field(description="What kind of file it is.", examples=["picture model", "LoRA", "unknown"])
    detected: bool = Field(description="Whether its variant is known.")
    model_architecture: str | None = Field(description="Its family; `null` for no picture model, or an unknown one.")
    architecture: PresetShown | None = Field(description="The preset of its variant.")
    preset: str | None = Field(description="Its variant: a name of `GET /architectures`.", examples=["Flux-Schnell"])
    confidence: Literal["certain", "likely", "assumed"] | None = Field(
        description="What told the variant: its tensors, its file's name, or neither."
    )
    why: str | None = Field(description="The same as a sentence.")
    inside: list[str] = Field(description="Components that the file brings along.")
    missing: list[str] = Field(description="Sentences about components that it cannot be loaded without.")
    suggestions: dict[str, list[SuggestionShown]] = Field(
        description="Your files that fit, best first, for each component that is not inside."
    )
    left_out: int = Field(description="Files that were not looked at this time; ask again to go on.")
    warnings: list[str]


@architectures.get("/architectures")
@documents({200: ArchitecturesShown})
def list_architectures() -> Response:
    """List families of models with their needs and defaults, and tell the current model's."""
    every = {name: _preset(preset) for name, preset in PRESETS.items()}
    return answer({"architectures": every, **current_architecture()})


def current_architecture() -> dict[str, Any]:
    """What `ArchitecturesShown` tells of the current model."""
    models = runtime().models.slot
    # A model that rests, or waits for the engine's start, is selected and not resident: the next job gets it.
    spec = models.loading or models.resident or models.selected
    current = shown = None
    if spec is not None:
        loaded = models.loaded if models.resident == spec else None
        current = preset_of(spec, loaded.architecture if loaded else None)
    if spec is not None and current is not None:
        shown = _preset(current, {**current.generation, **runtime().models.library.generation_defaults(spec)})
    return {"current_architecture": current.id if current else None, "current_preset": shown}


@architectures.get("/architectures/detect")
@documents({200: DetectionShown}, errors=(404,), query=DetectQuery)
@blocking
def detect_architecture() -> Response:
    """Tell what one of your model files is, and which of your other files would go with it. Only headers are read."""
    asked = read_query(DetectQuery).sent_fields()
    return answer(_detection(runtime().models.detection.detect(asked["model"], asked.get("type"))))


def _preset(preset: Preset, generation: Mapping[str, Any] | None = None) -> dict[str, Any]:
    family = preset.architecture
    pattern = name_pattern(preset.id)
    return {
        "id": preset.id,
        "name": preset.display_name,
        "aliases": sorted({family.name, family.id} - {preset.id, preset.display_name}),
        "display_name": preset.display_name,
        "description": preset.description,
        "requiredComponents": list(preset.required),
        "optionalComponents": list(preset.optional),
        "generationDefaults": dict(preset.generation if generation is None else generation),
        "loadOptions": dict(preset.load),
        "imageEditMode": "ref_images" if family.takes_reference_images else None,
        "match": {"architecture": family.name, **({"nameRegex": pattern} if pattern else {})},
        "loadDefaults": dict(preset.load),
        "architecture": family.name,
        "makes_images": family.makes_images,
        "makes_video": family.makes_video,
        "takes_controlnet": family.takes_controlnet,
        "takes_photo_maker": family.takes_photo_maker,
        "takes_reference_images": family.takes_reference_images,
        "unusable": family.unusable or None,
    }


def _detection(found: Detection) -> dict[str, Any]:
    judged = found.variant
    return {
        "model": found.file.name,
        "type": found.file.type,
        "contents": found.contents,
        "detected": found.preset is not None,
        "model_architecture": found.architecture,
        "architecture": _preset(found.preset) if found.preset else None,
        "preset": found.preset.id if found.preset else None,
        "confidence": judged.confidence if judged else None,
        "why": judged.why if judged else None,
        "inside": list(found.inside),
        "missing": list(found.missing),
        "suggestions": {role: [_suggestion(file) for file in files] for role, files in found.suggestions.items()},
        "left_out": found.left_out,
        "warnings": list(found.warnings),
    }


def _suggestion(file: Suggestion) -> dict[str, Any]:
    return {"name": file.name, "type": file.type, "form": file.form, "why": file.why}
