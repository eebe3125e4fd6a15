"""Families of models over HTTP: how each draws well and what it needs, and what one of the user's own files is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.catalog import ModelType, Sidecar
from sdcpp_rest.core.family_fields import Traits, idle_fields
from sdcpp_rest.core.family_sizes import ranges_of, size_multiple, sizes_near
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.presets import PRESETS, Preset
from sdcpp_rest.core.variants import name_pattern
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, read_query
from sdcpp_rest.routes.native.wire.generation_defaults import list_fields
from sdcpp_rest.routes.native.wire.model_wire import SidesShown
from sdcpp_rest.services.models.architecture_presets import preset_of
from sdcpp_rest.services.models.model_detection import Detection, Suggestion
from sdcpp_rest.services.submission.idle_notes import traits_of

architectures = Blueprint("architectures", __name__)

_LONGEST_TEXT = 4_000


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


class IgnoredShown(Answer):
    """A field of a request that a model makes no use of."""

    field: str = Field(examples=["clip_skip"])
    reason: str = Field(description="As a submission warns of it, or refuses it.")


class SizeShown(Answer):
    """A size in pixels."""

    ratio: str = Field(examples=["16:9"])
    width: int
    height: int


class RangeShown(Answer):
    """Where a number makes sense."""

    min: float
    max: float
    recommended: float


class RecommendedSettings(Answer):
    """Settings that a model draws well with."""

    steps: RangeShown = optional("Sampling steps.")
    cfg_scale: RangeShown = optional("How closely the prompt is followed.")
    sampler: str = optional("The usual sampler.", examples=["euler"])
    scheduler: str = optional("The usual scheduler.", examples=["discrete"])


class ModelWords(Answer):
    """What a model's sidecar says for people. Long texts are cut."""

    name: str = Field(description="Of the model's file.")
    display_name: str
    description: str
    licence: str
    recommended_sides: SidesShown | None = Field(description="Within which it draws well; `null` where it is not said.")


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
    uses: list[str] = Field(description="Fields of its requests that have an effect.", examples=[["steps", "seed"]])
    ignores: list[IgnoredShown] = Field(description="Fields that have none, or that are refused.")
    native_pixels: int = Field(description="Pixels of the pictures that it was trained on.", examples=[1_048_576])
    size_multiple: int = Field(description="What sides should be multiples of; others are drawn larger and cropped.")
    sizes: list[SizeShown] = Field(description="Sizes of about that many pixels; its usual one comes first.")
    recommended: RecommendedSettings
    model: ModelWords = optional("What the file beside the loaded model says of it; told of the current preset.")


class ArchitecturesShown(Answer):
    """All presets by their names, and that of the current model."""

    architectures: dict[str, PresetShown]
    current_architecture: str | None = Field(
        description="The preset of the model that the next job gets, if it names none; `null` for none."
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
@needs("read")
@documents({200: ArchitecturesShown})
def list_architectures() -> Response:
    """List families of models with their needs and defaults, and tell the current model's."""
    every = {name: _preset(preset) for name, preset in PRESETS.items()}
    return answer({"architectures": every, **current_architecture()})


def current_architecture() -> dict[str, Any]:
    """What `ArchitecturesShown` tells of the current model."""
    models = runtime().models.slot
    # The one that the next job gets: it may rest, wait for the engine's start, or for a job that names another one.
    spec = models.selected or models.loading or models.resident
    current = shown = None
    if spec is not None:
        loaded = models.loaded if models.resident == spec else None
        current = preset_of(spec, loaded.architecture if loaded else None)
    if spec is not None and current is not None:
        generation = {**current.generation, **runtime().models.library.generation_defaults(spec)}
        traits = traits_of(spec, generation.get("cfg_scale"), loaded.architecture if loaded else None)
        shown = _preset(current, generation, traits) | {"model": _words_of(spec)}
    return {"current_architecture": current.id if current else None, "current_preset": shown}


@architectures.get("/architectures/detect")
@needs("read")
@documents({200: DetectionShown}, errors=(404,), query=DetectQuery)
@blocking
def detect_architecture() -> Response:
    """Tell what one of your model files is, and which of your other files would go with it. Only headers are read."""
    asked = read_query(DetectQuery).sent_fields()
    return answer(_detection(runtime().models.detection.detect(asked["model"], asked.get("type"))))


def _words_of(spec: LoadSpec) -> dict[str, Any]:
    sidecar = runtime().models.library.sidecar(spec.model.path) or Sidecar()
    sides = sidecar.recommended_sides
    texts = {name: getattr(sidecar, name)[:_LONGEST_TEXT] for name in ("display_name", "description", "licence")}
    return {"name": spec.model.name, **texts, "recommended_sides": sides.model_dump() if sides else None}


def _preset(
    preset: Preset, generation: Mapping[str, Any] | None = None, traits: Traits | None = None
) -> dict[str, Any]:
    """``generation`` and ``traits`` are those of a model, where they are known."""
    usual = preset.generation if generation is None else generation
    return {**_contract(preset, usual), **_advise(preset, usual, traits)}


def _advise(preset: Preset, generation: Mapping[str, Any], traits: Traits | None) -> dict[str, Any]:
    """What user interfaces show and hide."""
    family = preset.architecture
    ignored = idle_fields(traits or Traits(family, preset, generation.get("cfg_scale")))
    width, height = (int(generation.get(side, 1024)) for side in ("width", "height"))
    multiple = size_multiple(family)
    named = {name: generation[name] for name in ("sampler", "scheduler") if name in generation}
    return {
        "uses": [name for name in list_fields(makes_video=family.makes_video) if name not in ignored],
        "ignores": [{"field": name, "reason": reason} for name, reason in ignored.items()],
        "native_pixels": width * height,
        "size_multiple": multiple,
        "sizes": [size._asdict() for size in sizes_near(width, height, multiple)],
        "recommended": {**{name: one._asdict() for name, one in ranges_of(generation).items()}, **named},
    }


def _contract(preset: Preset, generation: Mapping[str, Any]) -> dict[str, Any]:
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
        "generationDefaults": dict(generation),
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
