"""Reads the parameters of a request: ids stripped to their letters, values from their text, names of models loosely.

What is wrong is told in SwarmUI's words. Knows no request, and nothing of what the values do.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.http.number_texts import read_decimal, read_whole
from sdcpp_rest.routes.swarmui.parameters import BY_ID, NOT_PARAMETERS, OLD_IDS, TOLD, Parameter

log = logging.getLogger(__name__)

SEPARATOR = "\n|||\n"
_NOT_LETTERS = re.compile(r"[^a-z]")
_LOOSE = re.compile(r"[\s()\[\]]")
_SHOWN_CHOICES = 20

Value = str | int | float | bool | tuple[str, ...]
Lists = Mapping[str, Sequence[str]]
"""What can be chosen from, by the name that `Parameter.choices` has."""


@dataclass
class Given:
    """The parameters of one request, by id. ``unknown``: ids that have no effect here, though pictures depend on
    them."""

    values: dict[str, Value] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def text(self, id: str, default: str = "") -> str:
        return str(self.values.get(id, default))

    def number(self, id: str, default: float) -> float:
        value = self.values.get(id, default)
        return float(value) if isinstance(value, (int, float)) else default

    def whole(self, id: str, default: int) -> int:
        value = self.values.get(id, default)
        return value if isinstance(value, int) else default

    def is_on(self, id: str) -> bool:
        return self.values.get(id) is True

    def items(self, id: str) -> tuple[str, ...]:
        value = self.values.get(id, ())
        return value if isinstance(value, tuple) else ()


def clean_id(name: str) -> str:
    """A parameter's id from any spelling of it: its letters, in lower case."""
    letters = _NOT_LETTERS.sub("", name.lower())
    return OLD_IDS.get(letters, letters)


def read_parameters(given: Mapping[str, Any], lists: Lists) -> Given:
    """The parameters among a request's fields. Raises InvalidRequest for a value that its parameter cannot have."""
    found = Given()
    for name, value in given.items():
        if name not in NOT_PARAMETERS and value is not None:
            set_parameter(found, name, value, lists)
    return found


def set_parameter(found: Given, name: str, value: Any, lists: Lists) -> None:
    """Put one value among ``found``, or take it out where it means "not given". Raises InvalidRequest."""
    id = clean_id(name)
    parameter = BY_ID.get(id)
    if parameter is None:
        # A page sends zeros and empty texts for what nobody has set.
        if id in TOLD and _as_text(value).strip("0,|\n ").lower() not in ("", "false", "none", "(none)"):
            found.unknown.append(id)
        log.debug("SwarmUI parameter %s is not here", shorten(name))
        return
    text = _as_text(value)
    try:
        read = _read(parameter, text, lists)
    except _Wrong as wrong:
        raise InvalidRequest(f"Invalid value for parameter {parameter.name}: {wrong}", field=id) from None
    if text == parameter.nothing or read == "" or read == ():
        found.values.pop(id, None)
    else:
        found.values[id] = read


def find_loosely(wanted: str, names: Sequence[str]) -> str | None:
    """The name that is meant: the same but for case, blanks, brackets and ``.safetensors``, else the shortest that
    contains it."""
    loose = _loosen(wanted)
    if not loose:
        return None
    by_looseness = {_loosen(name): name for name in reversed(names)}
    if loose in by_looseness:
        return by_looseness[loose]
    containing = [name for name in names if loose in _loosen(name)]
    return min(containing, key=len) if containing else None


class _Wrong(Exception):
    """A value that its parameter cannot have, in words."""


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return SEPARATOR.join(_as_text(one) for one in value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _read(parameter: Parameter, text: str, lists: Lists) -> Value:
    kind = parameter.kind
    if kind == "integer":
        return _read_integer(parameter, text)
    if kind == "decimal":
        return _read_decimal(parameter, text)
    if kind == "boolean":
        folded = text.strip().lower()
        if folded not in ("true", "false"):
            raise _Wrong(_words("boolean value", parameter, text, "must be exactly 'true' or 'false'"))
        return folded == "true"
    if kind == "dropdown":
        return _read_choice(parameter, text, lists)
    if kind == "model":
        return _read_model(parameter, text, lists)
    if kind == "list":
        return tuple(one.strip() for part in text.split(SEPARATOR.strip()) for one in part.split(",") if one.strip())
    if kind == "image_list":
        parts = text.split(SEPARATOR.strip()) if SEPARATOR.strip() in text else text.split("|")
        return tuple(one.strip() for one in parts if one.strip())
    return text


def _read_integer(parameter: Parameter, text: str) -> int:
    number = read_whole(text)
    if number is None:
        raise _Wrong(_words("integer value", parameter, text, "must be a valid integer (eg '0', '3', '-5', etc)"))
    if not parameter.least <= number <= parameter.most:
        allowed = f"must be between {parameter.least:.0f} and {parameter.most:.0f}"
        raise _Wrong(_words("integer value", parameter, text, allowed))
    return number


def _read_decimal(parameter: Parameter, text: str) -> float:
    number = read_decimal(text)
    if number is None:
        allowed = "must be a valid decimal (eg '0.0', '3.5', '-5.2', etc)"
        raise _Wrong(_words("decimal value", parameter, text, allowed))
    if not parameter.least <= number <= parameter.most:
        allowed = f"must be between {parameter.least:g} and {parameter.most:g}"
        raise _Wrong(_words("decimal value", parameter, text, allowed))
    return number


def _read_choice(parameter: Parameter, text: str, lists: Lists) -> str:
    names = lists.get(parameter.choices or "", ())
    found = find_loosely(text, names)
    if found is None:
        shown = "`, `".join(names[:_SHOWN_CHOICES])
        raise _Wrong(_words("value", parameter, text, f"must be one of: `{shown}`"))
    return found


def _read_model(parameter: Parameter, text: str, lists: Lists) -> str:
    if text in (parameter.nothing, "") or text.lower() in ("none", "(none)", "automatic"):
        return "" if text.lower() not in ("none", "automatic") else text.capitalize()
    found = find_loosely(text, lists.get(parameter.choices or "", ()))
    if found is None:
        raise _Wrong(_words("model value", parameter, text, "are you sure that model name is correct?"))
    return found


def _words(what: str, parameter: Parameter, text: str, allowed: str) -> str:
    return f"Invalid {what} for param {parameter.name} - '{shorten(text)}' - {allowed}"


def _loosen(name: str) -> str:
    folded = _LOOSE.sub("", name.lower().replace("\\", "/"))
    return folded.removesuffix(".safetensors")
