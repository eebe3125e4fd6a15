"""SDCN's API: pictures at the root, where native requests come too, and all of it again below /api/sd in envelopes.

The pictures come out of the same queue as everybody's.
"""

from __future__ import annotations

import base64
from typing import Any

from flask import Blueprint, Response

from sdcpp_rest.core.job import FINISHED, Job
from sdcpp_rest.errors import JobNotFound, NotAllowed, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.dialect import speak
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.sdcn.enlarging import enlarge_picture
from sdcpp_rest.routes.sdcn.errors import SDCN_ERROR, SdcnApiError, SdcnInterrogateError
from sdcpp_rest.routes.sdcn.translate import TranslationContext, in_client_words, to_request
from sdcpp_rest.routes.sdcn.wire import (
    SdcnApiCaption,
    SdcnApiImg2ImgBody,
    SdcnApiPictures,
    SdcnApiPublicKey,
    SdcnApiStanding,
    SdcnApiTxt2ImgBody,
    SdcnCaption,
    SdcnInterrogateBody,
    SdcnStatusBody,
    SdcnUpscaleBody,
)
from sdcpp_rest.services.submission.picture_rounds import PictureKind, select_completed

sdcn = Blueprint("sdcn", __name__)

ORIGIN = "sdcn"

_REFUSALS = (SdcnApiError,)
_FAILURES = (404, 409, 429, 501, 503, 507)
_UNTOLD = (404, 501, 502, 504)
_STATUSES = {"pending": 0, "processing": 1, "completed": 2, "failed": 3, "cancelled": 3}
# Where no key is asked for, what is sent as one is not looked at.
_PUBLIC_KEY = "public"
INTERROGATORS = ("clip", "deepdanbooru")


def sdcn_picture(kind: PictureKind, body: dict[str, Any]) -> Response:
    """SDCN's answer to a body at the root that is its own; waits for the picture."""
    speak(SDCN_ERROR)
    return answer({"images": _draw(kind, body, is_api=False)})


@sdcn.post("/interrogate")
@needs("generate")
@documents({200: SdcnCaption}, errors=_UNTOLD, body=SdcnInterrogateBody, refusals=(SdcnInterrogateError,))
@blocking
def interrogate() -> Response:
    """Describe a picture in words, as SDCN does. Answers 501 where no model for it is set up."""
    return answer({"caption": _describe_picture(read_body())})


@sdcn.post("/api/sd/txt2img")
@needs("generate")
@documents({200: SdcnApiPictures}, errors=_FAILURES, body=SdcnApiTxt2ImgBody, refusals=_REFUSALS)
@blocking
@submitting
def sdcn_api_txt2img() -> Response:
    """Draw a picture from words, as SDCN's later API does. Answers when it is there."""
    return _wrap({"images": _draw("txt2img", read_body(), is_api=True)})


@sdcn.post("/api/sd/img2img")
@needs("generate")
@documents({200: SdcnApiPictures}, errors=_FAILURES, body=SdcnApiImg2ImgBody, refusals=_REFUSALS)
@blocking
@submitting
def sdcn_api_img2img() -> Response:
    """Draw a picture from a picture and words, as SDCN's later API does. Answers when it is there."""
    return _wrap({"images": _draw("img2img", read_body(), is_api=True)})


@sdcn.post("/api/sd/txt2img/async")
@needs("generate")
@documents({200: SdcnApiStanding}, errors=_FAILURES, body=SdcnApiTxt2ImgBody, refusals=_REFUSALS)
@blocking
@submitting
def sdcn_api_txt2img_later() -> Response:
    """Submit a picture from words, as SDCN's later API does. Answers at once; ask for it at `/api/sd/task/status`."""
    return _submit("txt2img", read_body())


@sdcn.post("/api/sd/img2img/async")
@needs("generate")
@documents({200: SdcnApiStanding}, errors=_FAILURES, body=SdcnApiImg2ImgBody, refusals=_REFUSALS)
@blocking
@submitting
def sdcn_api_img2img_later() -> Response:
    """Submit a picture from a picture, as SDCN's later API does. Answers at once; ask for it at
    `/api/sd/task/status`."""
    return _submit("img2img", read_body())


