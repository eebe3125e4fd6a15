"""Answers questions about the server with a language model, and proposes actions.

It proposes only; whoever asked carries them out. Knows neither HTTP nor what an action does: the kinds of action come
with each question. Blocks while the model thinks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sdcpp_rest.core.chat import Action, ConversationMessage, ThoughtFilter, ToolCall
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.services.jobs.departure import current_departure
from sdcpp_rest.services.language.assistant_actions import (
    ActionKind,
    answer_schema,
    calls_in,
    check_actions,
    describe_actions,
    tools_of,
)
from sdcpp_rest.services.language.assistant_prompt import Mode, messages_for
from sdcpp_rest.services.language.llm_client import ChatRequest, LlmClient, ModelFacts
from sdcpp_rest.services.language.llm_connection import Line, OpenCalls
from sdcpp_rest.services.language.llm_errors import LlmDisabled, LlmFailed
from sdcpp_rest.services.language.llm_settings import LlmChoice, LlmSettings
from sdcpp_rest.services.language.prompt_enhancer import find_models
from sdcpp_rest.store.history_store import Conversation

MODES: tuple[Mode, ...] = ("tools", "json", "plain")
_NOT_UNDERSTOOD = frozenset({400, 415, 422, 500, 501})
"""Statuses with which servers refuse tools or schemas that they, or the model, cannot handle."""
_REMEMBERED_MODELS = 100
_TOLD_MESSAGES = 200

Key: TypeAlias = "tuple[str, str, str]"


class Delta(Frozen):
    """A piece of what the assistant says, to be shown at once. The first one is empty: the model has begun to answer,
    whatever it thinks before it speaks."""

    text: str


class Reply(Frozen):
    """The whole answer. ``warnings`` tell which proposals were left out, and why."""

    message: str
    actions: tuple[Action, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What a user says, what his user interface tells of itself, and what may be proposed."""

    message: str
    context: Mapping[str, Any]
    kinds: Sequence[ActionKind]


