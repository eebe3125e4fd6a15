"""Converts a `Job` to its row and back, and names the columns.

Knows ``core.job.Job`` and the two tables that hold such rows: the queue's, and the recycle bin's.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.engine import Row

from sdcpp_rest.core.job import Job, JobGroup, Timings
from sdcpp_rest.core.job_filter import JobHead
from sdcpp_rest.core.load_spec import LoadSpec

_SEARCHED_PARAMS = ("prompt", "model_name", "name", "filename", "url", "repo_id")
_SEARCH_TEXT_CHARACTERS = 20_000

_metadata = MetaData()


def _columns() -> list[Column[Any]]:
    """In the order of the migrations: the wide ones come late, what was added since comes last."""
    return [
        Column("seq", Integer, primary_key=True),
        *(Column(name, Text) for name in ("id", "kind", "status")),
        Column("priority", Integer),
        *(Column(name, Text) for name in ("created_at", "started_at", "completed_at")),
        Column("attempts", Integer),
        *(Column(name, Text) for name in ("origin", "owner", "title", "model_name", "load_spec_key")),
        *(Column(name, Text) for name in ("error", "error_code", "search_text")),
        *(Column(name, Text) for name in ("outputs", "warnings", "timings", "inputs", "params", "load_spec")),
        Column("architecture", Text),
    ]


def _later_columns() -> list[Column[Any]]:
    return [
        *(Column(name, Text) for name in ("caption", "note", "group_id", "grouping", "engine", "device")),
        Column("front", Integer, nullable=False, default=0),
    ]


jobs = Table("jobs", _metadata, *_columns(), *_later_columns())
binned = Table("recycle_bin", _metadata, *_columns(), Column("deleted_at", Text), *_later_columns())

_FIELDS = (
    "id", "kind", "status", "created_at", "started_at", "completed_at", "attempts", "origin", "owner", "title",
    "error", "error_code", "outputs", "warnings", "timings", "inputs", "params", "load_spec", "caption",
    "note", "grouping", "engine", "device",
)  # fmt: skip
JOB_COLUMNS = tuple(jobs.c[name] for name in _FIELDS)
HEAD_COLUMNS = tuple(jobs.c[name] for name in JobHead._fields)
BINNED_COLUMNS = (*(binned.c[name] for name in _FIELDS), binned.c.deleted_at)
"""As `JOB_COLUMNS`, and when the job was deleted."""


def row_of(job: Job) -> dict[str, Any]:
    """Every column but ``seq``, which the table gives."""
    spec = job.load_spec
    return {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "priority": 0,
        "created_at": stamp(job.created_at),
        "started_at": job.started_at and stamp(job.started_at),
        "completed_at": job.completed_at and stamp(job.completed_at),
        "attempts": job.attempts,
        "origin": storable(job.origin),
        "owner": job.owner and storable(job.owner),
        "title": job.title and storable(job.title),
        "model_name": job.model_name,
        "load_spec_key": spec and spec.key,
        "error": job.error and storable(job.error),
        "error_code": job.error_code,
        "search_text": search_text_of(job),
        "outputs": json.dumps(job.outputs),
        "warnings": json.dumps(job.warnings),
        "timings": job.timings.model_dump_json(),
        "inputs": json.dumps(job.inputs),
        "params": json.dumps(job.params),
        "load_spec": spec and spec.model_dump_json(),
        "architecture": spec and spec.architecture,
        "caption": job.caption and storable(job.caption),
        "note": job.note and storable(job.note),
        "group_id": job.group and storable(job.group.id),
        "grouping": job.group and storable(job.group.model_dump_json()),
        "engine": job.engine and storable(job.engine),
        "device": job.device and storable(job.device),
    }


def search_text_of(job: Job) -> str:
    """What a search looks through, in lower case."""
    texts = [job.title, *(job.params.get(name) for name in _SEARCHED_PARAMS), job.model_name, job.id]
    text = " ".join(text[:_SEARCH_TEXT_CHARACTERS] for text in texts if isinstance(text, str))
    return storable(text).casefold()


def job_of(row: Row[Any]) -> Job:
    """A `Job` from a row of `JOB_COLUMNS` (more may follow).

    Built without pydantic's checks, by place instead of by name: what is stored was checked when it was made, and a
    listing of a thousand jobs spends most of its time here.
    """
    (
        job_id, kind, status, created_at, started_at, completed_at, attempts, origin, owner, title, error, error_code,
        outputs, warnings, timings, inputs, params, load_spec, caption, note, grouping, engine,
        device,
    ) = tuple[Any, ...](row[: len(_FIELDS)])  # fmt: skip
    spec, complaint = _spec_of(load_spec)
    said = _sentences(warnings)
    values = {
        "id": job_id,
        "kind": kind,
        "status": status,
        "created_at": datetime.fromisoformat(created_at),
        "started_at": started_at and datetime.fromisoformat(started_at),
        "completed_at": completed_at and datetime.fromisoformat(completed_at),
        "params": json.loads(params),
        "inputs": {} if inputs == "{}" else json.loads(inputs),
        "load_spec": spec,
        "outputs": _sentences(outputs),
        "warnings": said if complaint is None else (*said, complaint),
        "timings": _timings_of(timings),
        "error": error,
        "error_code": error_code,
        "title": title,
        "origin": origin,
        "owner": owner,
        "attempts": attempts,
        "caption": caption,
        "note": note,
        "group": None if grouping is None else JobGroup.model_validate_json(grouping),
        "device": device,
        "engine": engine,
    }
    return _construct(values)


def _construct(values: dict[str, Any]) -> Job:
    """`Job.model_construct` of every field, which looks at each of them for an alias and a default."""
    job = Job.__new__(Job)
    for name, value in (
        ("__dict__", values),
        ("__pydantic_fields_set__", set(values)),
        ("__pydantic_extra__", None),
        ("__pydantic_private__", None),
    ):
        # A job is frozen.
        object.__setattr__(job, name, value)
    return job


def stamp(moment: datetime) -> str:
    """A moment as it is stored: such texts sort by time."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def storable(text: str) -> str:
    """JSON lets a client send half of a surrogate pair, which UTF-8 and so SQLite cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=256)
def _sentences(stored: str) -> tuple[str, ...]:
    """Most rows have none, or the same warning as their neighbours."""
    return tuple(json.loads(stored))


@lru_cache(maxsize=256)
def _timings_of(stored: str) -> Timings:
    return Timings.model_validate_json(stored)


def spec_of(stored: str | None) -> LoadSpec | None:
    """The load spec of a row; ``None`` where there is none, or it cannot be read any more."""
    return _spec_of(stored)[0]


@lru_cache(maxsize=64)
def _spec_of(stored: str | None) -> tuple[LoadSpec | None, str | None]:
    """Thousands of jobs share a few specs, and a spec is immutable: one object for all of them.

    One unreadable spec (an option that a later version dropped) must not make the whole listing fail.
    """
    if stored is None:
        return None, None
    try:
        return LoadSpec.model_validate_json(stored), None
    except ValidationError as error:
        return None, f"The stored model choice of this job cannot be read any more ({error.error_count()} errors)."
