"""Pictures that a job was given, for another one: ``job:<job_id>/<role>`` where a body takes base64."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.errors import InvalidRequest, JobNotFound
from sdcpp_rest.routes.http.answers import runtime, shorten

LISTS = ("ref_images", "pm_id_images", "control_frames")
"""Fields that take several pictures."""

_PREFIX = "job:"
_ENDING = "_base64"


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
    if not isinstance(value, str) or not value.startswith(_PREFIX):
        return value
    job_id, _, role = value.removeprefix(_PREFIX).partition("/")
    jobs = runtime().jobs
    try:
        name = jobs.queue.get(job_id).inputs[role]
        path = jobs.outputs.inputs_of(job_id) / name
        budget.left -= path.stat().st_size
        if budget.left < 0:
            raise InvalidRequest(f"{field}: the pictures referred to are too large together", field=field)
        return base64.b64encode(path.read_bytes()).decode("ascii")
    except (JobNotFound, KeyError, OSError):
        raise InvalidRequest(f"{field}: there is no such picture of a job: {shorten(value)}", field=field) from None
