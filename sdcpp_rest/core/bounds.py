"""Marks the parameters' annotations with limits: how low and how high a number may be, how long a text, which words.

A field's marks are the one place where its limits stand: wire models publish them, checks refuse by them. Pydantic
does not enforce them, so that a job that was stored under wider limits can still be read.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel

from sdcpp_rest.errors import InvalidRequest

if TYPE_CHECKING:
    from sdcpp_rest.config import LimitsConfig

# Of a refused value in its error message.
_SHOWN_CHARACTERS = 100

M = TypeVar("M")


MAX_RULES_LENGTH = 2_000
"""Of ``tensor_type_rules``. Here, and not with the rules: the engine need not import what knows their weight types."""


@dataclass(frozen=True)
class Bounds:
    """Bounds a number, or each number of a list: from ``low`` to ``high``, or to the configured ``limits.<limit>``.

    Both ends are allowed, and so is ``besides``, a value outside of them that means "decide yourself".
    """

    low: float
    high: float = math.inf
    limit: str = ""
    besides: float | None = None

    @property
    def lowest(self) -> float:
        """The least of all values that are allowed."""
        return self.low if self.besides is None else min(self.low, self.besides)

    def highest(self, limits: LimitsConfig | None = None) -> float:
        """``high``, or the configured limit. Raises AttributeError without ``limits`` where there is one."""
        highest: float = getattr(limits, self.limit) if self.limit else self.high
        return highest

    def allow(self, value: float, limits: LimitsConfig | None = None) -> bool:
        """Whether ``value`` is inside; NaN never is."""
        return value == self.besides or self.low <= value <= self.highest(limits)

    def describe(self, limits: LimitsConfig | None = None) -> str:
        """``from 1 to 10000``, or ``-1 (automatic) or from 1 to 256``."""
        automatic = "" if self.besides is None else f"{self.besides:g} (automatic) or "
        return f"{automatic}from {self.low:g} to {self.highest(limits):g}"


@dataclass(frozen=True)
class Length:
    """Bounds the characters of a text or the items of a list: at most ``longest``, or the configured
    ``limits.<limit>``. ``items`` is what a refusal calls the items."""

    longest: int = sys.maxsize
    limit: str = ""
    items: str = "items"

    def longest_under(self, limits: LimitsConfig | None = None) -> int:
        """``longest``, or the configured limit. Raises AttributeError without ``limits`` where there is one."""
        longest: int = getattr(limits, self.limit) if self.limit else self.longest
        return longest


@dataclass(frozen=True)
class Words:
    """Names the only texts that are allowed."""

    allowed: tuple[str, ...]


@dataclass(frozen=True)
class Marks:
    """All marks of one field; ``each`` bounds the items of a list."""

    bounds: Bounds | None = None
    each: Bounds | None = None
    length: Length | None = None
    words: Words | None = None


@functools.cache
def marks_of(params: type[BaseModel]) -> Mapping[str, Marks]:
    """The marks of every field of ``params`` that has any, in the order of the fields."""
    found = {}
    for name, field in params.model_fields.items():
        items = [mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ())]
        marks = Marks(
            bounds=_first(Bounds, field.metadata),
            each=_first(Bounds, items),
            length=_first(Length, field.metadata),
            words=_first(Words, field.metadata),
        )
        if marks != Marks():
            found[name] = marks
    return found


def longest_of(params: type[BaseModel], name: str, limits: LimitsConfig | None = None) -> int:
    """The most characters or items of a field of ``params``. Raises LookupError for a field without a `Length`."""
    length = marks_of(params)[name].length
    if length is None:
        raise LookupError(f"{params.__name__}.{name} has no length")
    return length.longest_under(limits)


def check_bounds(params: BaseModel, limits: LimitsConfig, prefix: str = "") -> None:
    """Refuse the first field whose number, or one of whose numbers, is out of its bounds; ``None`` is in all bounds.

    Raises InvalidRequest naming ``prefix`` and the field, the value and what is allowed.
    """
    for name, marks in marks_of(type(params)).items():
        value = getattr(params, name)
        if value is not None and (marks.bounds is not None or marks.each is not None):
            _check_marked(marks, name, value, limits, prefix)


def check_value(
    params: type[BaseModel], name: str, value: Any, limits: LimitsConfig | None = None, prefix: str = ""
) -> None:
    """Refuse a ``value`` that is out of the bounds of a field of ``params``; see `check_bounds`."""
    if value is not None:
        _check_marked(marks_of(params)[name], name, value, limits, prefix)


def _check_marked(marks: Marks, name: str, value: Any, limits: LimitsConfig | None, prefix: str) -> None:
    if marks.bounds is not None and not marks.bounds.allow(value, limits):
        raise out_of_range(prefix + name, value, marks.bounds.describe(limits))
    if marks.each is not None:
        each, length = marks.each, marks.length or Length()
        longest = length.longest_under(limits)
        if len(value) > longest or not all(each.allow(item, limits) for item in value):
            allowed = f"at most {longest} {length.items} {each.describe(limits)}"
            raise out_of_range(prefix + name, list(value), allowed)


def out_of_range(field: str, value: Any, allowed: str) -> InvalidRequest:
    """The one sentence for a value that is not allowed: it names the field, the value and what is."""
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}..."
        value = shown
    message = f"{field} must be {allowed}, got {shown}"
    return InvalidRequest(message, field=field, value=_json_safe(value), allowed=allowed)


def _first(kind: type[M], marks: list[Any]) -> M | None:
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def _json_safe(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