class Assistant:
    """Talks to a language model about the server and proposes checked actions.

    Thread-safe: of two questions at a time each gets its own answer, and the conversation remembers
    both, one after the other.

    Args:
        situation: facts about the server, looked up for every question.
        context_tokens: what the model can read at a time.
    """

    def __init__(
        self,
        settings: LlmSettings,
        conversation: Conversation,
        lines: OpenCalls,
        situation: Callable[[], Mapping[str, Any]],
        *,
        context_tokens: int,
    ) -> None:
        self.settings = settings
        self._conversation = conversation
        self._lines = lines
        self._situation = situation
        self._context_tokens = context_tokens
        self._lock = threading.Lock()
        self._modes: dict[Key, Mode] = {}

    def chat(self, question: Question) -> Reply:
        """The whole answer, within the settings' timeout. Raises the errors of `llm_errors`."""
        line = Line()
        with current_departure().bind(line.hang_up), line.limit_time(self.settings.current().timeout_seconds):
            for said in self.stream(question, line):
                if isinstance(said, Reply):
                    return said
        raise AssertionError("a stream ends with its reply")

    def stream(self, question: Question, line: Line) -> Iterator[Delta | Reply]:
        """The answer as it comes, and at the end the whole of it.

        ``line`` may be hung up by any thread. Only an answer that came to its end is remembered. Raises the errors of
        `llm_errors`, also after some pieces.
        """
        choice = self.settings.current()
        if not choice.enabled:
            raise LlmDisabled('The assistant is switched off (PUT /assistant/settings {"enabled": true})')
        asked_at = ConversationMessage(role="user", content=question.message)
        history = self._conversation.newest(min(choice.max_history, _TOLD_MESSAGES))
        with self._lines.open(line):
            answer = _Answer()
            yield from self._first_that_works(question, choice, history, line, answer)
        reply = answer.reply(question.kinds, choice.model)
        if not answer.shown:
            yield Delta(text=reply.message)
        said = ConversationMessage(role="assistant", content=reply.message, actions=reply.actions)
        self._conversation.add((asked_at, said), choice.max_history)
        yield reply

    def history(self) -> list[ConversationMessage]:
        """All that is remembered, oldest first."""
        return self._conversation.newest(self.settings.current().max_history)

    def clear(self) -> None:
        self._conversation.clear()

    def change(self, sent: Mapping[str, Any], *, any_host: bool) -> tuple[LlmChoice, list[str]]:
        """As `LlmSettings.change`; the history gets its new size at once. What models can do is found out anew: it may
        be another server, or the same one started otherwise."""
        choice, warnings = self.settings.change(sent, any_host=any_host)
        with self._lock:
            self._modes.clear()
        if "max_history" in sent:
            self._conversation.trim(choice.max_history)
        return choice, warnings

    def status(self) -> dict[str, Any]:
        """Settings, whether the server answers, and how long the history is."""
        choice = self.settings.current()
        models = find_models(self.settings, self._lines) if choice.enabled else None
        return {
            "enabled": choice.enabled,
            "connected": models is not None,
            "base_url": choice.base_url,
            "model": choice.model,
            "timeout_seconds": choice.timeout_seconds,
            "history_count": self._conversation.count(),
            "available_models": models or [],
            "proactive_suggestions": choice.proactive_suggestions,
        }

    def model_facts(self, model: str = "") -> ModelFacts:
        """What the language model's server tells about ``model``, or about the chosen one. Raises the errors of
        `llm_errors`."""
        endpoint = self.settings.endpoint()
        with self._lines.open() as line:
            return LlmClient(replace(endpoint, model=model or endpoint.model), line).facts()

    def _first_that_works(
        self, question: Question, choice: LlmChoice, history: Sequence[ConversationMessage], line: Line, answer: _Answer
    ) -> Iterator[Delta]:
        """Ask with tools; a server that refuses those is asked again without. What works is remembered."""
        endpoint = self.settings.endpoint()
        key = (endpoint.api, endpoint.base_url, endpoint.model)
        facts = self._situation()
        first = self._modes.get(key, MODES[0])
        for mode in MODES[MODES.index(first) :]:
            asked = ChatRequest(
                messages=messages_for(
                    mode,
                    question.message,
                    instructions=choice.system_prompt,
                    kinds=question.kinds,
                    facts=facts,
                    context=question.context,
                    history=history,
                    context_tokens=self._context_tokens,
                ),
                tools=tools_of(question.kinds) if mode == "tools" else (),
                schema=answer_schema(question.kinds) if mode == "json" else None,
                temperature=choice.temperature,
                max_tokens=choice.max_tokens,
                context_tokens=self._context_tokens,
            )
            answer.mode = mode
            pieces = LlmClient(endpoint, line).chat(asked)
            try:
                first_piece = next(pieces, "")
            except LlmFailed as error:
                if mode == MODES[-1] or error.upstream_status not in _NOT_UNDERSTOOD:
                    raise
                continue
            self._remember(key, mode)
            yield Delta(text="")
            yield from answer.take(first_piece)
            for piece in pieces:
                yield from answer.take(piece)
            yield from answer.flush()
            return

    def _remember(self, key: Key, mode: Mode) -> None:
        with self._lock:
            if key not in self._modes and len(self._modes) >= _REMEMBERED_MODELS:
                self._modes.clear()
            self._modes[key] = mode


class _Answer:
    """Collects a model's answer while it comes. ``shown``: what was told already, piece by piece."""

    def __init__(self) -> None:
        self.mode: Mode = "tools"
        self.shown = ""
        self._text = ""
        self._calls: list[ToolCall] = []
        self._thoughts = ThoughtFilter()

    def take(self, piece: str | ToolCall) -> Iterator[Delta]:
        if isinstance(piece, ToolCall):
            self._calls.append(piece)
            return
        yield from self._say(self._thoughts.feed(piece))

    def flush(self) -> Iterator[Delta]:
        yield from self._say(self._thoughts.flush())

    def reply(self, kinds: Sequence[ActionKind], model: str) -> Reply:
        """The whole answer; only for an answer that is complete. Raises LlmFailed for an empty one."""
        message, calls = self._text, self._calls
        if self.mode != "tools":
            found = calls_in(self._text)
            if found is not None:
                message, calls = found
        actions, notes = check_actions(calls, kinds)
        message = message.strip().replace("\0", "") or describe_actions(actions, kinds)
        if not message and notes:
            message = "I could not find a way to do that."
        if not message:
            raise LlmFailed(f"The language model {model!r} answered nothing")
        return Reply(message=message, actions=actions, warnings=tuple(notes))

    def _say(self, text: str) -> Iterator[Delta]:
        if not self._text:
            text = text.lstrip()
        if not text:
            return
        self._text += text
        # JSON is no text to show: its message is told when it is whole.
        if self.mode == "tools":
            self.shown += text
            yield Delta(text=text)
