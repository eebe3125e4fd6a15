"""How OpenAI's API says that something went wrong. Knows errors, and no request."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer

# Its own words for what clients look at; everything else keeps the server's.
_CODES = {
    "invalid_request": "invalid_value",
    "not_authenticated": "invalid_api_key",
    "queue_full": "rate_limit_exceeded",
    "internal_error": "server_error",
}


class OpenAiFault(Answer):
    """What is wrong."""

    message: str = Field(description="One sentence for the person who sent the request.")
    type: str = Field(examples=["invalid_request_error", "server_error"])
    param: str | None = Field(description="The field at fault.")
    code: str | None = Field(description="A word for programs.", examples=["invalid_value", "model_not_found"])


class OpenAiError(Answer):
    """An error as OpenAI's clients expect it."""

    error: OpenAiFault


def openai_error(error: SdcppRestError) -> dict[str, Any]:
    """The body of an answer to a request that failed; also what a stream that fails midway ends with."""
    field = error.detail.get("field")
    shown = {
        "message": error.message,
        "type": _type_of(error.status),
        "param": field if isinstance(field, str) else None,
        "code": "missing_required_parameter" if error.detail.get("missing") else _CODES.get(error.code, error.code),
    }
    if "error_id" in error.detail:
        shown["message"] = f"{error.message} ({error.detail['error_id']})"
    return {"error": shown}


def openai_headers(error: SdcppRestError) -> list[tuple[str, str]]:
    """What keeps clients from trying again what fails again: drawing a picture is no small thing."""
    return [] if error.status in (429, 503) else [("x-should-retry", "false")]


def _type_of(status: int) -> str:
    if status == 429:
        return "requests"
    if status == 403:
        return "permission_error"
    return "server_error" if status >= 500 else "invalid_request_error"


OPENAI_ERROR = ErrorShape("openai", OpenAiError, openai_error, headers=openai_headers)
