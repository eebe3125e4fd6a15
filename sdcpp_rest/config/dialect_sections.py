"""The sections about other programs' dialects."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sdcpp_rest.config.sections import Section


class OpenAiConfig(Section):
    """The dialect of OpenAI's images API."""

    model_aliases: Mapping[str, str] = Field(
        default_factory=dict,
        description="Models of this server by the names that clients send instead; any other unknown name means the "
        "selected model.",
        examples=[{"gpt-image-1": "demo_dit_q8_0.gguf"}],
    )
