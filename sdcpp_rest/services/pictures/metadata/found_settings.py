"""Collects what a file says about how it was made, under the names of our own requests.

Values are as they were found: whether they are allowed here, and which files they mean, others decide. Whatever has no
name here is kept beside them, cut to a size that fits into an answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sdcpp_rest.core.prompts import parse_loras, without_tags
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler, is_near_scheduler
from sdcpp_rest.errors import InvalidRequest

Kind = Literal["txt2img", "img2img", "txt2vid"]
Tool = Literal[
    "sdcpp-rest", "a1111", "forge", "swarmui", "comfyui", "invokeai", "fooocus", "novelai", "drawthings", "unknown"
]

MOST_LORAS = 100
_MOST_UNMAPPED = 500
_MOST_NOTES = 100
_LONGEST_PROMPT = 250_000
_MOST_ITEMS = 200
_MOST_CHARACTERS = 10_000
_DEEPEST = 6
_MOST_VALUES = 5_000
_LARGEST_INTEGER = 2**64
_SHOWN_CHARACTERS = 60
# Other programs weigh the text encoder apart: "<lora:name:0.8:0.6>".
_SECOND_WEIGHT = re.compile(r"(<(?:lora|lyco):[^<>:]{1,300}:[^<>:]{1,50}):[^<>]{0,200}>", re.IGNORECASE)
_NO_NAME = frozenset({"", "none", "automatic", "baked vae", "(none)", "default", "default (model)"})


@dataclass
class FoundFile:
    """A model file as another program calls it; ``hash`` in lower-case hex, or empty."""

    name: str = ""
    hash: str = ""


@dataclass
class FoundLora(FoundFile):
    """A LoRA and its weight."""

    weight: float = 1.0
    is_high_noise: bool = False


@dataclass
class FoundSettings:
    """What a file says. ``values``: by the names of our own requests; ``unmapped``: all else, by the tool's names."""

    tool: Tool = "unknown"
    kind: Kind = "txt2img"
    values: dict[str, Any] = field(default_factory=dict)
    unmapped: dict[str, Any] = field(default_factory=dict)
    loras: list[FoundLora] = field(default_factory=list)
    model: FoundFile = field(default_factory=FoundFile)
    vae: FoundFile = field(default_factory=FoundFile)
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: Any) -> None:
        """Keep a value, if it is one."""
        if isinstance(value, str):
            value = value.strip()
        if value is not None and value != "":
            self.values[name] = value

    def put_prompts(self, prompt: Any, negative_prompt: Any = "") -> None:
        """Keep both prompts. LoRA tags come out of the first and go among the LoRAs; in the other they mean nothing."""
        written = clean_text(read_word(prompt))
        if len(written) > _LONGEST_PROMPT:
            self.keep("prompt", written)
            self.note(f"The prompt has {len(written)} characters; it was left out.")
            written = ""
        words = _SECOND_WEIGHT.sub(r"\1>", written)
        if words != written:
            self.note("LoRAs have one weight here: the second one of a LoRA tag was left out.")
        try:
            tags, words = parse_loras(words)
        except InvalidRequest:
            self.note("A LoRA tag of the prompt cannot be read; all of its tags were left out.")
            tags, words = [], without_tags(words)
        for tag in tags:
            self.put_lora(tag.name, tag.weight, is_high_noise=tag.is_high_noise)
        self.put("prompt", words)
        self.put("negative_prompt", without_tags(clean_text(read_word(negative_prompt))))

    def put_lora(self, name: Any, weight: Any = 1.0, hash: str = "", *, is_high_noise: bool = False) -> None:
        """Keep a LoRA; one whose weight is no number gets 1."""
        name = clean_text(read_word(name))
        if name.casefold() in _NO_NAME:
            return
        if len(self.loras) >= MOST_LORAS:
            self.note(f"The file names more than {MOST_LORAS} LoRAs; the others were left out.")
            return
        number = read_float(weight)
        self.loras.append(FoundLora(name[:1_000], read_hash(hash), 1.0 if number is None else number, is_high_noise))

    def put_model(self, name: Any, hash: Any = "") -> None:
        """Keep the model's name and hash; the first one counts."""
        self.model = self.model if self.model.name else _file(name, hash)

    def put_vae(self, name: Any, hash: Any = "") -> None:
        """Keep the VAE's name, unless it says that there is none."""
        self.vae = self.vae if self.vae.name else _file(name, hash)

    def put_sampling(self, sampler: Any, scheduler: Any = "") -> None:
        """Keep sampler and scheduler by our names; a name that is not here is told, and so is what replaces it."""
        name, schedule = clean_text(read_word(sampler)), clean_text(read_word(scheduler))
        found = find_sampling(name) if name else None
        if found is not None:
            self.values["sampler"] = found.sampler
        if name and (found is None or not found.is_exact):
            self.keep("sampler", name)
            self.note(_describe_stand_in("sampler", name, found.sampler if found else None))
        chosen = find_scheduler(schedule) if schedule else found.scheduler if found else None
        if chosen is not None:
            self.values["scheduler"] = chosen
        if schedule and (chosen is None or is_near_scheduler(schedule)):
            self.keep("scheduler", schedule)
            self.note(_describe_stand_in("scheduler", schedule, chosen))

    def start_hires(self, **values: Any) -> None:
        """Say that the picture was drawn again, larger, and how."""
        self.values["hires"] = True
        for name, value in values.items():
            self.put(f"hires_{name}", value)

    def keep(self, name: str, value: Any) -> None:
        """Keep what has no name here, if it says anything."""
        if value is None or value == "":
            return
        if len(self.unmapped) < _MOST_UNMAPPED:
            self.unmapped[clean_text(str(name))[:200]] = clean_value(value)
        else:
            self.note(
                f"The file says more than {_MOST_UNMAPPED} things that are not known here; the others were left out."
            )

    def keep_rest(self, values: Mapping[Any, Any], known: frozenset[str] | set[str]) -> None:
        """Keep all of ``values`` but the ``known`` ones."""
        for name, value in values.items():
            if name not in known:
                self.keep(str(name), value)

    def note(self, sentence: str) -> None:
        """Say something once, as long as anybody reads it."""
        if len(self.notes) < _MOST_NOTES and sentence not in self.notes:
            self.notes.append(sentence)


