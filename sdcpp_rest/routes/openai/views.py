"""OpenAI's images API: models, generations, edits, variations, and the links that lead to the pictures.

Its words are the business of the modules beside this one; the pictures come out of the same queue as everybody's.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, OutputNotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.links import absolute_url
from sdcpp_rest.routes.http.openapi import ANY_FILE, EVENT_STREAM, documents
from sdcpp_rest.routes.http.pools import blocking, streaming, transfer
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Wire, read_query
from sdcpp_rest.routes.openai.answering import answer_object
from sdcpp_rest.routes.openai.drawing import draw
from sdcpp_rest.routes.openai.errors import OpenAiError
from sdcpp_rest.routes.openai.reading import read
from sdcpp_rest.routes.openai.stream import PictureStream
from sdcpp_rest.routes.openai.translate import Asked, TranslationContext, to_request
from sdcpp_rest.routes.openai.wire import (
    EditForm,
    EditWishes,
    GenerationWishes,
    MadePictures,
    MadeWishes,
    OpenAiModel,
    OpenAiModels,
    OutputFormat,
    VariationForm,
    VariationWishes,
)
from sdcpp_rest.services.jobs.departure import current_departure
from sdcpp_rest.services.pictures.picture_formats import recode
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS

openai = Blueprint("openai", __name__)

_REFUSALS = (OpenAiError,)
# A picture that cannot be drawn, a full queue, no engine.
_FAILURES = (404, 409, 429, 503, 507)
_FILE_NAME = re.compile(r"^(image_\d+)\.(png|jpeg|webp)$")
_FORMATS: dict[str, OutputFormat] = {"png": "png", "jpeg": "jpeg", "webp": "webp"}


class ModelPlace(Wire):
    model_id: str = Field(description="As `GET /v1/models` names it, or any other name of a model.", examples=["demo"])


class FilePlace(Wire):
    ticket: str = Field(description="What lets its owner in, where keys are configured.")
    job_id: str = Field(description="Of the job that drew it.")
    name: str = Field(description="The picture, with the ending of the format that is wanted.")


class FileQuery(Wire):
    output_compression: Integer = Field(100, ge=0, le=100, description="Quality of a JPEG or WebP.")


@openai.get("/v1/models")
@needs("read")
@documents({200: OpenAiModels}, refusals=_REFUSALS)
def list_openai_models() -> Response:
    """List the models, as OpenAI's API does. The selected one is the first; aliases of the configuration come last."""
    running = runtime()
    selected = running.models.slot.selected
    found = [file for kind in PICTURE_MODELS for files in running.models.library.list(kind).values() for file in files]
    found.sort(key=lambda file: selected is None or file.path != selected.model.path)
    shown = [_model(file.name, file.mtime_ns) for file in found]
    shown += [_model(alias, 0) for alias in running.config.openai.model_aliases]
    return answer({"object": "list", "data": shown})


@openai.get("/v1/models/<path:model_id>")
@needs("read")
@documents({200: OpenAiModel}, errors=(404,), path=ModelPlace, refusals=_REFUSALS)
def show_openai_model(model_id: str) -> Response:
    """Show a model, as OpenAI's API does."""
    running = runtime()
    if model_id in running.config.openai.model_aliases:
        return answer(_model(model_id, 0))
    try:
        file = running.submission.model_choice.find(PICTURE_MODELS, model_id)
    except (ModelNotFound, InvalidRequest):
        raise ModelNotFound(f"The model {model_id[:200]!r} does not exist", field="model") from None
    return answer(_model(file.name, file.mtime_ns))


@openai.post("/v1/images/generations")
@needs("generate")
@documents({200: (MadePictures, EVENT_STREAM)}, errors=(*_FAILURES, 501), body=GenerationWishes, refusals=_REFUSALS)
@streaming
@submitting
def generate_images() -> Response:
    """Draw pictures from words, as OpenAI's API does. Answers when they are there; with `stream`, server-sent events
    bring previews and pictures as they come."""
    return _generate(GenerationWishes, "prompt")


@openai.post("/v1/images/edits")
@needs("generate")
@documents(
    {200: (MadePictures, EVENT_STREAM)},
    errors=(*_FAILURES, 501),
    body=EditWishes,
    form=EditForm,
    refusals=_REFUSALS,
)
@streaming
@submitting
def edit_images() -> Response:
    """Draw pictures from a picture and words, as OpenAI's API does. Takes a form with files, or JSON. Models that look
    at reference pictures are shown the picture; the others start from it."""
    return _generate(EditWishes, "image", "prompt")


