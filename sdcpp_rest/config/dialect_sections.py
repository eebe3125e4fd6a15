"""Defines the settings of the dialects, and what clients of any dialect may do to each other.

Knows no dialect's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from sdcpp_rest.config.sections import Integer, Number, Section


class OpenAiConfig(Section):
    """The dialect of OpenAI's images API."""

    model_aliases: Mapping[str, str] = Field(
        default_factory=dict,
        description="Models of this server by the names that clients send instead; any other unknown name means the "
        "selected model.",
        examples=[{"gpt-image-1": "demo_dit_q8_0.gguf"}],
    )
    response_format: Literal["auto", "url", "b64_json"] = Field(
        default="auto",
        description="How pictures come where a request does not say. auto: b64_json where it names one of OpenAI's "
        "gpt-image models, else url.",
    )


class SwarmConfig(Section):
    """The dialect of SwarmUI's page and clients."""

    images: Integer = Field(
        default=1_000, ge=1, le=10_000, description="Pictures (images x batchsize) that one request may ask for."
    )
    keep_jobs_of_closed_sockets: bool = Field(
        default=False,
        description="Go on with the pictures of a client whose WebSocket has closed. Else those that are not finished "
        "are cancelled.",
    )


class ComfyUiConfig(Section):
    """The dialect of ComfyUI's clients."""

    prompts: Integer = Field(
        default=10_000, ge=1, le=100_000, description="Prompts that the history keeps; the oldest go first."
    )
    uploads_bytes: Integer = Field(
        default=1 << 30,
        ge=1 << 20,
        le=1 << 50,
        description="Uploaded pictures, in bytes; the oldest go first, whenever one is uploaded.",
    )
    uploads_days: Integer = Field(
        default=30,
        ge=0,
        le=36_500,
        description="Days for which uploaded pictures are kept, looked at at each upload. 0: whatever their age.",
    )


class InterruptConfig(Section):
    """What a client's "stop" acts on."""

    scope: Literal["own", "global"] = Field(
        default="own",
        description="own: the caller's own job, so that nobody ends another's; global: whatever runs, as a program for "
        "one person has it.",
    )


class A1111Config(Section):
    """The dialect of AUTOMATIC1111's clients."""

    styles_file: str = Field(
        default="",
        description="CSV file with prompt styles (name,prompt,negative_prompt). Empty: styles.csv in data_dir.",
    )
    pictures: Integer = Field(
        default=256,
        ge=1,
        le=4096,
        description="Pictures of one call (n_iter x batch_size, or all that a script draws), held in memory together.",
    )
    hash_patience_seconds: Number = Field(
        default=2.0,
        ge=0,
        le=600,
        description="How long an answer waits for the model's checksum while that is computed for the first time.",
    )
