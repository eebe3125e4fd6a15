"""Chat completions that answer with pictures; whatever wants text is told that there is none here."""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import NoModelLoaded, NotSupported
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import EVENT_STREAM, documents
from sdcpp_rest.routes.http.pools import streaming
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.openai.chat import ChatStream, completion, read_wishes
from sdcpp_rest.routes.openai.chat_wire import ChatCompletion, ChatWishes
from sdcpp_rest.routes.openai.drawing import draw
from sdcpp_rest.routes.openai.errors import OpenAiError
from sdcpp_rest.routes.openai.translate import model_for, to_request
from sdcpp_rest.routes.openai.views import make_context, stream_answer

openai_chat = Blueprint("openai_chat", __name__)

_REFUSALS = (OpenAiError,)
_FAILURES = (404, 409, 429, 501, 503, 507)
_NO_TEXT = "This server draws pictures and writes no text; for a language model's help see POST /assistant/chat"


@openai_chat.post("/v1/chat/completions")
@needs("generate")
@documents({200: (ChatCompletion, EVENT_STREAM)}, errors=_FAILURES, body=ChatWishes, refusals=_REFUSALS)
@streaming
@submitting
def chat_completions() -> Response:
    """Draw what a conversation asks for, as multimodal models answer: with `modalities` that hold `image`. Answers 501
    where only text is wanted."""
    body, running = read_body(), runtime()
    wishes, warnings = read_wishes(body, running.config.limits, lambda: _usual_size(body.get("model")))
    asked = to_request(wishes, make_context(), warnings)
    if wishes.stream:
        return stream_answer(ChatStream, asked)
    jobs = draw(running.submission.rounds, asked)
    return answer(completion(asked, jobs, running.jobs.outputs))


@openai_chat.post("/v1/completions")
@needs("generate")
@documents({}, errors=(501,), refusals=_REFUSALS)
def text_completions() -> Response:
    """Refuse to complete a text: 501."""
    raise NotSupported(_NO_TEXT)


@openai_chat.post("/v1/embeddings")
@needs("generate")
@documents({}, errors=(501,), refusals=_REFUSALS)
def text_embeddings() -> Response:
    """Refuse to embed a text: 501."""
    raise NotSupported(_NO_TEXT)


@openai_chat.post("/v1/responses")
@needs("generate")
@documents({}, errors=(501,), refusals=_REFUSALS)
def text_responses() -> Response:
    """Refuse OpenAI's newer conversations: 501."""
    raise NotSupported(f"{_NO_TEXT}. Pictures come by POST /v1/images/generations, or by /v1/chat/completions")


def _usual_size(model: object) -> tuple[int, int]:
    """The size that the model likes; for proportions, where there is no model to ask, any square will do."""
    try:
        spec = model_for(model if isinstance(model, str) else "", make_context())
    except NoModelLoaded:
        return 512, 512
    usual = runtime().submission.intake.usual(ImageParams, "txt2img", spec)
    return usual.width, usual.height
