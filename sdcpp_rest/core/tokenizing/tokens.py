"""Defines what every tokenizer answers: tokens with the places where they begin, and whether that is certain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Tokens(NamedTuple):
    """The tokens of a text, by the index of the character that each begins at; ``is_exact`` is false where the library
    itself leaves to chance how it cuts."""

    starts: Sequence[int]
    is_exact: bool = True


class Tokenizer(Protocol):
    """Cuts a text into tokens."""

    def tokenize(self, text: str) -> Tokens: ...


def split_specials(text: str, specials: re.Pattern[str] | None) -> Iterator[tuple[int, str, bool]]:
    """The pieces of ``text`` with their places, and whether each is one of ``specials``."""
    position = 0
    for match in specials.finditer(text) if specials is not None else ():
        if match.start() > position:
            yield position, text[position : match.start()], False
        yield match.start(), match.group(), True
        position = match.end()
    if position < len(text):
        yield position, text[position:], False


def special_pattern(specials: Sequence[str]) -> re.Pattern[str] | None:
    """What finds ``specials``: the leftmost, and of several there the first of the list."""
    return re.compile("|".join(map(re.escape, specials))) if specials else None