@openai.post("/v1/images/variations")
@needs("generate")
@documents({200: MadePictures}, errors=(*_FAILURES, 501), body=VariationWishes, form=VariationForm, refusals=_REFUSALS)
@blocking
@submitting
def vary_image() -> Response:
    """Draw variations of a picture, as OpenAI's API does. Takes a form with the file, or JSON."""
    return _generate(VariationWishes, "image")


@openai.post("/images/generations")
@needs("generate")
@documents({200: (MadePictures, EVENT_STREAM)}, errors=(*_FAILURES, 501), body=GenerationWishes, refusals=_REFUSALS)
@streaming
@submitting
def generate_images_unversioned() -> Response:
    """Draw pictures from words: `/v1/images/generations` for base URLs that lack the `/v1`."""
    return _generate(GenerationWishes, "prompt")


@openai.post("/images/edits")
@needs("generate")
@documents(
    {200: (MadePictures, EVENT_STREAM)},
    errors=(*_FAILURES, 501),
    body=EditWishes,
    form=EditForm,
    refusals=_REFUSALS,
)
@streaming
@submitting
def edit_images_unversioned() -> Response:
    """Draw pictures from a picture and words: `/v1/images/edits` for base URLs that lack the `/v1`."""
    return _generate(EditWishes, "image", "prompt")


@openai.post("/images/variations")
@needs("generate")
@documents({200: MadePictures}, errors=(*_FAILURES, 501), body=VariationWishes, form=VariationForm, refusals=_REFUSALS)
@blocking
@submitting
def vary_image_unversioned() -> Response:
    """Draw variations of a picture: `/v1/images/variations` for base URLs that lack the `/v1`."""
    return _generate(VariationWishes, "image")


@openai.get("/v1/images/files/<ticket>/<job_id>/<name>")
@needs("read")
@documents({200: ANY_FILE}, errors=(404,), path=FilePlace, query=FileQuery, refusals=_REFUSALS)
@transfer
def get_image_file(ticket: str, job_id: str, name: str) -> Response:
    """Get a picture that an answer named. Its link works for an hour where keys are configured, and without a key."""
    query = read_query(FileQuery)
    match = _FILE_NAME.match(name)
    if match is None:
        raise OutputNotFound("Not found: there is no such picture")
    png = runtime().jobs.outputs.path_of(f"{job_id}/{match[1]}.png").read_bytes()
    file = recode(png, _FORMATS[match[2]], query.output_compression)
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(file, mimetype=f"image/{match[2]}", headers=headers)


def _generate(model: type[GenerationWishes | EditWishes | VariationWishes], *required: str) -> Response:
    running = runtime()
    wishes, warnings = read(model, running.config.limits, *required)
    asked = to_request(wishes, make_context(), warnings)
    if isinstance(wishes, MadeWishes) and wishes.stream:
        return stream_answer(PictureStream, asked)
    jobs = draw(running.submission.rounds, asked)
    response = answer(answer_object(asked, jobs, running.jobs.outputs, running.config, absolute_url("")))
    response.headers["X-Request-Id"] = jobs[0].id
    return response


def stream_answer(kind: type[PictureStream], asked: Asked) -> Response:
    """Answer with the events of a stream of that kind, as they come."""
    running = runtime()
    rounds, jobs = running.submission.rounds, running.jobs
    stream = kind(asked, current_departure(), rounds, jobs.bus, jobs.outputs, running.redact_paths)
    response = Response(
        iter(stream),
        mimetype=EVENT_STREAM,
        # Proxies collect what they think is a page.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Request-Id": stream.jobs[0].id},
    )
    response.call_on_close(stream.close)
    return response


def make_context() -> TranslationContext:
    """What translations have to know of the running server."""
    running = runtime()
    return TranslationContext(
        limits=running.config.limits,
        aliases=running.config.openai.model_aliases,
        choice=running.submission.model_choice,
        selected=running.models.slot.selected,
        usual=lambda kind, spec: running.submission.intake.usual(ImageParams, kind, spec),
    )


def _model(name: str, mtime_ns: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": mtime_ns // 1_000_000_000, "owned_by": "sdcpp-rest"}
