"""What is said about a generation request's fields besides its wire model: defaults that users may choose, words for
user interfaces. Both are made from the wire models, so that neither can say anything else.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sdcpp_rest.core.sampling_notes import SAMPLER_NOTES, SCHEDULER_NOTES
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.wire_models import LIMIT_KEYWORD, PictureText, Wire
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from sdcpp_rest.services.settings.user_settings import Mode

MODE_BODIES: Mapping[Mode, type[Wire]] = {"txt2img": Txt2ImgBody, "img2img": Img2ImgBody, "txt2vid": Txt2VidBody}

# Of one request only: nobody wants the same picture, file or title by default.
_NO_DEFAULT = frozenset(
    {"prompt", "expand_prompt", "styles", "title", "model_name", "group", "device", "pm_id_embed_path"}
)
_SPELLED = {"cfg": "CFG", "vae": "VAE", "slg": "SLG", "clip": "CLIP", "id": "ID", "pm": "PhotoMaker", "fps": "FPS"}
_CAMEL_CASE = re.compile(r"[a-z]+[0-9a-z]*[A-Z][0-9A-Za-z]*")
_NOTES = {"sampler": SAMPLER_NOTES, "scheduler": SCHEDULER_NOTES}


def _defaults_model(mode: Mode) -> type[Wire]:
    fields: dict[str, Any] = {}
    for name, field in MODE_BODIES[mode].model_fields.items():
        if _may_be_chosen(name, field):
            optional = copy.copy(field)
            optional.default, optional.default_factory = PydanticUndefined, _nothing
            fields[name] = (field.annotation, optional)
    model: type[Wire] = create_model(
        f"{mode.capitalize()}Defaults",
        __base__=Wire,
        __doc__=f"What `POST /{mode}` takes for fields that a request leaves out.",
        **fields,
    )
    return model


def _may_be_chosen(name: str, field: FieldInfo) -> bool:
    is_picture = name.endswith("_base64") or field.annotation == list[PictureText]
    return not is_picture and not field.is_required() and name not in _NO_DEFAULT


def _nothing() -> None:
    return None


DEFAULTS_MODELS: Mapping[Mode, type[Wire]] = {mode: _defaults_model(mode) for mode in MODE_BODIES}


class AllDefaults(Wire):
    """Of each kind of request; a kind that is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"txt2img": {"steps": 12, "cfg_scale": 2.5}}]})


def all_defaults_model() -> type[Wire]:
    """`AllDefaults` with a field per mode."""
    fields: dict[str, Any] = {}
    for mode, model in DEFAULTS_MODELS.items():
        left_out = FieldInfo(default_factory=_nothing, description=f"What `POST /{mode}` takes for omitted fields.")
        fields[mode] = (model, left_out)
    made: type[Wire] = create_model("AllDefaultsBody", __base__=AllDefaults, __doc__=AllDefaults.__doc__, **fields)
    return made


def is_form(sent: object) -> bool:
    """Whether ``sent`` is what a user interface's form holds and no request's defaults: the native API's own names have
    no capitals, while SDCPP-RESTAPI's page keeps its form under names in camelCase."""
    return isinstance(sent, dict) and any(_CAMEL_CASE.fullmatch(name) for name in sent)


def check_names(chosen: Mapping[str, Any], options: Mapping[str, Any], where: str = "") -> None:
    """Refuse samplers and schedulers that there are not: as a default, one would fail every request after this."""
    for name, value in chosen.items():
        kind = next((kind for kind in _NOTES if name.endswith(kind)), None)
        allowed = options.get(f"{kind}s", ())
        if kind is not None and value and allowed and value not in allowed:
            field, words = where + name, "one of " + ", ".join(allowed)
            raise InvalidRequest(f'{field} must be {words}, got "{value}"', field=field, value=value, allowed=words)


# --- words ----------------------------------------------------------------------------------------------------------


def describe_fields(body: type[BaseModel], limits: object) -> dict[str, dict[str, Any]]:
    """Each field of a wire model in the words a user interface needs: label, description, type, default, range.

    Args:
        limits: the configuration's, which bound some of them.
    """
    return {
        name: _describe_field(name, field, schema, limits)
        for (name, field), schema in zip(body.model_fields.items(), _properties(body).values(), strict=True)
    }


def notes(kind: Literal["sampler", "scheduler"], names: list[str]) -> dict[str, str]:
    """Name -> one sentence; empty for one that only a newer library knows."""
    return {name: _NOTES[kind].get(name, "") for name in names}


def list_fields(*, makes_video: bool) -> list[str]:
    """Fields of requests for pictures, or for videos, that change what is made."""
    bodies: tuple[type[Wire], ...] = (Txt2VidBody,) if makes_video else (Txt2ImgBody, Img2ImgBody)
    names = dict.fromkeys(name for body in bodies for name in body.model_fields)
    of_one_request = ("title", "expand_prompt", "model_name", "group", "device")
    return [name for name in names if name not in of_one_request]


@lru_cache(maxsize=32)
def _properties(body: type[BaseModel]) -> dict[str, dict[str, Any]]:
    properties: dict[str, dict[str, Any]] = body.model_json_schema()["properties"]
    return properties


def _describe_field(name: str, field: FieldInfo, schema: Mapping[str, Any], limits: object) -> dict[str, Any]:
    told: dict[str, Any] = {
        "label": " ".join(_words(name)),
        "description": field.description or "",
        "type": _type_of(schema),
        "required": field.is_required(),
    }
    if "default" in schema and not isinstance(schema["default"], dict):
        told["default"] = schema["default"]
    largest = getattr(limits, schema.get(LIMIT_KEYWORD, ""), schema.get("maximum"))
    for key, value in (("minimum", schema.get("minimum")), ("maximum", largest)):
        if value is not None and told["type"] == "number":
            told[key] = value
    if schema.get("type") == "integer":
        told["integer"] = True
    if "enum" in schema:
        told["values"] = {value: value or "none" for value in schema["enum"]}
    return told


def _words(name: str) -> Iterator[str]:
    for place, word in enumerate(name.removesuffix("_base64").split("_")):
        yield _SPELLED.get(word) or (word.capitalize() if place == 0 else word)


def _type_of(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "select"
    if {"type": "boolean"} in schema.get("anyOf", ()):
        return "boolean"  # which may be left to the server
    kind = str(schema.get("type", "object"))
    return "number" if kind == "integer" else kind
