"""Reads answers: the JSON that was promised, the server's refusals, and whatever else may stand at an address.

Pure: bytes in, values or errors out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar, cast

from sdcpp_rest.client.errors import OF_STATUS, ApiError, UnexpectedAnswer
from sdcpp_rest.client.steps import Request

T = TypeVar("T")


def read_answer(request: Request[T], status: int, content_type: str, content: bytes) -> T:
    """What the request promised. Raises ApiError for a refusal, UnexpectedAnswer for what is no answer of the API."""
    check_status(request, status, content_type, content)
    if request.answer is type(None):
        return cast(T, None)  # type: ignore[redundant-cast]
    if request.answer is bytes:
        return cast(T, content)
    if request.answer is str:
        return cast(T, content.decode("utf-8", "replace"))
    return cast(T, read_object(_name(request), content_type, content))


def check_status(request: Request[Any], status: int, content_type: str, content: bytes) -> None:
    """Raise ApiError for a refusal, UnexpectedAnswer for a redirect: the API has none."""
    if status >= 400:
        raise read_refusal(_name(request), status, content_type, content)
    if status >= 300:
        raise UnexpectedAnswer(f"{_name(request)} was answered with {_status_text(status)}, which leads elsewhere")


def read_refusal(asked: str, status: int, content_type: str, content: bytes) -> ApiError:
    """The server's own sentence; where it has none (a proxy answers, say) one about the status."""
    kind = OF_STATUS.get(status, ApiError)
    try:
        said = json.loads(content)
        return kind(status, str(said["error"]), str(said.get("code", "")), str(said.get("field", "")), said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        what = content_type.partition(";")[0] or "no content type"
        return kind(status, f"{asked} was answered with {_status_text(status)}, not by this API ({what})")


def read_object(asked: str, content_type: str, content: bytes | str) -> dict[str, Any]:
    """A JSON object. Its fields are the server's word: what a newer or older one adds or lacks is no error here."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        what = content_type.partition(";")[0] or "something without a content type"
        raise UnexpectedAnswer(f"{asked} was answered with {what}, which is no JSON") from None
    if not isinstance(value, dict):
        raise UnexpectedAnswer(f"{asked} was answered with JSON that is no object")
    return value


def take(answer: Mapping[str, Any], name: str, kind: type[T], asked: str) -> T:
    """A field that the client itself goes by. Raises UnexpectedAnswer where it is not there."""
    value = answer.get(name)
    if not isinstance(value, kind):
        raise UnexpectedAnswer(f"{asked} was answered with an object whose {name} is no {kind.__name__}")
    return value


def _name(request: Request[Any]) -> str:
    return f"{request.method} {request.path}"


def _status_text(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
