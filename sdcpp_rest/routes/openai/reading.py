"""Requests of OpenAI's images API, as JSON or as a form, brought to one shape and checked against a wire model.

Never strict: those clients send what OpenAI's newest models understand. Knows no service.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from flask import request

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.multipart import FormFile, parts_of
from sdcpp_rest.routes.http.request_bodies import parse_body
from sdcpp_rest.routes.http.wire_models import Wire, examine
from sdcpp_rest.routes.openai.neighbours import rename_fields
from sdcpp_rest.routes.openai.wire import MAX_IMAGES

Model = TypeVar("Model", bound=Wire)

_FORM_FIELD_BYTES = 64 * 1024


def read(model: type[Model], limits: LimitsConfig, *required: str) -> tuple[Model, list[str]]:
    """The current request's body as ``model``, and warnings about fields that it does not know.

    Raises InvalidRequest, in OpenAI's own words where one of ``required`` is missing.
    """
    raw = request.get_data(cache=False)
    if "image" not in model.model_fields:
        # Nothing of it is a file: JSON, whatever its Content-Type says.
        body = parse_body(raw)
    elif request.mimetype == "multipart/form-data":
        body = _read_form(model, raw, request.headers.get("Content-Type", ""))
    else:
        body = from_json(parse_body(raw))
    named, warnings = rename_fields(body)
    check_required(named, *required)
    wishes, unknown = examine(model, named, limits=limits)
    return wishes, [*warnings, *unknown]


def check_required(body: Mapping[str, Any], *names: str) -> None:
    """Refuse a body without them, in the words OpenAI has for that, and one whose words are empty."""
    for name in names:
        value = body.get(name)
        if value is None:
            raise InvalidRequest(f"Missing required parameter: '{name}'", field=name, missing=True)
        if isinstance(value, str) and not value.strip():
            raise InvalidRequest(f"{name} must not be empty", field=name)


def from_json(body: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body with its pictures in one list, whichever way they were named."""
    found = dict(body)
    pictures = []
    for name in ("image", "image[]", "images"):
        value = found.pop(name, None)
        pictures += value if isinstance(value, list) else [] if value is None else [value]
    if pictures:
        found["image"] = [_url_of(picture) for picture in pictures]
    if "mask" in found:
        found["mask"] = _url_of(found["mask"])
    return found


def from_form(model: type[Wire], fields: Mapping[str, str]) -> dict[str, Any]:
    """A form's texts in the types of ``model``; left as text, for the check to refuse, where they cannot be."""
    found: dict[str, Any] = {}
    for name, text in fields.items():
        field = model.model_fields.get(name)
        is_text = field is None or field.annotation not in (int, float, bool, list[Any])
        # What stays empty in a page's form was not given.
        if text or field is None or field.is_required():
            found[name] = text if is_text else _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except (ValueError, RecursionError):
        return text


def _url_of(picture: Any) -> Any:
    """OpenAI's JSON names pictures by URLs; those that hold the picture itself are understood."""
    return picture.get("image_url", picture) if isinstance(picture, dict) else picture


def _read_form(model: type[Wire], raw: bytes, content_type: str) -> dict[str, Any]:
    """A form's fields in the words of ``model``."""
    texts: dict[str, str] = {}
    files: dict[str, list[str]] = {}
    for part in parts_of(io.BytesIO(raw), content_type, _FORM_FIELD_BYTES):
        # "image[]", or "image[0]": one of several. Other brackets belong to fields that this server does not know.
        name = part.name.partition("[")[0] if part.name.startswith(("image", "mask")) else part.name
        if isinstance(part, FormFile):
            files.setdefault(name, []).append(base64.b64encode(b"".join(part.chunks)).decode("ascii"))
        elif name in ("image", "mask"):
            files.setdefault(name, []).append(part.value)
        else:
            texts[name] = part.value
    images, masks = files.get("image", []), files.get("mask", [])
    if len(images) > MAX_IMAGES or len(masks) > 1:
        raise InvalidRequest(f"image may be there {MAX_IMAGES} times, mask once", field="image")
    body = from_form(model, texts)
    return {**body, **({"image": images} if images else {}), **({"mask": masks[0]} if masks else {})}
