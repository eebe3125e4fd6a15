"""The assistant over HTTP: a conversation, answered at once or as it comes, and what it is made of."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.chat import Action, ConversationMessage
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, fault_of, json_text, render_native_error, runtime
from sdcpp_rest.routes.http.openapi import EVENT_STREAM, Answer, documents
from sdcpp_rest.routes.http.pools import blocking, streaming
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.language.assistant_tools import action_kinds
from sdcpp_rest.routes.native.wire.assistant_wire import (
    AssistantSettingsBody,
    AssistantSettingsChanged,
    AssistantSettingsShown,
    assistant_settings,
    settle_words,
)
from sdcpp_rest.routes.native.wire.llm_wire import FAILURES, Done, unix_seconds, warnings_field
from sdcpp_rest.services.jobs.departure import current_departure
from sdcpp_rest.services.language.assistant import Delta, Question, Reply
from sdcpp_rest.services.language.llm_connection import Line
from sdcpp_rest.services.language.llm_errors import CallEnded, LlmModelNotFound
from sdcpp_rest.services.language.llm_settings import MASK
from sdcpp_rest.services.path_redaction import PathRedaction

log = logging.getLogger(__name__)

assistant = Blueprint("assistant", __name__)

MAX_MESSAGE_CHARACTERS = 16_000
MAX_CONTEXT_BYTES = 256 * 1024


class ChatBody(Wire):
    """What the user says."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"message": "Load the demo model", "context": {"current_view": "dashboard"}}]}
    )

    message: Text = Field(min_length=1, max_length=MAX_MESSAGE_CHARACTERS, description="What the user says.")
    context: dict[str, Any] = optional(
        "What the user interface tells of itself: `current_view`, `settings`, `model_info`, `available_models` or "
        f"anything else; at most {MAX_CONTEXT_BYTES} bytes as JSON. The server adds what it knows by itself.",
    )


class RequestShown(Answer):
    """The request that carries an action out."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str = Field(description="A path of this server, with its query.", examples=["/models/load"])
    body: dict[str, Any] = optional("The JSON body, where there is one.")


class ActionShown(Answer):
    """Something that can be done as it stands: its parameters were checked."""

    type: str = Field(examples=["load_model"])
    parameters: dict[str, Any] = Field(examples=[{"model_name": "demo_dit_q8_0.gguf", "model_type": "diffusion"}])
    request: RequestShown = optional("What to send; not there for what only concerns the user interface.")


class ChatAnswer(Answer):
    """What the assistant says, and what it proposes to do."""

    success: Literal[True]
    message: str
    actions: list[ActionShown]
    warnings: list[str] = optional("What was ignored, and which proposals were left out and why.")


class SaidShown(Answer):
    role: Literal["user", "assistant"]
    content: str
    timestamp: int = Field(description="Unix time in seconds.", examples=[1704067200])
    actions: list[ActionShown] = optional("What the assistant proposed, if anything.")


class ConversationShown(Answer):
    """The conversation so far, oldest first."""

    messages: list[SaidShown]
    count: int = Field(ge=0)


class AssistantStatus(Answer):
    enabled: bool
    connected: bool = Field(description="Whether the language model server answers.")
    base_url: str
    endpoint: str = Field(description="The same as base_url.")
    model: str
    timeout_seconds: int
    history_count: int
    available_models: list[str] = Field(description="Models that the server has; empty where it does not answer.")
    proactive_suggestions: bool


class ModelQuery(Wire):
    model: Text = optional("Another model than the chosen one.", max_length=200, examples=["llama3.2"])


class AssistantModel(Answer):
    """The assistant's language model, as its server describes it; `null` where it does not."""

    model: str
    api: Literal["ollama", "openai"]
    available: bool = Field(description="Whether the server has it.")
    family: str | None
    parameter_size: str | None = Field(examples=["3.2B"])
    quantization: str | None = Field(examples=["Q4_K_M"])
    context_length: int | None = Field(description="What it was made to read at a time, in tokens.")
    capabilities: list[str] | None = Field(examples=[["completion", "tools"]])
    supports_tools: bool | None
    supports_vision: bool | None
    has_vision: bool = Field(description="Whether it is known to look at pictures.")


