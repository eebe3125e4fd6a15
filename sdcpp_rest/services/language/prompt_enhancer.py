"""Rewrites prompts with a language model, and remembers every attempt, also the ones that failed.

Knows what a prompt for pictures looks like. Knows neither HTTP nor the queue.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sdcpp_rest.core.chat import ChatMessage, Enhancement, ThoughtFilter
from sdcpp_rest.core.prompts import MAX_BYTES
from sdcpp_rest.errors import NotFound, SdcppRestError
from sdcpp_rest.services.language.llm_client import ChatRequest, LlmClient
from sdcpp_rest.services.language.llm_connection import Line, OpenCalls
from sdcpp_rest.services.language.llm_errors import LlmDisabled, LlmFailed
from sdcpp_rest.services.language.llm_settings import LlmChoice, LlmSettings
from sdcpp_rest.store.history_store import EnhancementHistory

log = logging.getLogger(__name__)

SYSTEM_PROMPT = """\
You write prompts for an image generation model. Rewrite the user's prompt so that it describes one picture in rich,
concrete detail: the subject, its surroundings, composition, light, colours, materials, and a fitting style or medium.
Keep everything the user asked for and do not change the subject. Keep tags such as <lora:name:0.8> and weights such
as (word:1.2) exactly as they are. Write in the language of the prompt, in one paragraph of at most 120 words.
Answer with the new prompt alone: no introduction, no quotation marks, no explanation."""

_LABEL = re.compile(
    r"^(?:sure[,!.]?\s*)?(?:here(?:'s| is)[^:\n]{0,60}|(?:enhanced|improved|new|rewritten)?\s*prompt)\s*:\s*", re.I
)
_FENCE = re.compile(r"^```[\w-]*\n(.*?)\n?```$", re.S)
_QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("`", "`"), ("**", "**"))
_TAG = re.compile(r"<lora:[^<>]*>")


@dataclass(frozen=True)
class EnhanceOptions:
    """How the model answers; ``None`` leaves it to its server. ``model``: another one than the settings'."""

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None


