"""Resolves the prompt language of SwarmUI's requests: what a picture's prompts become, and what they set besides.

Knows parameters and where names are looked up; submits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.prompt_language.expand import Expanded, expand
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui.parameter_reading import SEPARATOR, Given, Lists, Value, set_parameter
from sdcpp_rest.routes.swarmui.parameters import BY_ID
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.models.wildcards import Wildcards
from sdcpp_rest.services.submission.prompt_surroundings import PromptSurroundings

FindPreset = Callable[[str], "Mapping[str, str] | None"]
"""The parameters of a preset by its title, by id; ``None`` for an unknown one."""


@dataclass(frozen=True)
class Worded:
    """A picture's parameters with its prompts as they are drawn, and what is told about that in its text."""

    given: Given
    extra: Mapping[str, Any]


class Wording:
    """Resolves prompts against this server's wildcards, LoRAs, embeddings and presets."""

    def __init__(self, library: ModelLibrary, wildcards: Wildcards, find_preset: FindPreset, lists: Lists) -> None:
        self._library = library
        self._wildcards = wildcards
        self._find_preset = find_preset
        self._lists = lists

    def resolve(self, given: Given, seed: int, index: int, spec: LoadSpec | None) -> Worded:
        """The words of picture ``index``, whose seed is ``seed``. Raises InvalidRequest."""
        prompt, negative = given.text("prompt"), given.text("negativeprompt")
        surroundings = PromptSurroundings(
            self._library,
            self._wildcards,
            spec,
            parameter=lambda id: _text_of(given, id),
            preset=self._find_preset,
            loras=given.items("loras"),
        )
        expanded = expand(
            prompt,
            negative,
            surroundings,
            seed=_choose_seed(given, seed, index),
            by_index=given.text("wildcardseedbehavior") == "Index",
        )
        worded = Given(dict(given.values), list(given.unknown))
        for id, text in expanded.parameters.items():
            set_parameter(worded, id, text, self._lists)
        _set_text(worded, "prompt", expanded.prompt)
        _set_text(worded, "negativeprompt", expanded.negative_prompt)
        _add_loras(worded, expanded)
        return Worded(worded, _describe(expanded, prompt, negative))

    def fill(self, prompt: str, seed: int) -> str:
        """A prompt alone, resolved: what TestPromptFill shows. Raises InvalidRequest."""
        return self.resolve(Given({"prompt": prompt}), seed, 0, None).given.text("prompt")


def apply_presets(given: Given, titles: list[str], find_preset: FindPreset, lists: Lists) -> None:
    """Put the values of presets over ``given``, in their order. In prompts ``{value}`` stands for what was written
    before. Raises InvalidRequest for a title that nobody knows."""
    for title in titles:
        values = find_preset(title)
        if values is None:
            raise InvalidRequest(f"Invalid preset '{title[:80]}': there is none of that title", field="presets")
        for id, text in values.items():
            if id in ("prompt", "negativeprompt") and "{value}" in text:
                text = text.replace("{value}", given.text(id))
            set_parameter(given, id, text, lists)


def _choose_seed(given: Given, seed: int, index: int) -> int:
    chosen = given.whole("wildcardseed", -1)
    if chosen >= 0:
        return chosen + index
    return seed + (given.whole("variationseed", 0) if "variationseed" in given.values else 0)


def _text_of(given: Given, id: str) -> str | None:
    if id not in BY_ID:
        return None
    value = given.values.get(id)
    return BY_ID[id].default if value is None else _as_text(value)


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    return SEPARATOR.join(value) if isinstance(value, tuple) else str(value)


def _set_text(given: Given, id: str, text: str) -> None:
    if text:
        given.values[id] = text
    else:
        given.values.pop(id, None)


def _add_loras(given: Given, expanded: Expanded) -> None:
    """LoRAs of tags come behind those that were chosen beside the prompt."""
    if not expanded.loras:
        return
    names, weights = list(given.items("loras")), list(given.items("loraweights"))
    weights = [*weights, *["1"] * len(names)][: len(names)]
    names += [lora.name for lora in expanded.loras]
    weights += [f"{lora.weight:g}" for lora in expanded.loras]
    given.values |= {"loras": tuple(names), "loraweights": tuple(weights)}


def _describe(expanded: Expanded, prompt: str, negative: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if expanded.prompt != prompt:
        told["original_prompt"] = prompt
    if expanded.negative_prompt != negative:
        told["original_negativeprompt"] = negative
    if expanded.used_wildcards:
        told["used_wildcards"] = list(expanded.used_wildcards)
    if expanded.loras:
        told["prompted_loras"] = [lora.name for lora in expanded.loras]
    warnings = list(expanded.warnings)
    if expanded.hires_prompt is not None:
        warnings.append("<refiner> and the text of its section were cut out: the second pass has the picture's prompt.")
    if warnings:
        told["parser_warnings"] = warnings
    return told
