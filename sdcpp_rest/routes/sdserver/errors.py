"""How sd-server says that something went wrong. Knows errors, and no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.errors import InvalidRequest, JobNotFound, NoModelLoaded, QueueFull, SdcppRestError
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import optional


class SdServerError(Answer):
    """An error. Its clients show ``error``, or else ``message``."""

    error: str = Field(description="What its clients expect to read, and what is at fault.", examples=["invalid json"])
    message: str = optional("What happened, in the server's own words, where `error` does not tell.")


class EmptyBody(InvalidRequest):
    """A job was submitted without a word."""

    code = "empty_body"


class InvalidJson(InvalidRequest):
    """The body is no JSON object."""

    code = "invalid_json"


class WrongMode(InvalidRequest):
    """The model makes videos and pictures were asked for, or the other way round."""

    code = "wrong_mode"


class JobGone(SdcppRestError):
    """A job that was here and was deleted."""

    status = 410
    code = "job_gone"


class CannotCancel(SdcppRestError):
    """A job that ends at this moment."""

    status = 409
    code = "cannot_cancel"


_WORDS: Mapping[type[SdcppRestError], str] = {
    EmptyBody: "empty body",
    InvalidJson: "invalid json",
    JobNotFound: "job not found",
    JobGone: "job expired",
    QueueFull: "job queue is full",
}


def error_body(error: SdcppRestError) -> dict[str, Any]:
    """The body of any error."""
    if "error_id" in error.detail:
        return {"error": "server_error", "message": f"{error.message} ({error.detail['error_id']})"}
    if type(error) in _WORDS:
        return {"error": _WORDS[type(error)], "message": error.message}
    if isinstance(error, InvalidRequest) and not isinstance(error, NoModelLoaded | WrongMode):
        return {"error": f"invalid generation parameters: {error.message}"}
    return {"error": error.message}


SD_SERVER_ERROR = ErrorShape("sd-server", SdServerError, error_body)
