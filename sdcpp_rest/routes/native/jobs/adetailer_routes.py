"""Detectors of faces over HTTP, which there are none of: every call is answered in words, so that nobody waits for a
picture that does not come."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import ConfigDict

from sdcpp_rest.errors import NotSupported
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.routes.native.wire.generation_bodies import Accepted

adetailer = Blueprint("adetailer", __name__)

_WHY = (
    "ADetailer is not available: the library has no detector of faces. Give img2img the picture and a mask of the "
    "face instead (mask_image_base64)"
)


class AdetailerBody(Wire):
    """Anything: it is refused as it is."""

    model_config = ConfigDict(extra="allow")


class DetectorStatus(Answer):
    """What there would be, if there were one."""

    loaded: bool
    name: str | None


@adetailer.post("/adetailer")
@needs("generate")
@documents({202: Accepted}, errors=(501,), body=AdetailerBody)
def refuse_adetailer() -> Response:
    """Refuse to mend faces: the library has no detector for them."""
    raise NotSupported(_WHY)


@adetailer.get("/adetailer/status")
@needs("read")
@documents({200: DetectorStatus}, errors=(501,))
def refuse_detector_status() -> Response:
    """Refuse to tell of a detector of faces: the library has none."""
    raise NotSupported(_WHY)


@adetailer.post("/adetailer/load")
@needs("generate")
@documents({200: DetectorStatus}, errors=(501,), body=AdetailerBody)
def refuse_detector() -> Response:
    """Refuse to load a detector of faces: the library has none."""
    raise NotSupported(_WHY)


@adetailer.post("/adetailer/unload")
@needs("generate")
@documents({200: DetectorStatus}, errors=(501,), body=AdetailerBody)
def refuse_detector_unload() -> Response:
    """Refuse to free a detector of faces: the library has none."""
    raise NotSupported(_WHY)
