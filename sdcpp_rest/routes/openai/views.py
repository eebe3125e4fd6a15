"""OpenAI's images API: models, generations, edits, variations, and the links that lead to the pictures.

Its words are the business of the modules beside this one; the pictures come out of the same queue as everybody's.
"""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Sequence
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import InvalidRequest, ModelNotFound, OutputNotFound
from sdcpp_rest.routes.http.answers import (
    Integer,
    Wire,
    answer,
    blocking,
    departure,
    examine,
    parse_body,
    read_body,
    read_query,
    runtime,
    streaming,
    transfer,
)
from sdcpp_rest.routes.http.links import absolute_url
from sdcpp_rest.routes.http.multipart import FormFile, parts_of
from sdcpp_rest.routes.http.openapi import ANY_FILE, EVENT_STREAM, documents
from sdcpp_rest.routes.openai import translate as words
from sdcpp_rest.routes.openai.errors import OpenAiError
from sdcpp_rest.routes.openai.pictures import Asked, Wishes, begin, encode_pictures, recode, to_submission
from sdcpp_rest.routes.openai.stream import PictureStream
from sdcpp_rest.routes.openai.wire import (
    MAX_IMAGES,
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
from sdcpp_rest.services.pictures.picture_links import link_path
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS

openai = Blueprint("openai", __name__)

Model = TypeVar("Model", bound=Wire)

_REFUSALS = (OpenAiError,)
# A picture that cannot be drawn, a full queue, no engine.
_FAILURES = (404, 409, 429, 503)
_FORM_FIELD_BYTES = 64 * 1024
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
@documents({200: OpenAiModels}, refusals=_REFUSALS)
def list_openai_models() -> Response:
    """List the models, as OpenAI's API does. The selected one is the first; aliases of the configuration come last."""
    selected = runtime().models.selected
    found = [file for kind in PICTURE_MODELS for files in runtime().library.list(kind).values() for file in files]
    found.sort(key=lambda file: selected is None or file.path != selected.model.path)
    shown = [_model(file.name, file.mtime_ns) for file in found]
    shown += [_model(alias, 0) for alias in runtime().config.openai.model_aliases]
    return answer({"object": "list", "data": shown})


@openai.get("/v1/models/<path:model_id>")
@documents({200: OpenAiModel}, errors=(404,), path=ModelPlace, refusals=_REFUSALS)
def show_openai_model(model_id: str) -> Response:
    """Show a model, as OpenAI's API does."""
    if model_id in runtime().config.openai.model_aliases:
        return answer(_model(model_id, 0))
    try:
        file = runtime().model_choice.find(PICTURE_MODELS, model_id)
    except (ModelNotFound, InvalidRequest):
        raise ModelNotFound(f"The model {model_id[:200]!r} does not exist", field="model") from None
    return answer(_model(file.name, file.mtime_ns))


@openai.post("/v1/images/generations")
@documents({200: (MadePictures, EVENT_STREAM)}, errors=(*_FAILURES, 501), body=GenerationWishes, refusals=_REFUSALS)
@streaming
def generate_images() -> Response:
    """Draw pictures from words, as OpenAI's API does. Answers when they are there; with `stream`, server-sent events
    bring previews and pictures as they come."""
    body = read_body()
    words.check_required(body, "prompt")
    return _generate(*_read(GenerationWishes, body))


@openai.post("/v1/images/edits")
@documents(
    {200: (MadePictures, EVENT_STREAM)},
    errors=(*_FAILURES, 501),
    body=EditWishes,
    form=EditForm,
    refusals=_REFUSALS,
)
@streaming
def edit_images() -> Response:
    """Draw pictures from a picture and words, as OpenAI's API does. Takes a form with files, or JSON. Models that look
    at reference pictures are shown the picture; the others start from it."""
    body = _body(EditWishes)
    words.check_required(body, "image", "prompt")
    return _generate(*_read(EditWishes, body))


@openai.post("/v1/images/variations")
@documents({200: MadePictures}, errors=(*_FAILURES, 501), body=VariationWishes, form=VariationForm, refusals=_REFUSALS)
@blocking
def vary_image() -> Response:
    """Draw variations of a picture, as OpenAI's API does. Takes a form with the file, or JSON."""
    body = _body(VariationWishes)
    words.check_required(body, "image")
    return _generate(*_read(VariationWishes, body))


@openai.get("/v1/images/files/<ticket>/<job_id>/<name>")
@documents({200: ANY_FILE}, errors=(404,), path=FilePlace, query=FileQuery, refusals=_REFUSALS)
@transfer
def get_image_file(ticket: str, job_id: str, name: str) -> Response:
    """Get a picture that an answer named. Its link works for an hour where keys are configured, and without a key."""
    query = read_query(FileQuery)
    match = _FILE_NAME.match(name)
    if match is None:
        raise OutputNotFound("Not found: there is no such picture")
    png = runtime().outputs.path_of(f"{job_id}/{match[1]}.png").read_bytes()
    file = recode(png, _FORMATS[match[2]], query.output_compression)
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(file, mimetype=f"image/{match[2]}", headers=headers)


def _read(model: type[Model], body: dict[str, Any]) -> tuple[Model, list[str]]:
    # Never strict: those clients send what OpenAI's newest models understand.
    return examine(model, body, limits=runtime().config.limits)


def _generate(wishes: Wishes, warnings: Sequence[str]) -> Response:
    house, asked = runtime(), to_submission(runtime(), wishes, warnings)
    if isinstance(wishes, MadeWishes) and wishes.stream:
        stream = PictureStream(house, asked, departure())
        response = Response(
            iter(stream),
            mimetype=EVENT_STREAM,
            # Proxies collect what they think is a page.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Request-Id": stream.jobs[0].id},
        )
        response.call_on_close(stream.close)
        return response
    jobs = house.picture_runs.results(begin(house, asked))
    response = answer(_answer_object(asked, jobs))
    response.headers["X-Request-Id"] = jobs[0].id
    return response


def _answer_object(asked: Asked, jobs: Sequence[Job]) -> dict[str, Any]:
    first, wishes = jobs[0], asked.wishes
    if words.wants_base64(wishes):
        pictures = [{"b64_json": words.b64(file)} for file in encode_pictures(runtime(), asked, jobs)]
    else:
        pictures = [{"url": _url(asked, path)} for job in jobs for path in job.outputs]
    warnings = list(dict.fromkeys([*asked.notes, *(warning for job in jobs for warning in job.warnings)]))
    return {
        "created": int(time.time()),
        "data": [{**picture, "seed": job.params["seed"]} for picture, job in zip(pictures, jobs, strict=True)],
        "background": "opaque",
        "output_format": asked.output_format,
        "quality": words.quality_word(wishes),
        "size": f"{first.params['width']}x{first.params['height']}",
        "usage": words.usage(jobs, asked.given),
        **({"warnings": warnings} if warnings else {}),
    }


def _url(asked: Asked, path: str) -> str:
    """Absolute, as the caller sees this server."""
    config, wanted = runtime().config, asked.output_format
    if wanted == "png" and not config.auth.is_on:
        return absolute_url(f"/output/{path}")
    place = link_path(config, f"{path.removesuffix('.png')}.{wanted}")
    quality = "" if wanted == "png" else f"?output_compression={asked.output_compression}"
    return absolute_url(f"{place}{quality}")


def _model(name: str, mtime_ns: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": mtime_ns // 1_000_000_000, "owned_by": "sdcpp-rest"}


def _body(model: type[EditWishes] | type[VariationWishes]) -> dict[str, Any]:
    """A form or JSON, in the words of ``model``."""
    raw = request.get_data(cache=False)
    if request.mimetype != "multipart/form-data":
        return words.from_json(parse_body(raw))
    texts: dict[str, str] = {}
    files: dict[str, list[str]] = {}
    for part in parts_of(io.BytesIO(raw), request.headers.get("Content-Type", ""), _FORM_FIELD_BYTES):
        # "image[]", or "image[0]": one of several. Other brackets belong to fields that this server does not know.
        name = part.name.partition("[")[0] if part.name.startswith(("image", "mask")) else part.name
        if isinstance(part, FormFile):
            files.setdefault(name, []).append(base64.b64encode(b"".join(part.chunks)).decode("ascii"))
        elif name in ("image", "mask"):
            files.setdefault(name, []).append(part.value)
        else:
            texts[name] = part.value
    images, masks = files.get("image", []), files.get("mask", [])
    if len(images) > MAX_IMAGES or len(masks) > 1:
        raise InvalidRequest(f"image may be there {MAX_IMAGES} times, mask once", field="image")
    body = words.from_form(model, texts)
    return {**body, **({"image": images} if images else {}), **({"mask": masks[0]} if masks else {})}
