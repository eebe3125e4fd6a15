"""Jobs as rows: submitted, claimed, moved from status to status, listed. Every race is decided by one SQL statement.

Knows ``core.job.Job`` and the table. Knows nothing of engines, files or events, and never stores progress: that
changes many times a second and is worth nothing after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import ColumnElement

from sdcpp_rest.core.job import ACTIVE, FINISHED, Job, JobKind, JobStatus, Timings, utc_now
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import Conflict, JobNotFound, QueueFull
from sdcpp_rest.store.database import Database

Order = Literal["asc", "desc"]
Jobs: TypeAlias = list[Job]  # the class below has a method called ``list``
ALL_STATUSES: frozenset[JobStatus] = ACTIVE | FINISHED

_SEARCHED_PARAMS = ("prompt", "model_name", "name", "filename", "url", "repo_id")
_SEARCH_TEXT_CHARACTERS = 20_000
_SEARCH_WORDS = 16

jobs = Table(
    "jobs",
    MetaData(),
    Column("seq", Integer, primary_key=True),
    *(Column(name, Text) for name in ("id", "kind", "status")),
    Column("priority", Integer),
    *(Column(name, Text) for name in ("created_at", "started_at", "completed_at")),
    Column("attempts", Integer),
    *(Column(name, Text) for name in ("origin", "owner", "title", "model_name", "load_spec_key")),
    *(Column(name, Text) for name in ("error", "error_code", "search_text")),
    *(Column(name, Text) for name in ("outputs", "warnings", "timings", "inputs", "params", "load_spec")),
)

_JOB_COLUMNS = tuple(
    jobs.c[name]
    for name in (
        "id", "kind", "status", "created_at", "started_at", "completed_at", "attempts", "origin", "owner", "title",
        "error", "error_code", "outputs", "warnings", "timings", "inputs", "params", "load_spec",
    )
)  # fmt: skip

_ahead = jobs.alias("ahead")
_GET = select(*_JOB_COLUMNS).where(jobs.c.id == bindparam("job_id"))
_PENDING = select(func.count()).where(jobs.c.status == "pending")
_INSERT = insert(jobs)
_POSITION = (
    select(func.count())
    .select_from(jobs.join(_ahead, _ahead.c.status == "pending"))
    .where(
        jobs.c.id == bindparam("job_id"),
        jobs.c.status == "pending",
        or_(
            _ahead.c.priority > jobs.c.priority,
            and_(_ahead.c.priority == jobs.c.priority, _ahead.c.seq <= jobs.c.seq),
        ),
    )
)
_POSITIONS = select(jobs.c.id).where(jobs.c.status == "pending").order_by(jobs.c.priority.desc(), jobs.c.seq)
_next = jobs.alias("next")
_CLAIM = (
    update(jobs)
    .where(
        jobs.c.seq
        == select(_next.c.seq)
        .where(_next.c.status == "pending", _next.c.kind.in_(bindparam("kinds", expanding=True)))
        .order_by(_next.c.priority.desc(), _next.c.seq)
        .limit(1)
        .scalar_subquery()
    )
    .values(status="processing", started_at=bindparam("now"), attempts=jobs.c.attempts + 1)
    .returning(*_JOB_COLUMNS)
)
_INTERRUPTED = select(*_JOB_COLUMNS).where(jobs.c.status == "processing").order_by(jobs.c.seq)
_DELETE = delete(jobs).where(
    jobs.c.id == bindparam("job_id"), jobs.c.status.in_(bindparam("allowed_from", expanding=True))
)
_BOUND = _PENDING.where(jobs.c.load_spec_key == bindparam("load_spec_key"))


class JobStore:
    """All jobs of all dialects. Every method may be called from every thread."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def insert(self, job: Job, max_pending: int) -> int:
        """Add a pending job at the end of the queue; returns its 1-based place among the pending jobs.

        The job is on the disk when this returns: who was told a job id will find the job after a power cut. The limit
        is checked in the transaction that inserts, so that two submitters cannot both take the last free place.
        Raises QueueFull when ``max_pending`` jobs are pending, Conflict when the id is taken.
        """
        if job.status != "pending":
            raise ValueError(f"only a pending job can be submitted, not a {job.status} one")
        values = _row_of(job)
        with self._db.write_durable() as connection:
            pending = connection.execute(_PENDING).scalar_one()
            if pending >= max_pending:
                raise QueueFull(
                    f"The queue is full: {pending} jobs are pending and limits.pending_jobs is {max_pending}. "
                    "Try again when some are done.",
                    limit=max_pending,
                    pending=pending,
                )
            try:
                connection.execute(_INSERT, values)
            except IntegrityError as error:
                raise Conflict(f"A job with the id {job.id!r} is already there.") from error
            # The newest job has priority 0 and the highest seq: everyone else who is pending goes first.
            return pending + 1

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with self._db.read() as connection:
            row = connection.execute(_GET, {"job_id": _storable(job_id)}).one_or_none()
        if row is None:
            raise JobNotFound("Job not found")
        return _job_of(row)

    def position(self, job_id: str) -> int | None:
        """The 1-based place among the pending jobs, in the order in which they will be claimed; None if not pending."""
        with self._db.read() as connection:
            return connection.execute(_POSITION, {"job_id": _storable(job_id)}).scalar_one() or None

    def positions(self) -> dict[str, int]:
        """`position` of every pending job, by id, in one query: a listing must not ask once per job."""
        with self._db.read() as connection:
            return {row[0]: place for place, row in enumerate(connection.execute(_POSITIONS), 1)}

    def claim_next(self, kinds: Collection[JobKind]) -> Job | None:
        """Take the first pending job of these kinds: it becomes ``processing``, with one more attempt.

        Finding and taking are one statement. If they were two, a second claimer could find the same job, or a cancel
        could slip in between and a cancelled job would run.
        """
        with self._db.write() as connection:
            row = connection.execute(_CLAIM, {"kinds": list(kinds), "now": _stamp(utc_now())}).one_or_none()
        return None if row is None else _job_of(row)

    def transition(
        self,
        job_id: str,
        to: JobStatus,
        allowed_from: Collection[JobStatus],
        *,
        outputs: Sequence[str] | None = None,
        warnings: Sequence[str] | None = None,
        timings: Timings | None = None,
        error: str | None = None,
        error_code: str | None = None,
        started_at: datetime | None = None,
        completed_at: datetime | None = None,
        refund_attempt: bool = False,
    ) -> Job | None:
        """Move a job to another status, if it still has one of ``allowed_from``; a field of None stays as it is.

        Returns the new job only if THIS call made the move, else None (also for an unknown id). A user's cancel and
        the engine's "finished" may arrive together: both call this, exactly one gets the job back, and only that one
        publishes the event. Reading the status first and writing it later would let both believe they had won.

        Finished statuses get ``completed_at`` (now, unless given). Going back to ``pending`` forgets the start, the
        end and the error, keeps the job's old place in the queue, and with ``refund_attempt`` takes back the attempt
        that the claim counted (the server was stopped: not the job's fault).
        """
        values: dict[str, Any] = {"status": to}
        if to == "pending":
            values |= {"started_at": None, "completed_at": None, "error": None, "error_code": None}
        if outputs is not None:
            values["outputs"] = json.dumps(list(outputs))
        if warnings is not None:
            values["warnings"] = json.dumps(list(warnings))
        if timings is not None:
            values["timings"] = timings.model_dump_json()
        if error is not None:
            values["error"] = _storable(error)
        if error_code is not None:
            values["error_code"] = error_code
        if started_at is not None:
            values["started_at"] = _stamp(started_at)
        if to in FINISHED:
            values["completed_at"] = _stamp(completed_at or utc_now())
        if refund_attempt:
            values["attempts"] = func.max(jobs.c.attempts - 1, 0)
        statement = (
            update(jobs)
            .where(jobs.c.id == _storable(job_id), jobs.c.status.in_(sorted(allowed_from)))
            .values(values)
            .returning(*_JOB_COLUMNS)
        )
        with self._db.write() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _job_of(row)

    def list(
        self,
        limit: int = 200,
        offset: int = 0,
        status: Collection[JobStatus] | None = None,
        kind: JobKind | None = None,
        search: str | None = None,
        order: Order = "desc",
        active_first: bool = True,
    ) -> Jobs:
        """Jobs by time of submission, newest first (``asc``: oldest first).

        With ``active_first`` all active jobs come before the rest: the processing one, then the pending ones in the
        order in which they will run. They do not count against ``limit`` and are left out when ``offset`` > 0, which
        pages through the finished ones. Without it, ``limit`` and ``offset`` cut one list of everything.
        ``search`` keeps jobs in whose title, prompt, model name or id every word occurs, whatever its case.
        """
        wanted = ALL_STATUSES if status is None else frozenset(status)
        conditions = _conditions(kind, search)
        with self._db.read() as connection:
            rows: list[Row[Any]] = []
            if active_first:
                if offset == 0 and wanted & ACTIVE:
                    rows += connection.execute(_active(wanted & ACTIVE, conditions)).all()
                wanted &= FINISHED
            if wanted and limit > 0:
                rows += connection.execute(_page(wanted, conditions, order, limit, offset)).all()
        return [_job_of(row) for row in rows]

    def counts(self, kind: JobKind | None = None, search: str | None = None) -> dict[str, int]:
        """How many jobs have each status (all five are always there), and their sum as ``total``."""
        statement = select(jobs.c.status, func.count()).where(*_conditions(kind, search)).group_by(jobs.c.status)
        with self._db.read() as connection:
            found = {row[0]: row[1] for row in connection.execute(statement)}
        counts: dict[str, int] = {status: found.get(status, 0) for status in sorted(ALL_STATUSES)}
        counts["total"] = sum(found.values())
        return counts

    def interrupted(self) -> Jobs:
        """Jobs still marked ``processing``, oldest first. At start-up: what the last process was doing when it died."""
        with self._db.read() as connection:
            return [_job_of(row) for row in connection.execute(_INTERRUPTED)]

    def delete(self, job_id: str, allowed_from: Collection[JobStatus] = FINISHED) -> bool:
        """Forget a job; True if this call removed it. An active job is not removed: someone is working on it."""
        with self._db.write() as connection:
            done = connection.execute(_DELETE, {"job_id": _storable(job_id), "allowed_from": sorted(allowed_from)})
            return done.rowcount > 0

    def expired(self, *, older_than: datetime | None = None, beyond: int | None = None) -> tuple[str, ...]:
        """Ids of finished jobs that ended before ``older_than`` or, newest first, come after the first ``beyond``.

        Never the newest finished job. Oldest first.
        """
        finished = (
            select(jobs.c.id, jobs.c.seq, jobs.c.completed_at)
            .where(jobs.c.status.in_(sorted(FINISHED)))
            .order_by(jobs.c.seq.desc())
            .limit(-1)
            .offset(max(1, beyond or 0))
            .subquery()
        )
        statement = select(finished.c.id).order_by(finished.c.seq)
        if older_than is not None:
            statement = statement.where(finished.c.completed_at < _stamp(older_than))
        with self._db.read() as connection:
            return tuple(connection.execute(statement).scalars())

    def pending_bound_to(self, load_spec_key: str) -> int:
        """How many pending jobs need the model with this ``LoadSpec.key``."""
        with self._db.read() as connection:
            return connection.execute(_BOUND, {"load_spec_key": load_spec_key}).scalar_one()


