"""Holds what the tags of one request share: variables, macros, what they found and set, and the warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sdcpp_rest.core.prompt_language.budget import Budget
from sdcpp_rest.core.prompt_language.draws import Draws
from sdcpp_rest.core.prompt_language.marks import MAIN
from sdcpp_rest.core.prompt_language.surroundings import Surroundings
from sdcpp_rest.core.prompt_language.syntax import Node, parse

_MAX_WARNINGS = 50
_MAX_QUOTED = 100


@dataclass(frozen=True)
class PromptLora:
    """A LoRA that a tag asks for. ``text_encoder_weight`` of ``None``: as ``weight``."""

    name: str
    weight: float
    text_encoder_weight: float | None = None


@dataclass(frozen=True)
class Missing:
    """Something that a tag asks for and that is not there: what kind of thing, its name as written, and what is said
    about it."""

    kind: str
    name: str
    sentence: str


@dataclass
class Around:
    """What presets write around a prompt: before and after it where they say so, behind it where they do not."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)


class Warnings:
    """Collects sentences, each once, and no more than anybody reads."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}
        self._left_out = 0

    def add(self, sentence: str) -> None:
        if sentence in self._sentences:
            return
        if len(self._sentences) < _MAX_WARNINGS:
            self._sentences[sentence] = None
        else:
            self._left_out += 1

    def all(self) -> tuple[str, ...]:
        more = [f"{self._left_out} more warnings about the prompt were left out."] if self._left_out else []
        return (*self._sentences, *more)


@dataclass
class State:
    """What the tags of a prompt and its negative prompt share. ``around`` is by the ids of both prompts;
    ``section`` is the one that is being written."""

    world: Surroundings
    draws: Draws
    budget: Budget
    braces: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    macros: dict[str, Sequence[Node]] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    loras: list[PromptLora] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    presets: list[str] = field(default_factory=list)
    open_presets: set[str] = field(default_factory=set)
    used_wildcards: list[str] = field(default_factory=list)
    around: dict[str, Around] = field(default_factory=dict)
    section: str = MAIN
    warnings: Warnings = field(default_factory=Warnings)
    missing: dict[tuple[str, str], Missing] = field(default_factory=dict)

    def warn(self, sentence: str) -> None:
        """Add a warning about the field that is being read."""
        self.warnings.add(f"{self.budget.field}: {sentence}")

    def miss(self, kind: str, name: str, so: str) -> None:
        """Warn that there is no ``kind`` called ``name``; ``so`` ends the sentence."""
        sentence = f"there is no {kind} {quote(name)}{so}"
        self.warn(sentence)
        if len(self.missing) < _MAX_WARNINGS:
            self.missing.setdefault((kind, name), Missing(kind, name[:_MAX_QUOTED], f"{self.budget.field}: {sentence}"))

    def parse(self, text: str) -> list[Node]:
        """Read text that comes from a wildcard or a preset."""
        self.budget.spend_characters(len(text))
        return parse(text.replace("\0", ""), braces=self.braces)


def quote(text: str) -> str:
    """``text`` as sentences quote it."""
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}...")
