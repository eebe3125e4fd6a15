"""Defines the settings of language models, and the kinds of value they take.

Calls no server; what users change later is kept by `services.language`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from sdcpp_rest.config.remote_values import header_secret, server_url
from sdcpp_rest.config.sections import Integer, Number, Section


def llm_url(url: str) -> str:
    """The address of a language model server, without a slash at its end. Raises ValueError."""
    return server_url(url, "http://localhost:11434")


def _key_text(key: SecretStr) -> SecretStr:
    return header_secret(key, "key")


LlmUrl = Annotated[str, AfterValidator(llm_url)]
LlmKey = Annotated[SecretStr, AfterValidator(_key_text)]


class LlmConfig(Section):
    """Language model servers: what the prompt enhancer ([ollama]) and the assistant ([assistant]) have in common."""

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts, besides this machine, that base_url may name when it is changed over the API: a name, "
        "name:port, *.domain, an address or a network. With auth.api_keys any host may be named.",
        examples=[["gpu-box.lan:11434"]],
    )
    connect_timeout_seconds: Number = Field(
        default=5.0, gt=0, le=600, description="How long a language model server may take to accept a connection."
    )


class LanguageModelConfig(Section):
    """What a user of a language model starts with; most of it can be changed while the server runs."""

    enabled: bool = Field(default=True, description="Offer it. Nothing is called before somebody asks for something.")
    api: Literal["ollama", "openai"] = Field(
        default="ollama",
        description="What the server at base_url speaks: Ollama's protocol, or OpenAI's chat completions (llama.cpp, "
        "LM Studio, vLLM and others).",
    )
    base_url: LlmUrl = Field(
        default="http://localhost:11434",
        description="Where the language model server listens. For openai, /v1 is added where no path is given.",
    )
    model: str = Field(default="llama3.2", min_length=1, max_length=200, description="Name of the model there.")
    timeout_seconds: Integer = Field(
        default=60, ge=1, le=3600, description="How long an answer may take; for a streamed one, how long a silence."
    )
    max_history: Integer = Field(default=100, ge=1, le=10_000, description="Entries that are kept; older ones go.")
    system_prompt: str = Field(
        default="", max_length=16_000, description="Instructions for the model. Empty: the built-in ones."
    )
    api_key: LlmKey = Field(
        default=SecretStr(""),
        description="A key for that server; sent to base_url's host and port only, never shown.",
        examples=["a-key-of-that-server"],
    )


class OllamaConfig(LanguageModelConfig):
    """The prompt enhancer: the values a new database starts with."""


class AssistantConfig(LanguageModelConfig):
    """The assistant: the values a new database starts with."""

    timeout_seconds: Integer = Field(
        default=120, ge=1, le=3600, description="How long an answer may take; for a streamed one, how long a silence."
    )
    max_history: Integer = Field(default=50, ge=1, le=10_000, description="Messages that are kept; older ones go.")
    temperature: Number = Field(
        default=0.7, ge=0, le=2, description="How freely the model chooses its words; 0: always the likeliest."
    )
    max_tokens: Integer = Field(default=4096, ge=1, le=1_048_576, description="How long an answer may be, in tokens.")
    proactive_suggestions: bool = Field(
        default=True, description="What user interfaces are told when they ask whether to suggest things by themselves."
    )
    context_tokens: Integer = Field(
        default=8192,
        ge=2048,
        le=1_048_576,
        description="What the model can read at a time. Ollama is asked for so much; what it is told is cut to fit.",
    )
