"""Reads a prompt's weights, ``(word:1.2)``, ``[word]`` and ``BREAK``, as the library does before it looks for tokens.

Each part is tokenized for itself, so that where one ends decides how words are cut. Pure functions over text.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\\[()\[\]\\]?|\(|\[|:(?P<weight>[+-]?[.0-9]+)\)|\)|\]|(?P<stop>BREAK)(?![A-Za-z0-9_])|[^\\()\[\]:B]+|:|B"
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_FLOAT = struct.Struct("f")


@dataclass
class Part:
    """A part of a prompt with one weight; ``places`` says where in the prompt each of its characters stands."""

    text: str
    weight: float
    places: list[int]

    @property
    def is_break(self) -> bool:
        """Whether it ends a chunk. A weight around it makes it a word like any other."""
        return self.text == "BREAK" and self.weight == -1.0


def split_by_weight(prompt: str) -> list[Part]:
    """The parts of ``prompt`` in order; an empty one for a prompt without any."""
    parts: list[Part] = []
    # Where brackets have opened, by the number of parts that were there.
    round_opened: list[int] = []
    square_opened: list[int] = []
    position = 0
    while match := _TOKEN.match(prompt, position):
        position = match.end()
        token, weight = match.group(), match["weight"]
        if token == "(":
            round_opened.append(len(parts))
        elif token == "[":
            square_opened.append(len(parts))
        elif weight is not None:
            if round_opened:
                _multiply(parts, round_opened.pop(), _read(weight))
        elif token == ")" and round_opened:
            _multiply(parts, round_opened.pop(), _UP)
        elif token == "]" and square_opened:
            _multiply(parts, square_opened.pop(), _DOWN)
        elif match["stop"]:
            parts.append(Part(token, -1.0, [*range(match.start(), match.end())]))
        else:
            # Of all that is escaped, an opening round bracket alone loses its backslash.
            begin = match.start() + (token == "\\(")
            parts.append(Part(prompt[begin:position], 1.0, [*range(begin, position)]))
    for opened in round_opened:
        _multiply(parts, opened, _UP)
    for opened in square_opened:
        _multiply(parts, opened, _DOWN)
    return _join(parts) or [Part("", 1.0, [])]


def round_float(number: float) -> float:
    """``number`` as a ``float`` of the library holds it."""
    try:
        rounded: float = _FLOAT.unpack(_FLOAT.pack(number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return rounded


_UP = round_float(1.1)
_DOWN = round_float(1 / _UP)


def _read(weight: str) -> float:
    number = _NUMBER.match(weight)
    return round_float(float(number.group())) if number is not None else 1.0


def _multiply(parts: list[Part], begin: int, factor: float) -> None:
    for part in parts[begin:]:
        part.weight = round_float(part.weight * factor)


def _join(parts: list[Part]) -> list[Part]:
    joined: list[Part] = []
    for part in parts:
        if joined and joined[-1].weight == part.weight:
            joined[-1].text += part.text
            joined[-1].places += part.places
        else:
            joined.append(part)
    return joined