class PromptEnhancer:
    """Rewrites prompts with a language model and keeps a history of it.

    Every method may be called from every thread; `enhance`, `models` and `is_connected` wait for
    the language model's server.

    Args:
        max_characters: of a prompt; a longer one of the model's is cut at a word.
    """

    def __init__(
        self, settings: LlmSettings, history: EnhancementHistory, lines: OpenCalls, *, max_characters: int
    ) -> None:
        self.settings = settings
        self._history = history
        self._lines = lines
        self._max_characters = max_characters

    def enhance(
        self, prompt: str, system_prompt: str | None = None, options: EnhanceOptions | None = None
    ) -> Enhancement:
        """Let the model rewrite ``prompt``. The attempt is in the history afterwards, also when it failed.

        Raises the errors of `llm_errors`; their ``id`` is that of the entry.
        """
        options = options or EnhanceOptions()
        choice = self.settings.current()
        if not choice.enabled:
            raise LlmDisabled('The prompt enhancer is switched off (PUT /ollama/settings {"enabled": true})')
        model = options.model or choice.model
        entry = Enhancement(id=str(uuid.uuid4()), original_prompt=prompt, model_used=model, success=False)
        asked = ChatRequest(
            messages=(
                ChatMessage(role="system", content=system_prompt or choice.system_prompt or SYSTEM_PROMPT),
                ChatMessage(role="user", content=prompt),
            ),
            temperature=options.temperature,
            top_p=options.top_p,
            seed=options.seed,
            max_tokens=options.max_tokens,
        )
        try:
            said = self._ask(asked, model, choice.timeout_seconds)
            enhanced = with_tags_of(prompt, clean_answer(said), self._max_characters)
            if not enhanced:
                raise LlmFailed(f"The language model {model!r} answered nothing")
        except SdcppRestError as error:
            self._history.add(entry.model_copy(update={"error_message": error.message}), choice.max_history)
            error.detail["id"] = entry.id
            raise
        entry = entry.model_copy(update={"success": True, "enhanced_prompt": enhanced})
        self._history.add(entry, choice.max_history)
        return entry

    def history(self, limit: int, offset: int) -> tuple[int, list[Enhancement]]:
        """How many entries there are, and a page of them, newest first."""
        return self._history.page(limit, offset)

    def entry(self, entry_id: str) -> Enhancement:
        """Raises NotFound."""
        found = self._history.get(entry_id)
        if found is None:
            raise NotFound("History entry not found")
        return found

    def delete(self, entry_id: str) -> None:
        """Raises NotFound."""
        if not self._history.delete(entry_id):
            raise NotFound("History entry not found")

    def clear(self) -> None:
        self._history.clear()

    def change(self, sent: Mapping[str, Any], *, any_host: bool) -> tuple[LlmChoice, list[str]]:
        """As `LlmSettings.change`; the history gets its new size at once."""
        choice, warnings = self.settings.change(sent, any_host=any_host)
        if "max_history" in sent:
            self._history.trim(choice.max_history)
        return choice, warnings

    def models(self) -> list[str]:
        """Names of the models that the server has."""
        with self._lines.open() as line:
            return LlmClient(self.settings.endpoint(), line).models()

    def status(self) -> dict[str, Any]:
        """Settings, whether the server answers, and how long the history is."""
        choice = self.settings.current()
        return {
            "enabled": choice.enabled,
            "connected": choice.enabled and is_connected(self.settings, self._lines),
            "base_url": choice.base_url,
            "model": choice.model,
            "max_history": choice.max_history,
            "history_count": self._history.count(),
        }

    def _ask(self, asked: ChatRequest, model: str, timeout_seconds: float) -> str:
        endpoint = replace(self.settings.endpoint(), model=model)
        thoughts, said = ThoughtFilter(), ""
        with self._lines.open() as line, line.limit_time(timeout_seconds):
            for piece in LlmClient(endpoint, line).chat(asked):
                if isinstance(piece, str):
                    said += thoughts.feed(piece)
        return said + thoughts.flush()


def is_connected(settings: LlmSettings, lines: OpenCalls) -> bool:
    """Whether the server answers at all, within a few seconds."""
    return find_models(settings, lines) is not None


def find_models(settings: LlmSettings, lines: OpenCalls) -> list[str] | None:
    """The models that the server has; ``None`` where it does not answer within a few seconds."""
    try:
        with lines.open(Line()) as line:
            return LlmClient(settings.endpoint(), line).models()
    except SdcppRestError as error:
        log.debug("the language model server does not answer: %s", error.message)
        return None


def clean_answer(said: str) -> str:
    """The prompt in a model's answer: without the introduction, quotation marks and code fences that models add."""
    text = said.strip()
    for _ in range(4):
        before = text
        fenced = _FENCE.match(text)
        text = (fenced.group(1) if fenced else _LABEL.sub("", text)).strip()
        for opening, closing in _QUOTES:
            inner = text[len(opening) : -len(closing)]
            is_whole = len(text) >= len(opening) + len(closing)
            if is_whole and text.startswith(opening) and text.endswith(closing) and opening not in inner:
                text = inner.strip()
        if text == before:
            break
    return text.replace("\0", "")


def with_tags_of(prompt: str, enhanced: str, max_characters: int) -> str:
    """``enhanced`` with the LoRA tags of ``prompt`` that the model forgot, and without those that it made up; cut at a
    word to ``max_characters``, and to what a prompt may have in bytes."""
    wanted = list(dict.fromkeys(_TAG.findall(prompt)))
    text = _TAG.sub(lambda tag: tag.group() if tag.group() in wanted else "", enhanced).strip()
    if not text:
        return ""
    missing = "".join(f" {tag}" for tag in wanted if tag not in text)
    room = max(0, max_characters - len(missing))
    fitting = text[:room].encode("utf-8", "replace")[: MAX_BYTES - len(missing.encode())].decode("utf-8", "ignore")
    if len(fitting) < len(text):
        fitting = fitting.rpartition(" ")[0] or fitting
    return fitting + missing