def _active(statuses: Iterable[JobStatus], conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return (
        select(*_JOB_COLUMNS)
        .where(jobs.c.status.in_(sorted(statuses)), *conditions)
        .order_by(jobs.c.status.desc(), jobs.c.priority.desc(), jobs.c.seq)  # "processing" sorts after "pending"
    )


def _page(
    statuses: Iterable[JobStatus], conditions: Sequence[ColumnElement[bool]], order: Order, limit: int, offset: int
) -> Select[Any]:
    """The inner select finds the page by narrow columns and an index; only the page's own rows are read in full."""
    in_order = jobs.c.seq.desc() if order == "desc" else jobs.c.seq.asc()
    found = (
        select(jobs.c.seq)
        .where(jobs.c.status.in_(sorted(statuses)), *conditions)
        .order_by(in_order)
        .limit(limit)
        .offset(offset)
    )
    return select(*_JOB_COLUMNS).where(jobs.c.seq.in_(found)).order_by(in_order)


def _conditions(kind: JobKind | None, search: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if kind is not None:
        conditions.append(jobs.c.kind == kind)
    for word in _storable(search or "").casefold().split()[:_SEARCH_WORDS]:
        # instr, not LIKE: a user's % and _ are letters like any other.
        conditions.append(func.instr(jobs.c.search_text, word) > 0)
    return conditions


def _row_of(job: Job) -> dict[str, Any]:
    spec = job.load_spec
    texts = [job.title, *(job.params.get(name) for name in _SEARCHED_PARAMS), job.model_name, job.id]
    search_text = " ".join(text[:_SEARCH_TEXT_CHARACTERS] for text in texts if isinstance(text, str))
    return {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "priority": 0,
        "created_at": _stamp(job.created_at),
        "started_at": job.started_at and _stamp(job.started_at),
        "completed_at": job.completed_at and _stamp(job.completed_at),
        "attempts": job.attempts,
        "origin": _storable(job.origin),
        "owner": job.owner and _storable(job.owner),
        "title": job.title and _storable(job.title),
        "model_name": job.model_name,
        "load_spec_key": spec and spec.key,
        "error": job.error and _storable(job.error),
        "error_code": job.error_code,
        "search_text": _storable(search_text).casefold(),
        "outputs": json.dumps(job.outputs),
        "warnings": json.dumps(job.warnings),
        "timings": job.timings.model_dump_json(),
        "inputs": json.dumps(job.inputs),
        "params": json.dumps(job.params),
        "load_spec": spec and spec.model_dump_json(),
    }


def _job_of(row: Row[Any]) -> Job:
    fields = row._mapping
    warnings = json.loads(fields["warnings"])
    spec, complaint = _spec_of(fields["load_spec"])
    if complaint is not None:
        warnings.append(complaint)
    return Job(
        id=fields["id"],
        kind=fields["kind"],
        status=fields["status"],
        created_at=datetime.fromisoformat(fields["created_at"]),
        started_at=fields["started_at"] and datetime.fromisoformat(fields["started_at"]),
        completed_at=fields["completed_at"] and datetime.fromisoformat(fields["completed_at"]),
        attempts=fields["attempts"],
        origin=fields["origin"],
        owner=fields["owner"],
        title=fields["title"],
        error=fields["error"],
        error_code=fields["error_code"],
        outputs=tuple(json.loads(fields["outputs"])),
        warnings=tuple(warnings),
        timings=Timings.model_validate_json(fields["timings"]),
        inputs=json.loads(fields["inputs"]),
        params=json.loads(fields["params"]),
        load_spec=spec,
    )


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


def _stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _storable(text: str) -> str:
    """JSON lets a client send half of a surrogate pair, which UTF-8 and so SQLite cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
