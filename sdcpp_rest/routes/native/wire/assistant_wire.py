"""The wire models of the assistant's settings: those of every language model, and what only the assistant has.

Some things have two names, ours and those of SDCPP-RESTAPI's later versions; which of two words counts is settled here.
Knows no route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, Text, optional
from sdcpp_rest.routes.native.wire.llm_wire import LlmSettingsBody, LlmSettingsChosen, choice_object
from sdcpp_rest.services.language.assistant_prompt import INSTRUCTIONS
from sdcpp_rest.services.language.llm_settings import LlmChoice, LlmSettings

_READ_ONLY = ("has_api_key", "default_system_prompt")
_MESSAGES_PER_TURN = 2


class AssistantSettingsBody(LlmSettingsBody):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"base_url": "http://localhost:11434", "model": "llama3.2"}]}
    )

    endpoint: Text = optional("The same as base_url.", min_length=1, max_length=2000)
    temperature: Number = optional("How freely the model chooses its words.", ge=0, le=2, examples=[0.7])
    max_tokens: Integer = optional("How long an answer may be, in tokens.", ge=1, le=1_048_576, examples=[4096])
    max_history_turns: Integer = optional("As max_history: a turn is a question and its answer.", ge=1, le=5000)
    proactive_suggestions: Flag = optional("For user interfaces: whether to suggest things by themselves.")
    has_api_key: Flag = optional("May be sent back as it was shown; changes nothing.")
    default_system_prompt: Text = optional("May be sent back as it was shown; changes nothing.", max_length=16_000)


class AssistantSettingsChosen(LlmSettingsChosen):
    """Which language model is used, and how."""

    endpoint: str = Field(description="The same as base_url.")
    temperature: float
    max_tokens: int
    max_history_turns: int = Field(description="Half of max_history: a turn is a question and its answer.")
    proactive_suggestions: bool
    default_system_prompt: str = Field(description="What an empty system_prompt stands for.")
    has_api_key: bool


class AssistantSettingsShown(AssistantSettingsChosen):
    """The same, and whether there is a key."""

    api_key: str = Field(description="Never the key itself; empty: there is none.", examples=["***masked***"])


class AssistantSettingsChanged(Answer):
    success: Literal[True]
    settings: AssistantSettingsChosen
    warnings: list[str] = optional("What was ignored.")


def assistant_settings(settings: LlmSettings) -> dict[str, Any]:
    """In the shape of `AssistantSettingsChosen`."""
    choice = settings.current()
    return {
        **choice_object(choice),
        "endpoint": choice.base_url,
        "temperature": choice.temperature,
        "max_tokens": choice.max_tokens,
        "max_history_turns": _turns_of(choice),
        "proactive_suggestions": choice.proactive_suggestions,
        "default_system_prompt": INSTRUCTIONS,
        "has_api_key": settings.has_key(),
    }


def settle_words(sent: Mapping[str, Any], current: LlmChoice) -> tuple[dict[str, Any], list[str]]:
    """``sent`` in our own words, and sentences about two words that contradict each other.

    A page shows all settings, lets its user change one and sends all of them back: of two words for one thing the one
    counts that is not as it was. Where both are new, ours wins. The default prompt, sent back, is none of one's own.
    """
    changes = {name: value for name, value in sent.items() if name not in _READ_ONLY}
    doubts = [
        _settle(changes, "base_url", "endpoint", current.base_url, current.base_url, str),
        _settle(
            changes,
            "max_history",
            "max_history_turns",
            current.max_history,
            _turns_of(current),
            lambda turns: _MESSAGES_PER_TURN * int(turns),
        ),
    ]
    if changes.get("system_prompt") == INSTRUCTIONS:
        changes["system_prompt"] = ""
    return changes, [doubt for doubt in doubts if doubt]


def _settle(
    changes: dict[str, Any], ours: str, theirs: str, our_value: object, their_value: object, read: Callable[[Any], Any]
) -> str | None:
    if theirs not in changes:
        return None
    value = changes.pop(theirs)
    if ours not in changes or (changes[ours] == our_value and value != their_value):
        if value != their_value:
            changes[ours] = read(value)
        return None
    if value not in (their_value, changes[ours]):
        return f"{theirs} was ignored: {ours} says the same thing, and something else"
    return None


def _turns_of(choice: LlmChoice) -> int:
    return max(1, choice.max_history // _MESSAGES_PER_TURN)
