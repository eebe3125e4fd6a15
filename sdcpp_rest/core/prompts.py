"""Parses prompts: finds LoRA tags, and checks attention weights that the library must be able to read.

Pure functions over text. It must not know which LoRAs exist; that is the model library's to say.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.errors import InvalidRequest

MAX_CHARACTERS = 16_000
MAX_BYTES = 20_000
"""The library walks a prompt's UTF-8 bytes with a recursive regular expression: near 30,000 the stack overflows."""

_HIGH_NOISE = "|high_noise|"
# As people write it: in any case, with blanks, and by the name that LyCORIS files once had in other front ends.
_TAG = re.compile(r"<[ \t]*(?P<kind>lora|lyco|hypernet)[ \t]*:(?P<body>[^<>]*)>", re.IGNORECASE)


class LoraTag(Frozen):
    """One ``<lora:name:weight>`` as written; ``is_high_noise`` for ``<lora:|high_noise|name:weight>``."""

    name: str
    weight: float = 1.0
    is_high_noise: bool = False


def parse_loras(prompt: str) -> tuple[list[LoraTag], str]:
    """The LoRA tags of ``prompt`` in order, and the prompt without them (and without the blanks before them).

    The weight is 1 where none is given. Raises InvalidRequest for a tag without a name or with a weight that is no
    number.
    """
    tags = [_tag(match["body"]) for match in _TAG.finditer(prompt) if match["kind"].lower() != "hypernet"]
    return tags, without_tags(prompt)


def lora_tag(name: str, weight: float, *, is_high_noise: bool = False) -> str:
    """The tag that `parse_loras` reads as this. Raises ValueError for a name that cannot stand in one."""
    if any(character in name for character in "<>:") or not name.strip():
        raise ValueError(f"{name!r} cannot be named in a prompt")
    return f"<lora:{_HIGH_NOISE if is_high_noise else ''}{name}:{weight:.15g}>"


def without_tags(prompt: str) -> str:
    """``prompt`` without its tags of LoRAs and hypernetworks, and without the blanks before them."""
    kept = []
    position = 0
    for match in _TAG.finditer(prompt):
        kept.append(prompt[position : match.start()].rstrip())
        position = match.end()
    return "".join([*kept, prompt[position:]]).strip() if kept else prompt


def places_without_tags(prompt: str) -> list[int]:
    """Where in ``prompt`` the characters stand that `without_tags` leaves."""
    kept: list[int] = []
    position = 0
    tags = [*_TAG.finditer(prompt)]
    for match in tags:
        end = position + len(prompt[position : match.start()].rstrip())
        kept += range(position, end)
        position = match.end()
    kept += range(position, len(prompt))
    if not tags:
        return kept
    text = "".join(prompt[place] for place in kept)
    begin = len(text) - len(text.lstrip())
    return kept[begin : begin + len(text.strip())]


def tag_warnings(prompt: str, negative_prompt: str) -> list[str]:
    """Sentences about tags that are understood and have no effect where they stand."""
    found = []
    if any(match["kind"].lower() == "hypernet" for match in _TAG.finditer(prompt + negative_prompt)):
        found.append("Hypernetworks (<hypernet:...>) cannot be used; their tags were taken out of the prompt.")
    if any(match["kind"].lower() != "hypernet" for match in _TAG.finditer(negative_prompt)):
        found.append(
            "LoRAs in negative_prompt have no effect; their tags were taken out. Name them in prompt, where a negative "
            "weight works against what they were taught."
        )
    return found


def _tag(body: str) -> LoraTag:
    body = body.strip()
    is_high_noise = body.startswith(_HIGH_NOISE)
    name, colon, weight = body.removeprefix(_HIGH_NOISE).partition(":")
    name = name.strip()
    shown = f"<lora:{body[:100]}>"
    if not name:
        raise InvalidRequest(f"prompt: {shown} names no LoRA; expected <lora:name:weight>", field="prompt", value=shown)
    if not colon:
        return LoraTag(name=name, is_high_noise=is_high_noise)
    try:
        number = float(weight) if weight.isascii() and "_" not in weight else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(
            f"prompt: {shown} has the weight {weight[:40]!r}; expected a number such as 0.8",
            field="prompt",
            value=shown,
        )
    return LoraTag(name=name, weight=number, is_high_noise=is_high_noise)


def check_prompt(field: str, text: str, limit: int = MAX_CHARACTERS) -> None:
    """Refuse a text that the library cannot take: too long, unencodable, or with an attention weight it cannot read.

    ``limit`` in characters. The text is checked as written and as it is without its LoRA tags.
    Raises InvalidRequest naming ``field``.
    """
    if len(text) > limit:
        raise InvalidRequest(
            f"{field}: {len(text)} characters are too many; at most {limit} are allowed",
            field=field,
            value=len(text),
            allowed=f"at most {limit} characters",
        )
    if "\0" in text:
        raise InvalidRequest(f"{field}: holds a NUL character at position {text.index(chr(0))}", field=field)
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"{field}: holds half a character (a lone surrogate) at position {error.start}", field=field
        ) from None
    if len(encoded) > MAX_BYTES:
        raise InvalidRequest(
            f"{field}: {len(encoded)} bytes of UTF-8 are too many; at most {MAX_BYTES} are allowed",
            field=field,
            value=len(encoded),
            allowed=f"at most {MAX_BYTES} bytes",
        )
    _check_weights(field, text)
    if _TAG.search(text):
        # Taking a tag out can close a weight that it kept apart: "(a:<lora:x>.)" becomes "(a:.)".
        _check_weights(field, without_tags(text))


_ATTENTION = re.compile(r"\\[()\[\]\\]?|\(|:([+-]?[.0-9]+)\)|\)")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_FLOAT32_LARGEST = Decimal("3.40282346e38")
_FLOAT32_SMALLEST = Decimal("1.17549436e-38")


def _check_weights(field: str, text: str) -> None:
    """Follow the library's tokenizer as far as round brackets go: only a weight that closes one is read as a number."""
    open_brackets = 0
    for match in _ATTENTION.finditer(text):
        token, weight = match.group(), match.group(1)
        if token == "(":
            open_brackets += 1
        elif weight is not None:
            if open_brackets:
                open_brackets -= 1
                _check_weight(field, weight)
        elif token == ")" and open_brackets:
            open_brackets -= 1


def _check_weight(field: str, weight: str) -> None:
    number = _NUMBER.match(weight)
    if number is None:
        raise _bad_weight(field, weight, "is not a number")
    size = abs(Decimal(number.group()))
    if size > _FLOAT32_LARGEST:
        raise _bad_weight(field, weight, "is too large")
    if 0 < size < _FLOAT32_SMALLEST:
        raise _bad_weight(field, weight, "is too close to zero")


def _bad_weight(field: str, weight: str, why: str) -> InvalidRequest:
    shown = weight if len(weight) <= 60 else f"{weight[:28]}...{weight[-28:]}"
    return InvalidRequest(
        f"{field}: the attention weight in '(...:{shown})' {why}; "
        "write a number such as 1.2, or \\( and \\) for plain brackets",
        field=field,
        value=shown,
    )
