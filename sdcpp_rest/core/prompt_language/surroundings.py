"""Defines what tags ask of the world around a prompt: wildcards, LoRAs, embeddings, presets, parameters.

Whoever expands a prompt brings it. Nothing here knows where these things are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

PROMPT_ID = "prompt"
NEGATIVE_ID = "negativeprompt"
"""The parameters that presets write around what a user wrote."""


@dataclass(frozen=True)
class FoundWildcard:
    """A list of entries, which may hold tags, under its whole name."""

    name: str
    options: Sequence[str]


@dataclass(frozen=True)
class FoundLora:
    """A LoRA under its whole name; ``trigger`` are words that make it show, separated by ``,`` or ``;``."""

    name: str
    trigger: str = ""


class Surroundings(Protocol):
    """What tags may ask for. Names come as they were written; each answer is the best match, or ``None``."""

    def wildcard(self, name: str) -> FoundWildcard | None: ...

    def lora(self, name: str) -> FoundLora | None: ...

    def embedding(self, name: str) -> str | None:
        """The words that make the text encoder use it."""

    def preset(self, title: str) -> Mapping[str, str] | None:
        """Its parameters by id; those of prompts may say ``{value}``."""

    def parameter(self, id: str) -> str | None:
        """Its value as text, empty for none; ``None`` where there is no such parameter. ``id``: lower case a-z."""

    def triggers(self) -> Sequence[str]:
        """The trigger words of the model, and of LoRAs that are chosen beside the prompt."""


def parameter_id(name: str) -> str:
    """The id of a parameter that people write in many ways: ``CFG Scale``, ``cfg_scale``."""
    return "".join(letter for letter in name.lower() if "a" <= letter <= "z")
