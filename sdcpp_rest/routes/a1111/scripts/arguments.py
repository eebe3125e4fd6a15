"""Reads the arguments of scripts, as ``script_args`` has them: a list whose places have names, kinds and limits; and
describes them for ``GET /sdapi/v1/script-info``. Knows no single script and draws nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from sdcpp_rest.routes.a1111.errors import Unreadable
from sdcpp_rest.routes.a1111.reading import Real, Whole, Words

Kind = Literal["switch", "whole", "real", "text", "word", "index", "texts", "note"]

_SHOWN_CHARACTERS = 100
_SHOWN_CHOICES = 60
_READERS: dict[str, TypeAdapter[Any]] = {
    "switch": TypeAdapter(bool),
    "whole": TypeAdapter(Whole),
    "real": TypeAdapter(Real),
    "text": TypeAdapter(Words),
}
_WANTED = {"switch": "true or false", "whole": "a whole number", "real": "a number", "text": "text"}


@dataclass(frozen=True)
class Argument:
    """One place of a script's arguments.

    ``name`` is what the script calls it, ``label`` what pages show, ``value`` what it is unless somebody says
    otherwise. Of the kinds, ``word`` is one of ``choices``, ``index`` the number of one of them (or its text),
    ``texts`` a list, and a ``note`` is not looked at.
    """

    name: str
    label: str
    kind: Kind
    value: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] | None = None

    def describe(self) -> dict[str, Any]:
        """The argument as ``script-info`` tells it."""
        choices = [*self.choices] if self.choices is not None else [] if self.kind == "texts" else None
        value = self.choices[self.value] if self.kind == "index" and self.choices else self.value
        return {
            "label": self.label,
            "value": value,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "step": self.step,
            "choices": choices,
        }


def read_arguments(title: str, arguments: Sequence[Argument], sent: Sequence[Any]) -> dict[str, Any]:
    """The values by their names, each of its kind; a null is what the argument is by default.

    Raises Unreadable, which names the argument, the value and what is allowed.
    """
    if len(sent) != len(arguments):
        names = ", ".join(one.name for one in arguments)
        raise refusal(None, f"{title} takes {len(arguments)} arguments ({names}); {len(sent)} were sent")
    return {
        one.name: _read(title, one, place, one.value if value is None else value)
        for place, (one, value) in enumerate(zip(arguments, sent, strict=True))
    }


def refusal(place: int | None, message: str) -> Unreadable:
    """The error about a script's argument at ``place``, or about them all."""
    where: list[str | int] = ["body", "script_args", *([place] if place is not None else [])]
    return Unreadable([{"loc": where, "msg": message, "type": "value_error"}])


def shorten(value: Any) -> str:
    """``value`` as a message shows it."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."


def split_values(text: str) -> list[str]:
    """A line of values with commas in between; those with commas inside are quoted. Raises ValueError."""
    try:
        rows = [*csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)]
    except csv.Error:
        raise ValueError("text whose quotes match") from None
    return [value.strip() for row in rows for value in row]


def join_values(values: Sequence[str]) -> str:
    """Values as `split_values` reads them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def _read(title: str, argument: Argument, place: int, value: Any) -> Any:
    if argument.kind == "note":
        return None
    try:
        if argument.kind == "texts":
            return _read_texts(value)
        if argument.kind in ("word", "index"):
            return _read_choice(argument, value)
        return _read_plain(argument, value)
    except ValueError as error:
        raise refusal(place, f"{title}: {argument.name} is {shorten(value)}; it must be {error}") from None


def _read_plain(argument: Argument, value: Any) -> Any:
    """Raises ValueError with what is allowed."""
    low, high = argument.minimum, argument.maximum
    allowed = _WANTED[argument.kind] + (f" from {low:g} to {high:g}" if low is not None and high is not None else "")
    is_switch = argument.kind == "switch"
    if isinstance(value, bool) and not is_switch:
        raise ValueError(allowed)
    if isinstance(value, str) and is_switch and not value.strip():
        # What a page's form sends for a box that nobody ticked.
        return False
    try:
        found = _READERS[argument.kind].validate_python(value)
    except ValidationError:
        raise ValueError(allowed) from None
    if (low is not None and found < low) or (high is not None and found > high):
        raise ValueError(allowed)
    return found


def _read_choice(argument: Argument, value: Any) -> Any:
    """One of the choices, or its number. Raises ValueError with what is allowed."""
    choices = argument.choices or ()
    listed = ", ".join(choices[:_SHOWN_CHOICES]) + (", ..." if len(choices) > _SHOWN_CHOICES else "")
    is_index = argument.kind == "index"
    if isinstance(value, str):
        folded = value.strip().casefold()
        for number, choice in enumerate(choices):
            if choice.casefold() == folded:
                return number if is_index else choice
    if is_index and not isinstance(value, bool):
        try:
            number = int(_READERS["whole"].validate_python(value))
        except ValidationError:
            number = -1
        if 0 <= number < len(choices):
            return number
    numbers = f"a number from 0 to {len(choices) - 1}, or " if is_index else ""
    raise ValueError(f"{numbers}one of {listed}")


def _read_texts(value: Any) -> list[str]:
    """Raises ValueError with what is allowed."""
    if isinstance(value, str):
        return split_values(value)
    wanted = "a list of texts"
    if not isinstance(value, list) or any(isinstance(one, (bool, dict, list)) or one is None for one in value):
        raise ValueError(wanted)
    return [str(one) for one in value]