@sdcn.post("/api/sd/task/status")
@needs("read")
@documents({200: SdcnApiStanding}, errors=(404,), body=SdcnStatusBody, refusals=_REFUSALS)
@blocking
def sdcn_api_status() -> Response:
    """Tell where a submitted picture stands, as SDCN's later API does. With the picture, when it is there."""
    running, wanted = runtime(), read_body().get("taskId")
    try:
        job = running.jobs.queue.get(wanted if isinstance(wanted, str) else "")
    except JobNotFound:
        return _wrap(None)
    shown = {
        "taskId": job.id,
        "status": _STATUSES[job.status],
        "queuePosition": running.jobs.queue.position(job.id) or 0,
    }
    return _wrap({**shown, "images": _read_pictures(job)} if job.status in FINISHED else shown)


@sdcn.post("/api/sd/interrogate")
@needs("generate")
@documents({200: SdcnApiCaption}, errors=_UNTOLD, body=SdcnInterrogateBody, refusals=_REFUSALS)
@blocking
def sdcn_api_interrogate() -> Response:
    """Describe a picture in words, as SDCN's later API does. Answers 501 where no model for it is set up."""
    return _wrap({"caption": _describe_picture(read_body())})


@sdcn.post("/api/sd/upscale")
@needs("generate")
@documents({200: SdcnApiPictures}, errors=_FAILURES, body=SdcnUpscaleBody, refusals=_REFUSALS)
@blocking
@submitting
def sdcn_api_upscale() -> Response:
    """Make a picture larger, as SDCN's later API does. Answers when it is there; upscalers that are models wait their
    turn in the queue."""
    return _wrap({"images": [enlarge_picture(runtime().submission.enlarging, read_body(), origin=ORIGIN)]})


@sdcn.get("/api/user/public-api-key")
@needs("read")
@documents({200: SdcnApiPublicKey}, refusals=_REFUSALS)
def sdcn_public_key() -> Response:
    """Tell a key that is everybody's, as SDCN's later API does: a server that asks for none takes any."""
    if runtime().config.auth.is_on:
        raise NotAllowed("There is no public key here: each caller has one of auth.api_keys")
    return _wrap({"apiKey": _PUBLIC_KEY})


def _describe_picture(body: dict[str, Any]) -> str:
    image, model = body.get("image"), body.get("model")
    if not isinstance(image, str) or not image:
        raise NotFound("Image not found", field="image")
    if model not in INTERROGATORS:
        raise NotFound("Model not found: model must be clip or deepdanbooru", field="model")
    describer = runtime().language.interrogation
    return describer.caption(image) if model == "clip" else describer.tags(image, describer.style)


def _draw(kind: PictureKind, body: dict[str, Any], *, is_api: bool) -> list[str]:
    rounds = runtime().submission.rounds
    request = to_request(kind, body, _make_context(), is_api=is_api)
    with in_client_words(), rounds.open(None, kind, 1) as opened:
        rounds.submit_series(opened, request, origin=ORIGIN)
        (done,) = select_completed(rounds.take_all(opened))
    return _read_pictures(done)


def _submit(kind: PictureKind, body: dict[str, Any]) -> Response:
    running = runtime()
    request = to_request(kind, body, _make_context(), is_api=True)
    with in_client_words():
        job, _ = running.submission.pictures.picture(
            kind, request.asked, images=request.images, spec=request.spec, origin=ORIGIN
        )
    return _wrap({"taskId": job.id, "status": 0, "queuePosition": running.jobs.queue.position(job.id) or 0})


def _make_context() -> TranslationContext:
    running = runtime()
    options = running.status.options()
    return TranslationContext(
        limits=running.config.limits,
        choice=running.submission.model_choice,
        samplers=options["samplers"],
        schedulers=options["schedulers"],
        library=running.models.library,
    )


def _read_pictures(job: Job) -> list[str]:
    """A completed job's files, base64; what a failed one has left is no picture."""
    if job.status != "completed":
        return []
    outputs = runtime().jobs.outputs
    return [base64.b64encode(outputs.path_of(path).read_bytes()).decode("ascii") for path in job.outputs]


def _wrap(content: Any) -> Response:
    return answer({"code": 200, "data": content, "message": "success"})
