"""How AUTOMATIC1111's API says that something went wrong. Knows errors, and no request."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sdcpp_rest.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NoModelLoaded,
    NotAuthenticated,
    NotFound,
    NoUpscalerLoaded,
    SdcppRestError,
    WrongKey,
)
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import optional

# Native names of fields, in this dialect's.
_FIELDS = {
    "batch_count": "batch_size",
    "sampler": "sampler_name",
    "strength": "denoising_strength",
    "hires_scale": "hr_scale",
    "hires_width": "hr_resize_x",
    "hires_height": "hr_resize_y",
    "hires_steps": "hr_second_pass_steps",
    "hires_upscaler": "hr_upscaler",
    "hires_denoising_strength": "denoising_strength",
    "img_cfg_scale": "image_cfg_scale",
    "distilled_guidance": "distilled_cfg_scale",
    "upscale_factor": "upscaling_resize",
    "image_base64": "image",
}
_PICTURES = frozenset({"init_image", "mask_image", "image", "image_base64"})


class A1111Complaint(Answer):
    """One field that cannot be read."""

    loc: list[str | int] = Field(description="Where it is.")
    msg: str
    type: str


class A1111Error(Answer):
    """An error as AUTOMATIC1111's clients expect it. `detail` is a list where a request could not be read (422)."""

    detail: str | list[A1111Complaint]
    error: str = optional("The kind of failure.")
    body: str = optional("Always empty.")
    errors: str = optional("What happened, in a sentence.")


class HTTPException(SdcppRestError):
    """A refusal that the dialect knows by status and ``detail``; the name is what it shows as ``error``."""

    code = "refused"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[misc]


class RuntimeFailure(SdcppRestError):
    """What that program answers with a bare exception: status 500 and the sentence under ``errors``."""

    code = "failed"


class Unreadable(InvalidRequest):
    """A body whose values are of the wrong kind; every complaint is told."""

    def __init__(self, complaints: list[dict[str, Any]]) -> None:
        super().__init__("The request cannot be read")
        self.complaints = complaints


def a1111_status(error: SdcppRestError) -> int:
    """What cannot be read or is out of range is 422 in this dialect, and a picture that is none is 500."""
    if isinstance(error, (NoModelLoaded, NoUpscalerLoaded)):
        return error.status
    if isinstance(error, InvalidRequest):
        return 500 if _is_picture(error) else 422
    return error.status


def a1111_error(error: SdcppRestError) -> dict[str, Any]:
    """The body of an error."""
    if isinstance(error, NotFound) and type(error) is NotFound:
        return {"detail": "Not Found"}
    if isinstance(error, MethodNotAllowed):
        return {"detail": "Method Not Allowed"}
    if isinstance(error, Unreadable):
        return {"detail": error.complaints}
    if isinstance(error, NotAuthenticated):
        sent = isinstance(error, WrongKey)
        return _shape("HTTPException", "Incorrect username or password" if sent else "Not authenticated", "")
    if isinstance(error, HTTPException):
        return _shape("HTTPException", error.message, "")
    if isinstance(error, RuntimeFailure):
        return _shape("RuntimeError", "", error.message)
    if isinstance(error, InvalidRequest) and not isinstance(error, (NoModelLoaded, NoUpscalerLoaded)):
        if _is_picture(error):
            return _shape("HTTPException", "Invalid encoded image", error.message)
        return {"detail": [_complaint(error)]}
    said = error.message
    if "error_id" in error.detail:
        said = f"{said} ({error.detail['error_id']})"
    return _shape(type(error).__name__, said, said)


def a1111_headers(error: SdcppRestError) -> list[tuple[str, str]]:
    return [("WWW-Authenticate", "Basic")] if isinstance(error, NotAuthenticated) else []


def _is_picture(error: SdcppRestError) -> bool:
    """Whether it is about a picture that cannot be decoded; what a model cannot do with one is another thing."""
    field = str(error.detail.get("field", ""))
    return error.detail.keys() == {"field"} and (field in _PICTURES or field.startswith("ref_images."))


def _complaint(error: InvalidRequest) -> dict[str, Any]:
    field = error.detail.get("field")
    name = _FIELDS.get(str(field), str(field)) if field else None
    return {"loc": ["body", name] if name else ["body"], "msg": error.message, "type": "value_error"}


def _shape(kind: str, detail: str, errors: str) -> dict[str, Any]:
    return {"error": kind, "detail": detail, "body": "", "errors": errors}


A1111_ERROR = ErrorShape("a1111", A1111Error, a1111_error, a1111_status, a1111_headers)
