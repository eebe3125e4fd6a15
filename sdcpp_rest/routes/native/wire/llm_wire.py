"""The wire models of language model settings, which the prompt enhancer and the assistant share. Knows no route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional, validate
from sdcpp_rest.services.language.llm_settings import MASK, LlmChoice, LlmSettings

FAILURES = (502, 503, 504)
"""How calls to a language model server fail: it failed; it cannot be reached, is busy or switched off; it was slow."""

_WARNINGS = "What was ignored."


class LlmSettingsBody(Wire):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"base_url": "http://localhost:11434", "model": "llama3.2"}]}
    )

    enabled: Flag = optional("Offer it.")
    api: Literal["ollama", "openai"] = optional(
        "What the server speaks: Ollama's own protocol, or OpenAI's chat completions (llama.cpp, LM Studio, vLLM, ...)."
    )
    base_url: Text = optional(
        "Where the language model server listens. Without API keys: this machine, or a host in llm.allowed_hosts.",
        min_length=1,
        max_length=2000,
        examples=["http://localhost:11434"],
    )
    model: Text = optional("Name of the model there.", min_length=1, max_length=200, examples=["llama3.2"])
    timeout_seconds: Integer = optional(
        "How long an answer may take; for a streamed one, how long a silence.", ge=1, le=3600, examples=[60]
    )
    max_history: Integer = optional("Entries that are kept; older ones go.", ge=1, le=10_000, examples=[100])
    system_prompt: Text = optional("Instructions for the model; empty: the built-in ones.", max_length=16_000)
    api_key: Text = optional(
        f"A key for that server; empty: none; `{MASK}`: as it was. It is sent to this base_url's host only.",
        max_length=4000,
    )


class LlmSettingsChosen(Answer):
    """Which language model is used, and how."""

    enabled: bool
    base_url: str = Field(examples=["http://localhost:11434"])
    model: str = Field(examples=["llama3.2"])
    timeout_seconds: int
    max_history: int
    api: Literal["ollama", "openai"]
    system_prompt: str = Field(description="Empty: the built-in one.")


class LlmSettingsShown(LlmSettingsChosen):
    """The same, and whether there is a key."""

    api_key: str = Field(description="Never the key itself; empty: there is none.", examples=[MASK])


class LlmSettingsChanged(Answer):
    success: Literal[True]
    settings: LlmSettingsChosen
    warnings: list[str] = optional(_WARNINGS)


class Done(Answer):
    success: Literal[True]


def settings_object(settings: LlmSettings) -> dict[str, Any]:
    """In the shape of `LlmSettingsShown`."""
    return {**choice_object(settings.current()), "api_key": MASK if settings.has_key() else ""}


def change_settings(change: Callable[..., tuple[LlmChoice, list[str]]]) -> dict[str, Any]:
    """Read the request's body, let ``change`` do it, and answer in the shape of `LlmSettingsChanged`."""
    body, warnings = validate(LlmSettingsBody, read_body())
    # With keys configured, nobody gets here without one.
    choice, told = change(body.sent_fields(), any_host=runtime().config.auth.is_on)
    return {"success": True, "settings": choice_object(choice), **warnings_field([*warnings, *told])}


def warnings_field(warnings: list[str]) -> Mapping[str, list[str]]:
    return {"warnings": warnings} if warnings else {}


def unix_seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def choice_object(choice: LlmChoice) -> dict[str, Any]:
    """In the shape of `LlmSettingsChosen`."""
    names = ("enabled", "base_url", "model", "timeout_seconds", "max_history", "api", "system_prompt")
    return {name: getattr(choice, name) for name in names}
