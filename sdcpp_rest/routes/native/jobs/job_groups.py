"""Reads a job's place in a group of jobs from a body. Knows no route."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from sdcpp_rest.core.job import GridAxis, JobGroup
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import show_value
from sdcpp_rest.routes.native.wire.group_bodies import (
    FIELD_CHARACTERS,
    ID_CHARACTERS,
    MOST_AXES,
    MOST_VALUES,
    VALUE_CHARACTERS,
)

_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{ID_CHARACTERS}}}")


def read_group(sent: Mapping[str, Any] | None) -> JobGroup | None:
    """Raises InvalidRequest naming the part that is wrong, its value and what is allowed."""
    if sent is None:
        return None
    for name in sent:
        if name not in ("id", "kind", "axes", "cell"):
            _refuse(f"group.{name}", sent[name], "left out: a group has id, kind, axes and cell")
    group_id, axes, cell = sent.get("id"), sent.get("axes"), sent.get("cell")
    if not isinstance(group_id, str) or not _ID.fullmatch(group_id):
        _refuse("group.id", group_id, f"1 to {ID_CHARACTERS} letters, digits, dots, dashes or underscores")
    if sent.get("kind", "grid") != "grid":
        _refuse("group.kind", sent["kind"], "'grid'")
    if not isinstance(axes, list) or not 1 <= len(axes) <= MOST_AXES:
        _refuse("group.axes", axes, f"an array of 1 to {MOST_AXES} axes")
    read = tuple(_read_axis(f"group.axes[{number}]", axis) for number, axis in enumerate(axes))
    allowed = f"an array of {len(read)} indices from 0, one for each axis and below the number of its values"
    if not isinstance(cell, list) or len(cell) != len(read):
        _refuse("group.cell", cell, allowed)
    for index, axis in zip(cell, read, strict=True):
        if type(index) is not int or not 0 <= index < len(axis.values):
            _refuse("group.cell", index, allowed)
    return JobGroup(id=group_id, axes=read, cell=tuple(cell))


def _read_axis(place: str, axis: Any) -> GridAxis:
    if not isinstance(axis, dict) or axis.keys() != {"field", "values"}:
        _refuse(place, axis, "an object with field and values")
    field, values = axis["field"], axis["values"]
    if not isinstance(field, str) or not 1 <= len(field) <= FIELD_CHARACTERS:
        _refuse(f"{place}.field", field, f"a string of 1 to {FIELD_CHARACTERS} characters")
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
        _refuse(f"{place}.values", values, f"an array of 1 to {MOST_VALUES} values")
    for number, value in enumerate(values):
        is_long = isinstance(value, str) and len(value) > VALUE_CHARACTERS
        if not isinstance(value, (str, int, float)) or is_long:
            allowed = f"a number, true, false or a string of at most {VALUE_CHARACTERS} characters"
            _refuse(f"{place}.values[{number}]", value, allowed)
    return GridAxis(field=field, values=tuple(values))


def _refuse(field: str, value: Any, allowed: str) -> NoReturn:
    raise InvalidRequest(f"{field} must be {allowed}, got {show_value(value)}", field=field, allowed=allowed)
