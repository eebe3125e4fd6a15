"""From Ollama's words to native ones, and from models and jobs to what Ollama answers about them.

Submits nothing, and knows no HTTP.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, NoModelLoaded
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.ollama.wire import OllamaGenerateBody
from sdcpp_rest.services.models.architecture_presets import edits_references
from sdcpp_rest.services.models.model_cards import ModelCard
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS, ModelChoice
from sdcpp_rest.services.submission.picture_rounds import PictureRequest

_FOREVER = "2318-01-01T00:00:00Z"
_SAME_NAMES = ("width", "height", "steps", "seed", "negative_prompt", "cfg_scale", "strength")
_MAY_BE_ZERO = ("width", "height", "steps")
_IMAGE_FIELDS = {"init_image": "images[0]"}


@dataclass(frozen=True)
class GenerateRequest:
    """A call that was read. ``request`` is ``None`` where the model is only to be loaded, or freed."""

    model: str
    spec: LoadSpec
    is_stream: bool
    request: PictureRequest | None
    unloads: bool = False


def to_request(
    body: Mapping[str, Any], choice: ModelChoice, selected: LoadSpec | None, limits: LimitsConfig
) -> GenerateRequest:
    """What ``body`` asks for. Raises InvalidRequest, ModelNotFound, NoModelLoaded."""
    options = body.get("options")
    from_options = {name: options[name] for name in _SAME_NAMES if name in options} if isinstance(options, dict) else {}
    wishes, warnings = examine(OllamaGenerateBody, {**from_options, **body}, limits=limits)
    spec = model_named(wishes.model, choice, selected)
    name = wishes.model or spec.model.name
    if not wishes.prompt.strip() and not wishes.images:
        return GenerateRequest(name, spec, wishes.stream, None, unloads=_is_nothing(wishes.keep_alive))
    if _is_nothing(wishes.keep_alive):
        warnings.append("keep_alive was ignored: the model stays until another one takes its place.")
    sent = wishes.sent_fields()
    params = {name: sent[name] for name in _SAME_NAMES if name in sent}
    params = {name: value for name, value in params.items() if value or name not in _MAY_BE_ZERO}
    params["prompt"] = wishes.prompt
    request = PictureRequest("txt2img", params, spec=spec, warnings=tuple(warnings))
    if wishes.images:
        request = _with_images(request, wishes.images, spec)
    return GenerateRequest(name, spec, wishes.stream, request)


def model_named(name: str, choice: ModelChoice, selected: LoadSpec | None) -> LoadSpec:
    """The model of that name, with or without Ollama's ``:latest``; without a name the selected one.

    Raises ModelNotFound, NoModelLoaded, InvalidRequest.
    """
    if not name:
        if selected is None:
            raise NoModelLoaded("model is required: no model is loaded", field="model")
        return selected
    try:
        return choice.spec_named(name.removesuffix(":latest"))
    except ModelNotFound as error:
        raise _not_found(name, error) from None
    except InvalidRequest as error:
        raise InvalidRequest(error.message.replace("model_name", "model", 1), field="model") from None


def in_client_words(error: InvalidRequest) -> InvalidRequest:
    """The same refusal with the field called as on the wire."""
    role = str(error.detail.get("field") or "")
    wire = _IMAGE_FIELDS.get(role) or (f"images[{role.partition('.')[2]}]" if role.startswith("ref_images.") else None)
    if wire is None:
        return error
    return type(error)(error.message.replace(role, wire, 1), **{**error.detail, "field": wire})


def step_line(model: str, step: int, total: int) -> dict[str, Any]:
    """How far a picture is."""
    return {**_head(model), "done": False, "completed": step, "total": total}


def picture_line(model: str, job: Job, file: bytes) -> dict[str, Any]:
    """The picture of a job that is done."""
    took = (job.completed_at or utc_now()) - job.created_at
    return {
        **_head(model),
        "image": base64.b64encode(file).decode("ascii"),
        "done": True,
        "done_reason": "stop",
        "total_duration": int(took.total_seconds() * 1e9),
        "load_duration": int(job.timings.load_seconds * 1e9),
        "seed": job.params["seed"],
        **({"warnings": list(job.warnings)} if job.warnings else {}),
    }


def idle_line(model: str, reason: str) -> dict[str, Any]:
    """The answer to a call that draws nothing."""
    return {**_head(model), "done": True, "done_reason": reason}


def model_object(card: ModelCard) -> dict[str, Any]:
    """A model in a list."""
    return {
        "name": card.file.name,
        "model": card.file.name,
        "modified_at": _moment(card.file.mtime_ns),
        "size": card.file.size_bytes,
        "digest": card.sha256 or "",
        "details": _details(card),
        "capabilities": ["image"],
    }


def running_object(card: ModelCard) -> dict[str, Any]:
    """The model that is loaded."""
    return {**model_object(card), "expires_at": _FOREVER, "size_vram": 0}


def shown_object(card: ModelCard) -> dict[str, Any]:
    """All that is told of one model."""
    header = card.header
    info: dict[str, Any] = {"general.architecture": header.architecture if header else None, "general.name": card.title}
    if header is not None:
        info["general.parameter_count"] = header.parameter_count
    license = card.notes.get("license")
    return {
        **({"license": license} if license else {}),
        "modelfile": f"FROM {card.file.name}\n",
        "parameters": "",
        "template": "",
        "details": _details(card),
        "model_info": info,
        "capabilities": ["image"],
        "modified_at": _moment(card.file.mtime_ns),
    }


def find_card(cards: Callable[[ModelFile], ModelCard], choice: ModelChoice, name: str) -> ModelCard:
    """The card of the model of that name. Raises ModelNotFound, InvalidRequest."""
    if not name.strip():
        raise InvalidRequest("model is required", field="model")
    try:
        return cards(choice.find(PICTURE_MODELS, name.removesuffix(":latest")))
    except ModelNotFound as error:
        raise _not_found(name, error) from None


def _not_found(name: str, error: ModelNotFound) -> ModelNotFound:
    near = error.detail.get("nearest") or []
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return ModelNotFound(f"model '{shorten(name)}' not found{hint}", field="model")


def _is_nothing(keep_alive: object) -> bool:
    """Whether a model is to be freed at once: no time, as a number or as text with a unit."""
    return keep_alive is not False and str(keep_alive).strip().rstrip("smh") in ("0", "0.0")


def _with_images(request: PictureRequest, given: list[str], spec: LoadSpec) -> PictureRequest:
    if edits_references(spec):
        images = {f"ref_images.{index}": text for index, text in enumerate(given)}
        return PictureRequest("txt2img", request.asked, images, spec, request.warnings)
    warnings = request.warnings
    if len(given) > 1:
        told = f"Only the first of {len(given)} images was used: {spec.model.name} looks at one."
        warnings = (*warnings, told)
    return PictureRequest("img2img", request.asked, {"init_image": given[0]}, spec, warnings)


def _details(card: ModelCard) -> dict[str, Any]:
    header = card.header
    family = (header.architecture if header else None) or ""
    return {
        "parent_model": "",
        "format": card.file.file_extension.lstrip("."),
        "family": family,
        "families": [family] if family else [],
        "parameter_size": _in_words(header.parameter_count) if header else "",
        "quantization_level": "",
    }


def _in_words(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


def _head(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": utc_now().isoformat().replace("+00:00", "Z"), "response": ""}


def _moment(mtime_ns: int) -> str:
    moment = datetime.fromtimestamp(mtime_ns / 1e9, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
