"""Pictures that are here already, where a body takes base64: ``{"output": "<job_id>/image_0.png"}`` is a finished one,
``{"input": "<job_id>/<role>"}`` (or the text ``job:<job_id>/<role>``) one that a job was given."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdcpp_rest.errors import InvalidRequest, JobNotFound, OutputNotFound
from sdcpp_rest.routes.http.answers import runtime, shorten

LISTS = ("ref_images", "pm_id_images", "control_frames")
"""Fields that take several pictures."""

_PREFIX = "job:"
_ENDING = "_base64"
_ALLOWED = "base64, a data URL, or an object with output or input"


def refer_to(job_id: str, role: str) -> str:
    return f"{_PREFIX}{job_id}/{role}"


def with_given_pictures(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The body with every reference replaced by the picture, as base64.

    Together they may be as large as a body. Raises InvalidRequest naming the field.
    """
    budget = _Budget(runtime().config.limits.body_bytes)
    return {name: _read_field(name, value, budget) for name, value in sent.items()}


class _Budget:
    def __init__(self, left: int) -> None:
        self.left = left


def _read_field(name: str, value: Any, budget: _Budget) -> Any:
    if name.endswith(_ENDING):
        return _read(name, value, budget)
    if name in LISTS and isinstance(value, list):
        return [_read(f"{name}[{index}]", one, budget) for index, one in enumerate(value)]
    return value


def _read(field: str, value: Any, budget: _Budget) -> Any:
    if isinstance(value, str) and value.startswith(_PREFIX):
        return _encode(field, value, _find_given(field, value.removeprefix(_PREFIX), value), budget)
    if isinstance(value, dict):
        kind, place = _place_of(field, value)
        path = _find_given(field, place, place) if kind == "input" else _find_drawn(field, place)
        return _encode(field, place, path, budget)
    return value


def _place_of(field: str, value: Mapping[str, Any]) -> tuple[str, str]:
    """Which kind of picture an object names, and where it is. Raises InvalidRequest."""
    kind = next(iter(value), "")
    if len(value) != 1 or kind not in ("output", "input") or not isinstance(value[kind], str):
        shown = shorten(", ".join(map(str, value))) or "nothing"
        raise InvalidRequest(f"{field} must be {_ALLOWED}, got an object with {shown}", field=field, allowed=_ALLOWED)
    return kind, value[kind]


def _find_given(field: str, place: str, shown: str) -> Path:
    job_id, _, role = place.partition("/")
    jobs = runtime().jobs
    try:
        return jobs.outputs.inputs_of(job_id) / jobs.queue.get(job_id).inputs[role]
    except (JobNotFound, KeyError):
        raise InvalidRequest(f"{field}: there is no such picture of a job: {shorten(shown)}", field=field) from None


def _find_drawn(field: str, place: str) -> Path:
    try:
        path = runtime().jobs.outputs.path_of(place)
    except (InvalidRequest, OutputNotFound):
        raise InvalidRequest(f"{field}: there is no such output: {shorten(place)}", field=field) from None
    if not path.is_file():
        raise InvalidRequest(f"{field}: this output is a folder and no picture: {shorten(place)}", field=field)
    return path


def _encode(field: str, shown: str, path: Path, budget: _Budget) -> str:
    try:
        budget.left -= path.stat().st_size
        if budget.left < 0:
            raise InvalidRequest(f"{field}: the pictures referred to are too large together", field=field)
        return base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:
        raise InvalidRequest(f"{field}: there is no such picture of a job: {shorten(shown)}", field=field) from None
