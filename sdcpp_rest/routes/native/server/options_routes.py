"""What there is to choose from, in words for user interfaces: the fields of requests, samplers, schedulers."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.family_fields import idle_fields
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire, optional
from sdcpp_rest.routes.native.wire.generation_defaults import MODE_BODIES, describe_fields, notes
from sdcpp_rest.routes.native.wire.load_bodies import LoadOptionsBody
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody
from sdcpp_rest.services.models.architecture_presets import preset_of
from sdcpp_rest.services.submission.idle_notes import traits_of

options = Blueprint("options", __name__)

_SAMPLING_FIELDS: dict[str, Literal["sampler", "scheduler"]] = {
    "sampler": "sampler",
    "scheduler": "scheduler",
    "high_noise_sampler": "sampler",
    "high_noise_scheduler": "scheduler",
}


class OptionShown(Answer):
    """A field of a request."""

    label: str = Field(examples=["CFG scale"])
    description: str
    type: Literal["boolean", "number", "string", "select", "array", "object"]
    required: bool
    default: Any = optional("What a request that leaves it out gets, unless the model or the user has another.")
    mode_defaults: dict[str, Any] = optional("The defaults of requests that have another one.")
    minimum: float = optional("The smallest number allowed.")
    maximum: float = optional("The largest number allowed.")
    integer: bool = optional("Whether only whole numbers are; left out where not.")
    values: dict[str, str] = optional("What it may be, of a select: each value with words about it.")
    modes: list[str] = optional("The requests that know it.", examples=[["txt2img", "img2img"]])
    no_effect: str = optional("Why the current model makes no use of it.")


class GenerationOptions(Answer):
    """The fields of `POST /txt2img`, `/img2img`, `/txt2vid` and `/upscale`, and the names that some of them take."""

    options: dict[str, OptionShown]
    samplers: list[str]
    schedulers: list[str]


class LoadOptions(Answer):
    """The options of `POST /models/load`, and a sentence about each sampler and scheduler."""

    options: dict[str, OptionShown]
    samplers: dict[str, str]
    schedulers: dict[str, str]


@options.get("/options/generation")
@needs("read")
@documents({200: GenerationOptions})
def describe_generation() -> Response:
    """Describe every field of a generation request: its label, meaning, default and range."""
    return answer(generation_options())


def generation_options() -> dict[str, Any]:
    """In the shape of `GenerationOptions`."""
    limits, found = runtime().config.limits, runtime().status.options()
    shown: dict[str, dict[str, Any]] = {}
    bodies: list[tuple[str, type[Wire]]] = [*MODE_BODIES.items(), ("upscale", UpscaleBody)]
    for mode, body in bodies:
        for name, told in describe_fields(body, limits).items():
            option = shown.setdefault(name, {**told, "modes": []})
            option["modes"].append(mode)
            if told.get("default") != option.get("default"):
                option.setdefault("mode_defaults", {})[mode] = told.get("default")
    for name, kind in _SAMPLING_FIELDS.items():
        if name in shown:
            shown[name] |= {"type": "select", "values": notes(kind, found[f"{kind}s"])}
    for name, reason in _idle_fields().items():
        if name in shown:
            shown[name]["no_effect"] = reason
    return {"options": shown, "samplers": found["samplers"], "schedulers": found["schedulers"]}


def _idle_fields() -> dict[str, str]:
    """Those of the model that the next job gets."""
    models = runtime().models
    spec = models.slot.selected or models.slot.resident
    if spec is None:
        return {}
    preset = preset_of(spec)
    generation = {**(preset.generation if preset else {}), **models.library.generation_defaults(spec)}
    return idle_fields(traits_of(spec, generation.get("cfg_scale")))


@options.get("/options/descriptions")
@needs("read")
@documents({200: LoadOptions})
def describe_loading() -> Response:
    """Describe every option of loading a model, and each sampler and scheduler."""
    found = runtime().status.options()
    return answer(
        {
            "options": describe_fields(LoadOptionsBody, runtime().config.limits),
            "samplers": notes("sampler", found["samplers"]),
            "schedulers": notes("scheduler", found["schedulers"]),
        }
    )
