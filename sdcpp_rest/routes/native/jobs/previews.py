"""How previews are made, over HTTP. The previews themselves belong to their jobs, in the queue's room."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Wire, optional, validate

previews = Blueprint("previews", __name__)

Mode = Literal["none", "proj", "tae", "vae"]
_MODE = "proj: fast and coarse. tae: needs a TAESD model (without one: proj). vae: slow and exact. none: no previews."


class PreviewBody(Wire):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"mode": "proj", "max_size": 256}]})

    enabled: Flag = optional("Make previews.")
    mode: Mode = optional(_MODE)
    interval: Integer = optional("A preview at most every so many steps.", ge=1, le=100)
    max_size: Integer = optional("Longer side of a preview, in pixels.", ge=64, le=1024)
    quality: Integer = optional("JPEG quality.", ge=1, le=100)


class PreviewShown(Answer):
    """How previews are made."""

    enabled: bool
    mode: Mode = Field(description=_MODE)
    interval: int = Field(ge=1, description="A preview at most every so many steps.")
    max_size: int = Field(ge=1, description="Longer side of a preview, in pixels.")
    quality: int = Field(ge=1, le=100, description="JPEG quality.")


class PreviewChanged(Answer):
    """The settings in force now."""

    success: Literal[True]
    settings: PreviewShown
    warnings: list[str] = optional("What was ignored.")


@previews.get("/preview/settings")
@needs("read")
@documents({200: PreviewShown})
def show_preview_settings() -> Response:
    """Tell how previews are made."""
    return answer(runtime().engine.previews.get())


@previews.put("/preview/settings")
@needs("admin")
@documents({200: PreviewChanged}, body=PreviewBody)
def change_preview_settings() -> Response:
    """Change how previews are made. At once, also for the job that runs, and for good."""
    body, warnings = validate(PreviewBody, read_body())
    shown: dict[str, Any] = {"success": True, "settings": runtime().engine.previews.change(body.sent_fields())}
    return answer({**shown, **({"warnings": warnings} if warnings else {})})
