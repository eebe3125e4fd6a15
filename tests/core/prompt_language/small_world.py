"""A small world around a prompt, for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.core.prompt_language.best_match import NameIndex
from sdcpp_rest.core.prompt_language.expand import Expanded, expand
from sdcpp_rest.core.prompt_language.surroundings import FoundLora, FoundWildcard

WILDCARDS: dict[str, Sequence[str]] = {
    "animals": ["cat", "dog", "owl"],
    "colours/warm": ["red", "orange"],
    "nested": ["a <random:big|small> <wildcard:animals>"],
    "loop": ["<wc:loop>"],
    "twice": ["<wc:twice> <wc:twice>"],
    "empty": [],
}
LORAS = {"style": "in style; painted", "sub/detail": ""}
PRESETS = {
    "Oil": {"prompt": "oil painting of {value}, <random:calm,wild>", "negativeprompt": "photo, {value}", "steps": "30"},
    "Plain": {"prompt": "plain"},
    "Self": {"prompt": "deep <preset:Self> {value}"},
    "Fast": {"steps": "4", "cfgscale": "1"},
}


@dataclass
class SmallWorld:
    """Everything that prompts may name, in dictionaries."""

    wildcards: Mapping[str, Sequence[str]] = field(default_factory=lambda: WILDCARDS)
    parameters: Mapping[str, str] = field(default_factory=lambda: {"cfgscale": "7", "steps": "", "prompt": "raw"})
    presets: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: PRESETS)
    chosen_triggers: Sequence[str] = ("of the model",)

    def wildcard(self, name: str) -> FoundWildcard | None:
        found = NameIndex(self.wildcards).find(name)
        return FoundWildcard(found, self.wildcards[found]) if found else None

    def lora(self, name: str) -> FoundLora | None:
        found = NameIndex(LORAS).find(name)
        return FoundLora(found, LORAS[found]) if found else None

    def embedding(self, name: str) -> str | None:
        return {"bad": "bad_hands"}.get(name)

    def preset(self, title: str) -> Mapping[str, str] | None:
        return self.presets.get(title)

    def parameter(self, id: str) -> str | None:
        return self.parameters.get(id)

    def triggers(self) -> Sequence[str]:
        return self.chosen_triggers


def expand_here(prompt: str, negative_prompt: str = "", *, seed: int = 1, **more: Any) -> Expanded:
    """Expand a prompt in the small world."""
    return expand(prompt, negative_prompt, more.pop("world", SmallWorld()), seed=seed, **more)