@assistant.post("/assistant/chat")
@needs("generate")
@documents({200: ChatAnswer}, errors=FAILURES, body=ChatBody)
@blocking
def chat() -> Response:
    """Say something to the assistant. Its actions were checked and can be carried out as they stand; what it proposed
    wrongly is left out, with a warning."""
    question, warnings = _question()
    running = runtime()
    return answer(_reply(running.language.assistant.chat(question), warnings, running.redact_paths))


@assistant.post("/assistant/chat/stream")
@needs("generate")
@documents({200: EVENT_STREAM}, errors=FAILURES, body=ChatBody)
@streaming
def chat_as_it_comes() -> Response:
    """Say something to the assistant, and get its answer as it comes. Server-sent events: `delta` (`text`) and
    `content` (`content`), which say the same, for every piece, `actions` (`actions`, `warnings`) if there are any,
    `done` with what `POST /assistant/chat` answers; or `error` with an `Error`, where it fails midway. What fails
    before the model begins is answered as usual. Closing the connection stops the model."""
    question, warnings = _question()
    line, running = Line(), runtime()
    current_departure().on_leaving(line.hang_up)
    pieces = running.language.assistant.stream(question, line)
    # The first one now: whoever cannot be answered at all gets a status that says so.
    first = next(pieces)
    return Response(
        _events(first, pieces, warnings, running.redact_paths),
        mimetype=EVENT_STREAM,
        # Proxies collect what they think is a page.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@assistant.get("/assistant/history")
@needs("read")
@documents({200: ConversationShown})
def show_conversation() -> Response:
    """Show the conversation with the assistant, oldest message first."""
    said = runtime().language.assistant.history()
    return answer({"messages": [_message_object(message) for message in said], "count": len(said)})


@assistant.delete("/assistant/history")
@needs("generate")
@documents({200: Done})
def clear_conversation() -> Response:
    """Forget the conversation with the assistant."""
    runtime().language.assistant.clear()
    return answer({"success": True})


@assistant.get("/assistant/status")
@needs("read")
@documents({200: AssistantStatus})
@blocking
def show_assistant_status() -> Response:
    """Tell whether the assistant can answer now: asks the language model server whether it is there."""
    status = runtime().language.assistant.status()
    return answer({**status, "endpoint": status["base_url"]})


@assistant.get("/assistant/model-info")
@needs("read")
@documents({200: AssistantModel}, errors=FAILURES, query=ModelQuery)
@blocking
def show_assistant_model() -> Response:
    """Tell what the assistant's language model is and can do, as far as its server knows."""
    asked = read_query(ModelQuery).sent_fields().get("model", "")
    choice = runtime().language.assistant.settings.current()
    shown: dict[str, Any] = dict.fromkeys(AssistantModel.model_fields)
    shown |= {"model": asked or choice.model, "api": choice.api, "available": True, "has_vision": False}
    try:
        facts = runtime().language.assistant.model_facts(asked)
    except LlmModelNotFound:
        return answer({**shown, "available": False})
    shown |= {
        "family": facts.family,
        "parameter_size": facts.parameter_size,
        "quantization": facts.quantization,
        "context_length": facts.context_length,
    }
    if facts.capabilities is not None:
        shown |= {
            "capabilities": list(facts.capabilities),
            "supports_tools": "tools" in facts.capabilities,
            "supports_vision": "vision" in facts.capabilities,
            "has_vision": "vision" in facts.capabilities,
        }
    return answer(shown)


@assistant.get("/assistant/settings")
@needs("read")
@documents({200: AssistantSettingsShown})
def show_assistant_settings() -> Response:
    """Show which language model the assistant uses, and how."""
    settings = runtime().language.assistant.settings
    return answer({**assistant_settings(settings), "api_key": MASK if settings.has_key() else ""})


@assistant.put("/assistant/settings")
@needs("admin")
@documents({200: AssistantSettingsChanged}, body=AssistantSettingsBody)
def change_assistant_settings() -> Response:
    """Choose which language model the assistant uses, and how. Kept over restarts. Everything that `GET` shows may be
    sent back; of two words for one thing the one counts that says something new."""
    assistant = runtime().language.assistant
    body, warnings = validate(AssistantSettingsBody, read_body())
    changes, doubts = settle_words(body.sent_fields(), assistant.settings.current())
    # With keys configured, nobody gets here without one.
    _, told = assistant.change(changes, any_host=runtime().config.auth.is_on)
    shown = {"success": True, "settings": assistant_settings(assistant.settings)}
    return answer({**shown, **warnings_field([*warnings, *doubts, *told])})


def _question() -> tuple[Question, list[str]]:
    body, warnings = validate(ChatBody, read_body())
    if not body.message.strip():
        raise InvalidRequest("message must not be blank", field="message", value=body.message[:80])
    context = body.sent_fields().get("context", {})
    size = len(json.dumps(context))
    if size > MAX_CONTEXT_BYTES:
        raise InvalidRequest(
            f"context must be at most {MAX_CONTEXT_BYTES} bytes as JSON, got {size}",
            field="context",
            value=size,
            allowed=f"at most {MAX_CONTEXT_BYTES} bytes",
        )
    running = runtime()
    kinds = action_kinds(running.config.limits, running.status.options(), running.models.library, running.jobs.queue)
    return Question(message=body.message, context=context, kinds=kinds), warnings


def _events(
    first: Delta | Reply, rest: Iterator[Delta | Reply], warnings: list[str], redact_paths: PathRedaction
) -> Iterator[str]:
    """The stream's text, event by event; runs outside of the request, which Flask has ended by then."""
    try:
        said: Delta | Reply | None = first
        while said is not None:
            if isinstance(said, Delta):
                # Nothing is said yet, but the answer's head can leave.
                yield _delta(said.text) if said.text else ": thinking\n\n"
            else:
                whole = _reply(said, warnings, redact_paths)
                told = {name: whole[name] for name in ("actions", "warnings") if whole.get(name)}
                if told:
                    yield _event("actions", {"actions": [], **told})
                yield _event("done", whole)
            said = next(rest, None)
    except Exception as error:
        if isinstance(error, CallEnded):
            return  # the client left: nobody reads this
        fault = fault_of(error, "POST '/assistant/chat/stream'", redact_paths)
        yield _event("error", json.loads(render_native_error("/assistant/chat/stream", fault)[2]))


def _delta(text: str) -> str:
    """A piece in both words that there are for it: a client listens to one of them."""
    return _event("delta", {"text": text}) + _event("content", {"content": text})


def _event(name: str, value: Any) -> str:
    # JSON without line breaks: one line of text is one event.
    return f"event: {name}\ndata: {json_text(value)}\n\n"


def _reply(reply: Reply, warnings: list[str], redact_paths: PathRedaction) -> dict[str, Any]:
    told = [*warnings, *(redact_paths(text) for text in reply.warnings)]
    return {
        "success": True,
        "message": reply.message,
        "actions": [_action(action) for action in reply.actions],
        **warnings_field(told),
    }


def _message_object(message: ConversationMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "role": message.role,
        "content": message.content,
        "timestamp": unix_seconds(message.created_at),
    }
    return {**shown, "actions": [_action(action) for action in message.actions]} if message.actions else shown


def _action(action: Action) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": action.type, "parameters": dict(action.parameters)}
    if action.request is not None:
        shown["request"] = action.request.model_dump(exclude_none=True)
    return shown
