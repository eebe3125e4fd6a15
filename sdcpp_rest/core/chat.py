"""Defines messages, tool calls, actions and enhanced prompts, as they go to language models and come back.

Pure values. It must not know a server of language models, nor a protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import utc_now

Api = Literal["ollama", "openai"]
"""Which protocol a language model server speaks."""


class ChatMessage(Frozen):
    """One message to a model. ``pictures``: JPEG files that go with it, for models that see."""

    role: Literal["system", "user", "assistant"]
    content: str
    pictures: tuple[bytes, ...] = Field(default=(), repr=False)


class ToolCall(Frozen):
    """What a model wants to be done, as it said so: nothing of it has been checked."""

    name: str
    arguments: Any = None


class ActionRequest(Frozen):
    """The HTTP request that carries an action out. ``url`` is a path of this server, with its query."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str
    body: Mapping[str, Any] | None = None


class Action(Frozen):
    """A proposal that was checked and can be carried out as it stands. Without ``request`` it is a user interface's own
    business (which view is shown, what stands in a form)."""

    type: str
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    request: ActionRequest | None = None


class ConversationMessage(Frozen):
    """One message of the conversation with the assistant, as it is remembered."""

    role: Literal["user", "assistant"]
    content: str
    created_at: datetime = Field(default_factory=utc_now)
    actions: tuple[Action, ...] = ()


class Enhancement(Frozen):
    """One attempt to make a prompt better; ``enhanced_prompt`` is empty where it failed."""

    id: str
    original_prompt: str
    enhanced_prompt: str = ""
    model_used: str
    created_at: datetime = Field(default_factory=utc_now)
    success: bool
    error_message: str = ""


class ThoughtFilter:
    """Removes what a reasoning model thinks aloud between ``<think>`` and ``</think>``, also when the text comes in
    pieces that cut a tag in two."""

    _TAGS = ("<think>", "</think>")

    def __init__(self) -> None:
        self._thinks = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """The part of the text so far that can be shown and was not yet."""
        self._held += piece
        shown = ""
        while True:
            tag = self._TAGS[self._thinks]
            before, found, after = self._held.partition(tag)
            if not found:
                break
            shown += "" if self._thinks else before
            self._thinks, self._held = not self._thinks, after
        kept = _tag_overlap(self._held, tag)
        visible, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return shown if self._thinks else shown + visible

    def flush(self) -> str:
        """What was held back in case it was a tag; call it at the end."""
        held, self._held = self._held, ""
        return "" if self._thinks else held


def _tag_overlap(text: str, tag: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
