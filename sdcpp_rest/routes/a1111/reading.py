"""Requests as AUTOMATIC1111's API reads them: numbers may come as text, whole numbers as fractions, anything as null.

What cannot be read at all is told field by field. Knows no single route.
"""

from __future__ import annotations

import base64
import math
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import AllowInfNan, BeforeValidator, Field, ValidationError

from sdcpp_rest.routes.a1111.errors import Unreadable
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.wire_models import Wire

M = TypeVar("M", bound=Wire)
_LONGEST_NUMBER = 40
_LARGEST = 2**63 - 1


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _LONGEST_NUMBER:
            raise ValueError("value is not a valid integer")
        try:
            value = int(text)
        except ValueError:
            value = _real(text)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("value is not a valid integer")
        value = int(value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("value is out of range")
    return value


def _real(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _LONGEST_NUMBER:
            raise ValueError("value is not a valid float")
        try:
            return float(text)
        except ValueError:
            raise ValueError("value is not a valid float") from None
    return value


def _seed(value: Any) -> Any:
    # Clients send the content of an empty input field.
    return -1 if value is None or (isinstance(value, str) and not value.strip()) else _whole(value)


def _words(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Whole = Annotated[int, BeforeValidator(_whole)]
Real = Annotated[float, BeforeValidator(_real), AllowInfNan(False)]
Seed = Annotated[int, BeforeValidator(_seed)]
Words = Annotated[str, BeforeValidator(_words)]
Switch = bool


def maybe(description: str, **more: Any) -> Any:
    """A field that is null unless it is sent."""
    return Field(None, description=description, **more)


def read(model: type[M]) -> M:
    """The current request's body as ``model``; a null counts as not given. Raises InvalidRequest, Unreadable."""
    given = {name: value for name, value in read_body().items() if value is not None}
    return reread(model, given)


def reread(model: type[M], given: dict[str, Any]) -> M:
    """``given`` as ``model``. Raises Unreadable, which names every field at fault."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Unreadable(
            [
                {"loc": ["body", *one["loc"]], "msg": one["msg"].removeprefix("Value error, "), "type": one["type"]}
                for one in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def caller() -> str:
    """Who calls, as an opaque owner: the user of a Basic key, or else the address. A person's tools share both."""
    authorization = request.authorization
    if runtime().config.auth.is_on and authorization is not None and authorization.username:
        return f"a1111:user:{authorization.username}"
    address = request.remote_addr or ""
    return "a1111:local" if address in ("", "127.0.0.1", "::1", "::ffff:127.0.0.1") else f"a1111:{address}"


def scope() -> str | None:
    """Whose work interrupt and progress look at: the caller's, or (``None``) anybody's."""
    return None if runtime().config.interrupt.scope == "global" else caller()


def text_of(data: bytes) -> str:
    """Base64 as this dialect sends pictures: bare."""
    return base64.b64encode(data).decode("ascii")
