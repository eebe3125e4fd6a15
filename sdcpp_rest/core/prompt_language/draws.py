"""Draws random words and numbers, the same ones for the same seed on every version of Python.

Built on ``random.Random.random`` alone, the one method whose sequence Python promises to keep.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

_NUMBER = r"\d{1,15}(?:\.\d{1,15})?|\.\d{1,15}"
_NUMBER_OR_RANGE = re.compile(rf"\s*(?P<low>{_NUMBER})\s*(?:-\s*(?P<high>{_NUMBER})\s*)?")


class NumberRange(NamedTuple):
    """Numbers from ``low`` to ``high``, both included, in units of the last of ``decimals`` places."""

    low: int
    high: int
    decimals: int


def read_range(text: str) -> NumberRange | None:
    """The range that ``1-5`` or ``0.8-1.2`` is; ``None`` for everything else, single numbers included."""
    match = _NUMBER_OR_RANGE.fullmatch(text)
    if match is None or match["high"] is None:
        return None
    places = [len(number.partition(".")[2]) for number in (match["low"], match["high"])]
    decimals = max(places)
    ends = sorted(_in_units(match[name], decimals) for name in ("low", "high"))
    return NumberRange(ends[0], ends[1], decimals)


def _in_units(number: str, decimals: int) -> int:
    whole, _, fraction = number.partition(".")
    return int((whole or "0") + fraction.ljust(decimals, "0"))


class Draws:
    """Draws from one seeded generator. ``by_index``: entries are not drawn but counted off, as seed mod count."""

    def __init__(self, seed: int, *, by_index: bool = False) -> None:
        self._seed = seed
        self._by_index = by_index
        self._generator = random.Random(seed)
        self.count = 0
        """How often something was drawn."""

    def index(self, count: int) -> int:
        """One of 0..``count``-1, which must not be 0."""
        self.count += 1
        return self._seed % count if self._by_index else self._below(count)

    def number(self, numbers: NumberRange) -> str:
        """A number of the range, with as many decimals as the range was written with."""
        self.count += 1
        units = numbers.low + self._below(numbers.high - numbers.low + 1)
        if not numbers.decimals:
            return str(units)
        digits = str(units).rjust(numbers.decimals + 1, "0")
        return f"{digits[: -numbers.decimals]}.{digits[-numbers.decimals :]}"

    def amount(self, text: str) -> int | None:
        """How many ``3`` or ``1-3`` is, decimals cut off; ``None`` where it is no number."""
        match = _NUMBER_OR_RANGE.fullmatch(text)
        if match is None:
            return None
        numbers = read_range(text)
        return int(float(match["low"] if numbers is None else self.number(numbers)))

    def _below(self, count: int) -> int:
        return min(count - 1, int(self._generator.random() * count))
