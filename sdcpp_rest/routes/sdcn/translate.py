"""From SDCN's words to native ones.

Lenient as SDCN is: numbers are brought into their range, what is of another type counts as not given. Only a model, a
LoRA and a picture that are not there are refused. What it has to know of the server comes as `TranslationContext`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.prompts import lora_tag
from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.core.sampling_names import find_sampling
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.sdcn.errors import InvalidLora, InvalidModel
from sdcpp_rest.services.models.load_checks import check_loadable
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.submission.model_choice import ModelChoice
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRequest

# The first of SDCN's own list, which an unknown name becomes.
_FIRST_SAMPLER = "DPM++ SDE Karras"
_LARGEST_SEED = 2**63 - 1 - 10_000
# More than any number here may be.
_LARGEST = 2**64
_PREPROCESSORS = {"": "", "none": "", "canny": "canny"}
_FIELDS = {"control_image": "control_net[0].image"}


@dataclass(frozen=True)
class TranslationContext:
    """What a translation has to know.

    ``samplers`` and ``schedulers`` are the engine's.
    """

    limits: LimitsConfig
    choice: ModelChoice
    samplers: Sequence[str]
    schedulers: Sequence[str]
    library: ModelLibrary


def to_request(
    kind: PictureKind, body: Mapping[str, Any], context: TranslationContext, *, is_api: bool = False
) -> PictureRequest:
    """What is to be drawn, with which model. Below /api/sd (``is_api``) prompt and sampler are looked at more closely,
    and a ControlNet may be named.

    Raises InvalidModel, InvalidLora, InvalidRequest.
    """
    spec = _model(body.get("model"), context.choice)
    if is_api and not isinstance(body.get("prompt"), str):
        raise InvalidRequest("Invalid prompt", field="prompt")
    params = {
        "prompt": _text(body, "prompt") + _lora_tags(body.get("loras"), context.choice),
        "negative_prompt": _text(body, "negative_prompt"),
        "seed": int(max(-1, min(_LARGEST_SEED, _number(body.get("seed"), -1)))),
        **_numbers(body, context.limits),
        **_sampling(body, context, is_strict=is_api),
    }
    images = {}
    if kind == "img2img":
        image = body.get("init_image")
        if not isinstance(image, str) or not image:
            raise InvalidRequest("Invalid init_image", field="init_image")
        images["init_image"] = image
        params["strength"] = _clamp(body.get("denoising_strength"), 0.0, 1.0, 0.5)
    if isinstance(body.get("upscale"), Mapping):
        params |= _hires(body["upscale"], context)
    if is_api and body.get("control_net"):
        spec, control = _control(spec, body["control_net"], context.choice)
        images["control_image"] = control.pop("control_image")
        params |= control
    return PictureRequest(kind, params, images, spec)


@contextlib.contextmanager
def in_client_words() -> Iterator[None]:
    """Refusals of the block, with the field called as on the wire."""
    try:
        yield
    except InvalidRequest as error:
        role = str(error.detail.get("field") or "")
        if role not in _FIELDS:
            raise
        message = error.message.replace(role, _FIELDS[role], 1)
        raise type(error)(message, **{**error.detail, "field": _FIELDS[role]}) from None


def _model(name: object, choice: ModelChoice) -> LoadSpec:
    if not isinstance(name, str) or not name.strip():
        raise InvalidModel("model is required: the SHA-256 of a model's file, or its name", field="model")
    try:
        return choice.spec_named(name)
    except ModelNotFound as error:
        nearest = error.detail.get("nearest") or []
        hint = f"; did you mean {', '.join(nearest)}?" if nearest else ""
        raise InvalidModel(f"There is no model {shorten(name)!r}{hint}", field="model") from None
    except InvalidRequest as error:
        raise InvalidModel(error.message, field="model") from None


def _lora_tags(loras: object, choice: ModelChoice) -> str:
    if loras in (None, "", {}):
        return ""
    if not isinstance(loras, list) or len(loras) > 64:
        raise InvalidLora("loras must be a list of at most 64 pairs of a LoRA and its weight", field="loras")
    tags = []
    for index, pair in enumerate(loras):
        place = f"loras[{index}]"
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise InvalidLora(f"{place} must be a LoRA and its weight", field=place)
        weight = _number(pair[1], math.nan)
        if not math.isfinite(weight):
            raise InvalidLora(f"{place}: the weight must be a number", field=place)
        try:
            name = choice.find(("lora",), pair[0]).name
        except (ModelNotFound, InvalidRequest) as error:
            raise InvalidLora(f"{place}: {error.message}", field=place) from None
        try:
            tags.append(f",{lora_tag(name, weight)}")
        except ValueError as error:
            raise InvalidLora(f"{place}: {error}; rename the file", field=place) from None
    return "".join(tags)


def _numbers(body: Mapping[str, Any], limits: LimitsConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("width", "height"):
        side = _number(body.get(name), math.nan)
        if math.isfinite(side):
            found[name] = int(max(8, min(limits.side, side))) // 8 * 8
    steps = _number(body.get("steps"), math.nan)
    if math.isfinite(steps):
        found["steps"] = int(max(1, min(limits.steps, steps)))
    cfg_scale = _number(body.get("cfg_scale"), math.nan)
    if math.isfinite(cfg_scale):
        found["cfg_scale"] = max(1.0, min(30.0, cfg_scale))
    return found


def _sampling(body: Mapping[str, Any], context: TranslationContext, *, is_strict: bool) -> dict[str, str]:
    asked = body.get("sampler_name")
    if not isinstance(asked, str) or not asked.strip():
        return {}
    named = find_sampling(asked)
    if named is None and is_strict:
        raise InvalidRequest(f"Invalid sampler_name: {shorten(asked)!r}", field="sampler_name")
    named = named or find_sampling(_FIRST_SAMPLER)
    found = {}
    if named is not None and named.sampler in context.samplers:
        found["sampler"] = named.sampler
    if named is not None and named.scheduler in context.schedulers:
        found["scheduler"] = str(named.scheduler)
    return found


def _hires(upscale: Mapping[str, Any], context: TranslationContext) -> dict[str, Any]:
    name = upscale.get("upscaler")
    return {
        "hires": True,
        "hires_scale": _clamp(upscale.get("scale"), 1.0, 2.0, 2.0),
        "hires_denoising_strength": _clamp(upscale.get("denoising_strength"), 0.01, 0.99, 0.5),
        "hires_upscaler": _upscaler(name if isinstance(name, str) and name.strip() else "Latent", context.library),
    }


def _upscaler(name: str, library: ModelLibrary) -> str:
    """ "ESRGAN 4x" is one of SDCN's two upscalers: where no file is called so, any ESRGAN model is meant."""
    if name.casefold() in {one.casefold() for one in HIRES_UPSCALERS}:
        return name
    for wanted in (name, name.replace(" ", "_")):
        try:
            return library.find("esrgan", wanted).name
        except (ModelNotFound, InvalidRequest):
            continue
    files = library.list("esrgan")["esrgan"]
    if name.casefold().startswith("esrgan") and files:
        return files[0].name
    raise InvalidRequest(f"Invalid upscaler: there is no {shorten(name)!r} here", field="upscale.upscaler")


