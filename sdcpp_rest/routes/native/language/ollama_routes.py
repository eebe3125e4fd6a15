"""Better prompts over HTTP: a language model rewrites them; what it wrote can be looked up."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.chat import Enhancement
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import AtMost, Integer, Number, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.wire.llm_wire import (
    FAILURES,
    Done,
    LlmSettingsBody,
    LlmSettingsChanged,
    LlmSettingsShown,
    change_settings,
    settings_object,
    unix_seconds,
    warnings_field,
)
from sdcpp_rest.services.language.prompt_enhancer import EnhanceOptions

ollama = Blueprint("ollama", __name__)


class EnhanceOptionsBody(Wire):
    """How the model answers; what is left out is its server's choice."""

    model: Text = optional("Another model than the settings'.", min_length=1, max_length=200)
    temperature: Number = optional("How freely it writes.", ge=0, le=10, examples=[0.7])
    top_p: Number = optional("From which share of the likeliest words it chooses.", ge=0, le=1)
    seed: Integer = optional("For the same answer again.", ge=0, le=2**31 - 1)
    max_tokens: Integer = optional("How long the answer may be.", ge=1, le=100_000, examples=[300])


class EnhanceBody(Wire):
    """Which prompt to make better."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "a cat"}]})

    prompt: Annotated[Text, AtMost("prompt_characters")] = Field(min_length=1, description="What a user typed.")
    system_prompt: Text = optional("Instructions for the model instead of the settings'.", max_length=16_000)
    options: EnhanceOptionsBody = optional("How the model answers.")


class Enhanced(Answer):
    """A better prompt."""

    success: Literal[True]
    id: str = Field(description="Of its entry in the history.", examples=["550e8400-e29b-41d4-a716-446655440000"])
    original_prompt: str
    enhanced_prompt: str
    model_used: str = Field(examples=["llama3.2"])
    created_at: int = Field(description="Unix time in seconds.", examples=[1704067200])
    warnings: list[str] = optional("What was ignored.")


class HistoryQuery(Wire):
    limit: Integer = Field(50, ge=1, le=1000, description="Number of entries.")
    offset: Integer = Field(0, ge=0, le=1_000_000_000, description="Entries to leave out at the beginning.")


class HistoryPath(Wire):
    entry_id: str = Field(description="Of an entry.", examples=["550e8400-e29b-41d4-a716-446655440000"])


class EnhancementShown(Answer):
    """An attempt to make a prompt better."""

    id: str
    original_prompt: str
    enhanced_prompt: str = Field(description="Empty where it failed.")
    model_used: str
    created_at: int = Field(description="Unix time in seconds.")
    success: bool
    error_message: str = Field(description="Why it failed; else empty.")


class HistoryShown(Answer):
    """Attempts, newest first."""

    total_count: int = Field(ge=0)
    items: list[EnhancementShown]


class EnhancerStatus(Answer):
    enabled: bool
    connected: bool = Field(description="Whether the language model server answers.")
    base_url: str
    model: str
    max_history: int
    history_count: int


class LanguageModels(Answer):
    """The models that the language model server has."""

    models: list[str] = Field(examples=[["llama3.2", "mistral"]])


@ollama.post("/ollama/enhance")
@needs("generate")
@documents({200: Enhanced}, errors=FAILURES, body=EnhanceBody)
@blocking
def enhance_prompt() -> Response:
    """Let a language model write a better prompt. Every attempt is remembered in the history, also one that fails."""
    body, warnings = validate(EnhanceBody, read_body())
    if not body.prompt.strip():
        raise InvalidRequest("prompt must not be blank", field="prompt", value=body.prompt[:80])
    sent = body.sent_fields()
    entry = runtime().language.prompt_enhancer.enhance(
        body.prompt, sent.get("system_prompt"), EnhanceOptions(**sent.get("options", {}))
    )
    shown = {name: value for name, value in _enhancement_object(entry).items() if name != "error_message"}
    return answer({**shown, **warnings_field(warnings)})


@ollama.get("/ollama/history")
@needs("read")
@documents({200: HistoryShown}, query=HistoryQuery)
def show_enhancements() -> Response:
    """List the attempts to make prompts better, newest first."""
    query = read_query(HistoryQuery)
    total, entries = runtime().language.prompt_enhancer.history(query.limit, query.offset)
    return answer({"total_count": total, "items": [_enhancement_object(entry) for entry in entries]})


@ollama.delete("/ollama/history")
@needs("generate")
@documents({200: Done})
def clear_enhancements() -> Response:
    """Forget all attempts to make prompts better."""
    runtime().language.prompt_enhancer.clear()
    return answer({"success": True})


@ollama.get("/ollama/history/<entry_id>")
@needs("read")
@documents({200: EnhancementShown}, errors=(404,), path=HistoryPath)
def show_enhancement(entry_id: str) -> Response:
    """Show one attempt to make a prompt better."""
    return answer(_enhancement_object(runtime().language.prompt_enhancer.entry(entry_id)))


@ollama.delete("/ollama/history/<entry_id>")
@needs("generate")
@documents({200: Done}, errors=(404,), path=HistoryPath)
def delete_enhancement(entry_id: str) -> Response:
    """Forget one attempt to make a prompt better."""
    runtime().language.prompt_enhancer.delete(entry_id)
    return answer({"success": True})


@ollama.get("/ollama/status")
@needs("read")
@documents({200: EnhancerStatus})
@blocking
def show_enhancer_status() -> Response:
    """Tell whether prompts can be made better now: asks the language model server whether it is there."""
    return answer(runtime().language.prompt_enhancer.status())


@ollama.get("/ollama/models")
@needs("read")
@documents({200: LanguageModels}, errors=FAILURES)
@blocking
def list_language_models() -> Response:
    """List the models that the language model server has."""
    return answer({"models": runtime().language.prompt_enhancer.models()})


@ollama.get("/ollama/settings")
@needs("read")
@documents({200: LlmSettingsShown})
def show_enhancer_settings() -> Response:
    """Show which language model makes prompts better, and how."""
    return answer(settings_object(runtime().language.prompt_enhancer.settings))


@ollama.put("/ollama/settings")
@needs("admin")
@documents({200: LlmSettingsChanged}, body=LlmSettingsBody)
def change_enhancer_settings() -> Response:
    """Choose which language model makes prompts better, and how. Kept over restarts."""
    return answer(change_settings(runtime().language.prompt_enhancer.change))


def _enhancement_object(entry: Enhancement) -> dict[str, Any]:
    return {
        "success": entry.success,
        "id": entry.id,
        "original_prompt": entry.original_prompt,
        "enhanced_prompt": entry.enhanced_prompt,
        "model_used": entry.model_used,
        "created_at": unix_seconds(entry.created_at),
        "error_message": entry.error_message,
    }
