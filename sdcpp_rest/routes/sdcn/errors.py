"""How SDCN says that something went wrong: at the root, for interrogation, and below /api/sd. Knows errors, and no
request."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer

NO_WORKER = "No available worker"
BACKEND_FAILED = "Internal error, backend failed to response"

# The numbers of its error codes.
_PERMISSION_DENIED, _UNAVAILABLE, _INVALID_ARGUMENT, _UPSTREAM = 1000, 2000, 3000, 4000


class InvalidModel(InvalidRequest):
    """``model`` is missing, or names nothing that is here."""

    code = "invalid_model"


class InvalidLora(InvalidRequest):
    """``loras`` is no list of pairs, or names nothing that is here."""

    code = "invalid_lora"


class SdcnError(Answer):
    """An error of SDCN's picture routes."""

    msg: str = Field(description="What its clients expect to read.")
    detail: str = Field(description="What happened, in the server's own words.")


class SdcnInterrogateError(Answer):
    """An error of SDCN's interrogation."""

    detail: str


class SdcnApiError(Answer):
    """An error of the API below /api/sd."""

    code: int = Field(description="1000: not allowed. 2000: not available. 3000: an argument. 4000: the backend.")
    message: str


def sdcn_status(error: SdcppRestError) -> int:
    """SDCN knows three ways to fail."""
    if error.status in (429, 503, 504):
        return 503
    return error.status if error.status < 500 or error.status == 501 else 500


def sdcn_error(error: SdcppRestError) -> dict[str, Any]:
    """The body at the root."""
    status = sdcn_status(error)
    if status == 503:
        return {"msg": NO_WORKER, "detail": _words(error)}
    if status == 500:
        return {"msg": BACKEND_FAILED, "detail": _words(error)}
    fixed: dict[type[SdcppRestError], str] = {InvalidModel: "Invalid model", InvalidLora: "Invalid lora param"}
    return {"msg": fixed.get(type(error), error.message), "detail": _words(error)}


def sdcn_interrogate_error(error: SdcppRestError) -> dict[str, Any]:
    """The body of the interrogation's errors, which come from elsewhere and have another shape."""
    return {"detail": _words(error)}


def sdcn_api_error(error: SdcppRestError) -> dict[str, Any]:
    """The body below /api/sd."""
    if error.status in (401, 403):
        code = _PERMISSION_DENIED
    elif error.status in (404, 405, 429, 501, 503, 504):
        code = _UNAVAILABLE
    else:
        code = _INVALID_ARGUMENT if error.status < 500 else _UPSTREAM
    return {"code": code, "message": _words(error)}


def _words(error: SdcppRestError) -> str:
    return f"{error.message} ({error.detail['error_id']})" if "error_id" in error.detail else error.message


SDCN_ERROR = ErrorShape("sdcn", SdcnError, sdcn_error, sdcn_status)
SDCN_INTERROGATE_ERROR = ErrorShape("sdcn interrogate", SdcnInterrogateError, sdcn_interrogate_error)
SDCN_API_ERROR = ErrorShape("sdcn api", SdcnApiError, sdcn_api_error)