def _control(spec: LoadSpec, control_net: object, choice: ModelChoice) -> tuple[LoadSpec, dict[str, Any]]:
    first = control_net[0] if isinstance(control_net, list) else None
    if not isinstance(first, Mapping) or not isinstance(first.get("image"), str) or not first["image"]:
        raise InvalidRequest("Control net requires an input image", field="control_net[0].image")
    preprocess = _PREPROCESSORS.get(_text(first, "preprocess"))
    if preprocess is None:
        raise InvalidRequest(
            "Invalid control net preprocess; here there are canny and none", field="control_net[0].preprocess"
        )
    try:
        file = choice.find(("controlnet",), _text(first, "model"))
    except (ModelNotFound, InvalidRequest) as error:
        raise InvalidRequest(f"Invalid control net model: {error.message}", field="control_net[0].model") from None
    components = {**spec.components, "controlnet": FileRef(name=file.name, path=file.path)}
    changed = spec.model_copy(update={"components": {role: components[role] for role in sorted(components)}})
    check_loadable(changed)
    strength = _clamp(first.get("weight"), 0.0, 2.0, 1.0)
    control = {"control_image": first["image"], "control_strength": strength, "preprocess": preprocess}
    return changed, control


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _clamp(value: object, low: float, high: float, default: float) -> float:
    return max(low, min(high, _number(value, default)))


def _number(value: object, default: float) -> float:
    """A number, also written as text."""
    if isinstance(value, bool):
        return default
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return default
    if isinstance(value, int):
        # Exact: seeds are larger than a float can tell apart. Beyond any float it could not even be compared with one.
        return max(-_LARGEST, min(_LARGEST, value))
    return value if isinstance(value, float) and math.isfinite(value) else default
