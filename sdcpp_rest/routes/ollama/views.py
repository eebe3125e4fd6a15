"""Ollama's API as far as it draws pictures, and a plain 501 for whatever wants text.

The pictures come out of the same queue as everybody's.
"""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.errors import NotSupported
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking, streaming
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.ollama.errors import OllamaError
from sdcpp_rest.routes.ollama.stream import PictureLines, open_round
from sdcpp_rest.routes.ollama.translate import (
    GenerateRequest,
    find_card,
    idle_line,
    model_object,
    picture_line,
    running_object,
    shown_object,
    to_request,
)
from sdcpp_rest.routes.ollama.wire import (
    OllamaGenerateBody,
    OllamaModels,
    OllamaPicture,
    OllamaShowBody,
    OllamaShown,
    OllamaVersion,
)
from sdcpp_rest.services.jobs.departure import current_departure
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS
from sdcpp_rest.services.submission.picture_rounds import PictureRequest, select_completed

ollama_pictures = Blueprint("ollama_pictures", __name__)

VERSION = "0.14.0"
"""Of Ollama: the first one that drew pictures. Clients look whether it is new enough for what they want."""
LINES = "application/x-ndjson"

_REFUSALS = (OllamaError,)
_FAILURES = (404, 409, 429, 503, 507)
_NO_TEXT = "This server draws pictures and writes no text: POST /api/generate with a model of GET /api/tags draws"


@ollama_pictures.post("/api/generate")
@needs("generate")
@documents({200: (OllamaPicture, LINES)}, errors=_FAILURES, body=OllamaGenerateBody, refusals=_REFUSALS)
@streaming
@submitting
def ollama_generate() -> Response:
    """Draw a picture, as Ollama does: line by line with its steps, or with `stream` false at once. An empty prompt
    loads the model, or with a `keep_alive` of 0 frees it."""
    running = runtime()
    asked = to_request(
        read_body(), running.submission.model_choice, running.models.slot.selected, running.config.limits
    )
    if asked.request is None:
        return _load(asked)
    return _send_lines(asked, asked.request) if asked.is_stream else _draw(asked, asked.request)


@ollama_pictures.get("/api/tags")
@needs("read")
@documents({200: OllamaModels}, refusals=_REFUSALS)
@blocking
def ollama_tags() -> Response:
    """List the models that draw, as Ollama does."""
    cards = runtime().models.cards
    return answer({"models": [model_object(card) for kind in PICTURE_MODELS for card in cards.cards(kind)]})


@ollama_pictures.get("/api/ps")
@needs("read")
@documents({200: OllamaModels}, refusals=_REFUSALS)
def ollama_ps() -> Response:
    """List the model that is loaded, as Ollama does."""
    running = runtime()
    resident = running.models.slot.resident
    files = [file for kind in PICTURE_MODELS for file in running.models.library.files(kind)]
    loaded = [file for file in files if resident is not None and file.path == resident.model.path]
    return answer({"models": [running_object(running.models.cards.card(file)) for file in loaded]})


@ollama_pictures.post("/api/show")
@needs("read")
@documents({200: OllamaShown}, errors=(404,), body=OllamaShowBody, refusals=_REFUSALS)
@blocking
def ollama_show() -> Response:
    """Tell what is known of a model, as Ollama does."""
    running = runtime()
    wishes, _ = examine(OllamaShowBody, read_body())
    name = wishes.model or wishes.name or ""
    return answer(shown_object(find_card(running.models.cards.card, running.submission.model_choice, name)))


@ollama_pictures.get("/api/version")
@needs("read")
@documents({200: OllamaVersion}, refusals=_REFUSALS)
def ollama_version() -> Response:
    """Tell which version of Ollama's API is spoken here."""
    return answer({"version": VERSION})


@ollama_pictures.post("/api/chat")
@needs("generate")
@documents({}, errors=(501,), refusals=_REFUSALS)
def ollama_chat() -> Response:
    """Refuse to chat: 501."""
    raise NotSupported(_NO_TEXT)


@ollama_pictures.post("/api/embed")
@needs("generate")
@documents({}, errors=(501,), refusals=_REFUSALS)
def ollama_embed() -> Response:
    """Refuse to embed a text: 501."""
    raise NotSupported(_NO_TEXT)


@ollama_pictures.post("/api/pull")
@needs("models")
@documents({}, errors=(501,), refusals=_REFUSALS)
def ollama_pull() -> Response:
    """Refuse to pull a model from Ollama's library: 501."""
    raise NotSupported("Ollama's library has no models for this server: download one with POST /models/download")


def _load(asked: GenerateRequest) -> Response:
    slot = runtime().models.slot
    if asked.unloads:
        if slot.resident is not None and slot.resident.model.path == asked.spec.model.path:
            slot.unload_keeping_selection()
        return answer(idle_line(asked.model, "unload"))
    if slot.resident != asked.spec:
        slot.select(asked.spec).result()
    return answer(idle_line(asked.model, "load"))


def _draw(asked: GenerateRequest, request: PictureRequest) -> Response:
    running = runtime()
    rounds = running.submission.rounds
    with open_round(rounds, request) as opened:
        (job,) = select_completed(rounds.take_all(opened))
    return answer(picture_line(asked.model, job, running.jobs.outputs.path_of(job.outputs[0]).read_bytes()))


def _send_lines(asked: GenerateRequest, request: PictureRequest) -> Response:
    running = runtime()
    jobs, rounds = running.jobs, running.submission.rounds
    lines = PictureLines(
        asked.model, request, current_departure(), rounds, jobs.bus, jobs.outputs, running.redact_paths
    )
    response = Response(iter(lines), mimetype=LINES, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.call_on_close(lines.close)
    return response