def _describe_stand_in(what: str, name: str, ours: str | None) -> str:
    shown = name[:_SHOWN_CHARACTERS]
    if ours is None:
        return f"The {what} {shown!r} is not known here; it was left out."
    return f"The {what} {shown!r} is not here; {ours!r} is its nearest relative."


def _file(name: Any, hash: Any) -> FoundFile:
    name = clean_text(read_word(name))
    return FoundFile("" if name.casefold() in _NO_NAME else name[:1_000], read_hash(hash))


def read_json(text: str) -> Any:
    """What a text says as JSON; ``None`` where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read_object(text: str) -> dict[str, Any] | None:
    """The object that a text is; ``None`` for all else."""
    found = read_json(text) if text.lstrip()[:1] == "{" else None
    return found if isinstance(found, dict) else None


def read_word(value: Any) -> str:
    """A scalar as text; empty for anything else, and for integers of more digits than any field has."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value) if abs(value) < _LARGEST_INTEGER else ""
    return value.strip() if isinstance(value, str) else ""


def read_float(value: Any) -> float | None:
    """A finite number, also one that is text; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_hash(value: Any) -> str:
    """A hash in lower-case hex without any mark before it; empty for what is none."""
    word = read_word(value).lower().removeprefix("0x").removeprefix("sha256:").removeprefix("blake3:")
    return word if 8 <= len(word) <= 64 and all(digit in "0123456789abcdef" for digit in word) else ""


def clean_text(text: str) -> str:
    """``text`` without what no field takes: NUL characters and halves of characters."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def clean_value(value: Any) -> Any:
    """``value`` as it may stand in an answer: not too deep, long or wide, numbers that JSON has."""
    budget = [_MOST_VALUES]
    return _clean(value, _DEEPEST, budget)


def _clean(value: Any, depth: int, budget: list[int]) -> Any:
    budget[0] -= 1
    if isinstance(value, (dict, list)) and (depth <= 0 or budget[0] <= 0):
        return "..."
    if isinstance(value, dict):
        kept = list(value.items())[:_MOST_ITEMS]
        return {clean_text(str(name))[:200]: _clean(inner, depth - 1, budget) for name, inner in kept}
    if isinstance(value, list):
        return [_clean(inner, depth - 1, budget) for inner in value[:_MOST_ITEMS]]
    if isinstance(value, str):
        return clean_text(value[:_MOST_CHARACTERS])
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        return "a number with too many digits"
    return value if isinstance(value, (bool, int, float)) or value is None else str(value)[:_MOST_CHARACTERS]
