"""SDCN's API: pictures at the root, where native requests come too, and all of it again below /api/sd in envelopes.

The pictures come out of the same queue as everybody's.
"""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response

from sdcpp_rest.core.job import FINISHED
from sdcpp_rest.errors import JobNotFound, NotFound
from sdcpp_rest.routes.http.answers import answer, blocking, read_body, runtime
from sdcpp_rest.routes.http.dialect import speak
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.sdcn.errors import SDCN_ERROR, SdcnApiError, SdcnInterrogateError
from sdcpp_rest.routes.sdcn.translate import begin, pictures, to_submission
from sdcpp_rest.routes.sdcn.wire import (
    SdcnApiCaption,
    SdcnApiImg2ImgBody,
    SdcnApiPictures,
    SdcnApiStanding,
    SdcnApiTxt2ImgBody,
    SdcnCaption,
    SdcnInterrogateBody,
    SdcnStatusBody,
)

sdcn = Blueprint("sdcn", __name__)

Kind = Literal["txt2img", "img2img"]

_REFUSALS = (SdcnApiError,)
_FAILURES = (404, 409, 429, 501, 503, 507)
_UNTOLD = (404, 501, 502, 504)
_STATUSES = {"pending": 0, "processing": 1, "completed": 2, "failed": 3, "cancelled": 3}
INTERROGATORS = ("clip", "deepdanbooru")


def sdcn_picture(kind: Kind, body: dict[str, Any]) -> Response:
    """SDCN's answer to a body at the root that is its own; waits for the picture."""
    speak(SDCN_ERROR)
    return answer({"images": _draw(kind, body, is_api=False)})


@sdcn.post("/interrogate")
@documents({200: SdcnCaption}, errors=_UNTOLD, body=SdcnInterrogateBody, refusals=(SdcnInterrogateError,))
@blocking
def interrogate() -> Response:
    """Describe a picture in words, as SDCN does. Answers 501 where no model for it is set up."""
    return answer({"caption": _describe_picture(read_body())})


@sdcn.post("/api/sd/txt2img")
@documents({200: SdcnApiPictures}, errors=_FAILURES, body=SdcnApiTxt2ImgBody, refusals=_REFUSALS)
@blocking
def sdcn_api_txt2img() -> Response:
    """Draw a picture from words, as SDCN's later API does. Answers when it is there."""
    return _wrap({"images": _draw("txt2img", read_body(), is_api=True)})


@sdcn.post("/api/sd/img2img")
@documents({200: SdcnApiPictures}, errors=_FAILURES, body=SdcnApiImg2ImgBody, refusals=_REFUSALS)
@blocking
def sdcn_api_img2img() -> Response:
    """Draw a picture from a picture and words, as SDCN's later API does. Answers when it is there."""
    return _wrap({"images": _draw("img2img", read_body(), is_api=True)})


@sdcn.post("/api/sd/txt2img/async")
@documents({200: SdcnApiStanding}, errors=_FAILURES, body=SdcnApiTxt2ImgBody, refusals=_REFUSALS)
@blocking
def sdcn_api_txt2img_later() -> Response:
    """Submit a picture from words, as SDCN's later API does. Answers at once; ask for it at `/api/sd/task/status`."""
    return _submit("txt2img", read_body())


@sdcn.post("/api/sd/img2img/async")
@documents({200: SdcnApiStanding}, errors=_FAILURES, body=SdcnApiImg2ImgBody, refusals=_REFUSALS)
@blocking
def sdcn_api_img2img_later() -> Response:
    """Submit a picture from a picture, as SDCN's later API does. Answers at once; ask for it at
    `/api/sd/task/status`."""
    return _submit("img2img", read_body())


@sdcn.post("/api/sd/task/status")
@documents({200: SdcnApiStanding}, errors=(404,), body=SdcnStatusBody, refusals=_REFUSALS)
@blocking
def sdcn_api_status() -> Response:
    """Tell where a submitted picture stands, as SDCN's later API does. With the picture, when it is there."""
    wanted = read_body().get("taskId")
    try:
        job = runtime().queue.get(wanted if isinstance(wanted, str) else "")
    except JobNotFound:
        return _wrap(None)
    shown = {
        "taskId": job.id,
        "status": _STATUSES[job.status],
        "queuePosition": runtime().queue.position(job.id) or 0,
    }
    return _wrap({**shown, "images": pictures(runtime(), job)} if job.status in FINISHED else shown)


@sdcn.post("/api/sd/interrogate")
@documents({200: SdcnApiCaption}, errors=_UNTOLD, body=SdcnInterrogateBody, refusals=_REFUSALS)
@blocking
def sdcn_api_interrogate() -> Response:
    """Describe a picture in words, as SDCN's later API does. Answers 501 where no model for it is set up."""
    return _wrap({"caption": _describe_picture(read_body())})


def _describe_picture(body: dict[str, Any]) -> str:
    image, model = body.get("image"), body.get("model")
    if not isinstance(image, str) or not image:
        raise NotFound("Image not found", field="image")
    if model not in INTERROGATORS:
        raise NotFound("Model not found: model must be clip or deepdanbooru", field="model")
    describer = runtime().interrogation
    return describer.caption(image) if model == "clip" else describer.tags(image, describer.style)


def _draw(kind: Kind, body: dict[str, Any], *, is_api: bool) -> list[str]:
    house = runtime()
    job = begin(house, to_submission(house, kind, body, is_api=is_api))
    (done,) = house.picture_runs.results([job])
    return pictures(house, done)


def _submit(kind: Kind, body: dict[str, Any]) -> Response:
    house = runtime()
    job = begin(house, to_submission(house, kind, body, is_api=True))
    return _wrap({"taskId": job.id, "status": 0, "queuePosition": house.queue.position(job.id) or 0})


def _wrap(content: Any) -> Response:
    return answer({"code": 200, "data": content, "message": "success"})
