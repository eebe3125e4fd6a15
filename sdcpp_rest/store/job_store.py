"""Stores jobs in SQLite: submitted, claimed, moved from status to status, listed. Every race is decided by one SQL
statement.

Knows ``core.job.Job`` and the table. Knows nothing of engines, files or events, and never stores progress: that
changes many times a second and is worth nothing after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, TypeAlias

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, union_all, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from sdcpp_rest.core.job import ACTIVE, FINISHED, Job, JobKind, JobStatus, Timings, utc_now
from sdcpp_rest.core.job_filter import ALL_STATUSES, EVERY_JOB, JobFilter, JobHead, Order, SortKey
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import Conflict, JobNotFound, QueueFull
from sdcpp_rest.store import job_listing
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_claiming import FIRST, ClaimTerms, claim_statement, peek_statement
from sdcpp_rest.store.job_moving import move_pending
from sdcpp_rest.store.job_rows import (
    HEAD_COLUMNS,
    JOB_COLUMNS,
    binned,
    job_of,
    jobs,
    row_of,
    search_text_of,
    spec_of,
    stamp,
    storable,
)
from sdcpp_rest.store.job_transitions import TO_FRONT, transition_statement

# The class below has a method called ``list``.
Jobs: TypeAlias = list[Job]
Heads: TypeAlias = list[JobHead]
Specs: TypeAlias = list[LoadSpec]
Rows: TypeAlias = list[Row[Any]]

_IDS_PER_QUERY = 500

_ahead = jobs.alias("ahead")
_GET = select(*JOB_COLUMNS).where(jobs.c.id == bindparam("job_id"))
_GIVEN_UP = union_all(
    select(jobs.c.id).where(
        jobs.c.id == bindparam("job_id"), jobs.c.status == "cancelled", jobs.c.error_code == bindparam("reason")
    ),
    select(binned.c.id).where(binned.c.id == bindparam("job_id")),
)
_PENDING = select(func.count()).where(jobs.c.status == "pending")
_PENDING_SPECS = (
    select(func.min(jobs.c.load_spec))
    .where(jobs.c.status == "pending", jobs.c.load_spec_key.is_not(None))
    .group_by(jobs.c.load_spec_key)
)
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
_INTERRUPTED = select(*JOB_COLUMNS).where(jobs.c.status == "processing").order_by(jobs.c.seq)
_DELETE = delete(jobs).where(
    jobs.c.id == bindparam("job_id"), jobs.c.status.in_(bindparam("allowed_from", expanding=True))
)
_BOUND = _PENDING.where(jobs.c.load_spec_key == bindparam("load_spec_key"))


class JobStore:
    """Stores all jobs of all dialects. Every method may be called from every thread."""

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
        values = row_of(job)
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

    def insert_finished(self, job: Job) -> None:
        """Add a completed job whose files are in place: one that nobody had to compute. Raises ValueError for any other
        status, Conflict when the id is taken."""
        if job.status != "completed":
            raise ValueError(f"only a completed job can be added so, not a {job.status} one")
        with self._db.write_durable() as connection:
            try:
                connection.execute(_INSERT, row_of(job))
            except IntegrityError as error:
                raise Conflict(f"A job with the id {job.id!r} is already there.") from error

    def find_known(self, job_ids: Collection[str]) -> set[str]:
        """Those of the ids that are jobs', in the queue or in the recycle bin."""
        asked, found = [storable(job_id) for job_id in job_ids], set[str]()
        with self._db.read() as connection:
            for start in range(0, len(asked), _IDS_PER_QUERY):
                chosen = asked[start : start + _IDS_PER_QUERY]
                for table in (jobs, binned):
                    found.update(connection.execute(select(table.c.id).where(table.c.id.in_(chosen))).scalars())
        return found

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with self._db.read() as connection:
            row = connection.execute(_GET, {"job_id": storable(job_id)}).one_or_none()
        if row is None:
            raise JobNotFound("Job not found")
        return job_of(row)

    def is_given_up(self, job_id: str, reason: str) -> bool:
        """Whether the job was cancelled for ``reason`` (an error code), or lies in the recycle bin."""
        with self._db.read() as connection:
            return connection.execute(_GIVEN_UP, {"job_id": job_id, "reason": reason}).first() is not None

    def position(self, job_id: str) -> int | None:
        """The 1-based place among the pending jobs, in the order in which they will be claimed; None if not pending."""
        with self._db.read() as connection:
            return connection.execute(_POSITION, {"job_id": storable(job_id)}).scalar_one() or None

    def positions(self) -> dict[str, int]:
        """`position` of every pending job, by id, in one query: a listing must not ask once per job."""
        with self._db.read() as connection:
            return {row[0]: place for place, row in enumerate(connection.execute(_POSITIONS), 1)}

    def claim_next(self, kinds: Collection[JobKind], terms: ClaimTerms = FIRST) -> Job | None:
        """Take a pending job of these kinds, the first one unless the ``terms`` prefer another: it becomes
        ``processing``, with one more attempt, on the engine that they name."""
        statement, values = claim_statement(kinds, terms)
        with self._db.write() as connection:
            row = connection.execute(statement, values).one_or_none()
        return None if row is None else job_of(row)

    def peek_next(self, kinds: Collection[JobKind], terms: ClaimTerms) -> Job | None:
        """The job that `claim_next` would take now."""
        statement, values = peek_statement(kinds, terms)
        with self._db.read() as connection:
            row = connection.execute(statement, values).one_or_none()
        return None if row is None else job_of(row)

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
        end and the error, puts the job ahead of all that wait, where it was, and with ``refund_attempt`` takes back
        the attempt that the claim counted (the server was stopped: not the job's fault).
        """
        values: dict[str, Any] = {"status": to}
        if to == "pending":
            values |= {"started_at": None, "completed_at": None, "error": None, "error_code": None, "engine": None}
        if outputs is not None:
            values["outputs"] = json.dumps(list(outputs))
        if warnings is not None:
            values["warnings"] = json.dumps(list(warnings))
        if timings is not None:
            values["timings"] = timings.model_dump_json()
        if error is not None:
            values["error"] = storable(error)
        if error_code is not None:
            values["error_code"] = error_code
        if started_at is not None:
            values["started_at"] = stamp(started_at)
        if to in FINISHED:
            values["completed_at"] = stamp(completed_at or utc_now())
        statement = transition_statement(
            tuple(values), tuple(sorted(allowed_from)), returns=to == "pending", refunds=refund_attempt
        )
        bound = {f"new_{name}": value for name, value in values.items()}
        with self._db.write() as connection:
            row = connection.execute(statement, {"job_id": storable(job_id), **bound}).one_or_none()
        return None if row is None else job_of(row)

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
        """`find` for those who filter by little."""
        chosen = ALL_STATUSES if status is None else frozenset(status)
        wanted = JobFilter(status=chosen, kind=kind, search=search or "")
        return self.find(wanted, limit=limit, offset=offset, order=order, active_first=active_first)

    def find(
        self,
        wanted: JobFilter,
        *,
        limit: int = 200,
        offset: int = 0,
        sort: SortKey = "created_at",
        order: Order = "desc",
        active_first: bool = True,
    ) -> Jobs:
        """Jobs that pass a filter, by time of submission, newest first (``asc``: oldest first).

        With ``active_first`` all active jobs come before the rest: the processing one, then the pending ones in the
        order in which they will run. They do not count against ``limit`` and are left out when ``offset`` > 0, which
        pages through the finished ones. Without it, ``limit`` and ``offset`` cut one list of everything.
        """
        return [job_of(row) for row in self._find(JOB_COLUMNS, wanted, limit, offset, sort, order, active_first)]

    def heads(
        self,
        wanted: JobFilter,
        *,
        limit: int,
        offset: int = 0,
        sort: SortKey = "created_at",
        order: Order = "desc",
        active_first: bool = True,
    ) -> Heads:
        """As `find`, without reading what is wide."""
        rows = self._find(HEAD_COLUMNS, wanted, limit, offset, sort, order, active_first)
        # As `JobHead._make`, without a call for each of thousands.
        return list(map(tuple.__new__, repeat(JobHead), rows))

    def pending_specs(self) -> Specs:
        """What jobs that wait are bound to, each once."""
        with self._db.read() as connection:
            return [spec for row in connection.execute(_PENDING_SPECS) if (spec := spec_of(row[0])) is not None]

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Jobs by id; those that are not there are left out."""
        found: dict[str, Job] = {}
        with self._db.read() as connection:
            for start in range(0, len(job_ids), _IDS_PER_QUERY):
                chosen = [storable(job_id) for job_id in job_ids[start : start + _IDS_PER_QUERY]]
                rows = connection.execute(select(*JOB_COLUMNS).where(jobs.c.id.in_(chosen)))
                found |= {row[0]: job_of(row) for row in rows}
        return found

    def _find(
        self,
        columns: job_listing.Columns,
        wanted: JobFilter,
        limit: int,
        offset: int,
        sort: SortKey,
        order: Order,
        active_first: bool,
    ) -> Rows:
        statuses = wanted.status
        with self._db.read() as connection:
            rows: list[Row[Any]] = []
            if active_first:
                if offset == 0 and statuses & ACTIVE:
                    rows += connection.execute(job_listing.active(columns, statuses & ACTIVE, wanted)).all()
                statuses &= FINISHED
            if statuses and limit > 0:
                narrowed = job_listing.conditions(wanted)
                page = job_listing.page(columns, statuses, narrowed, order, limit, offset, sort)
                rows += connection.execute(page).all()
        return rows

    def of_group(self, group_id: str, limit: int) -> Jobs:
        """The newest jobs of a group, in the order of submission."""
        chosen = select(*JOB_COLUMNS).where(jobs.c.group_id == storable(group_id)).order_by(jobs.c.seq.desc())
        with self._db.read() as connection:
            return [job_of(row) for row in reversed(connection.execute(chosen.limit(limit)).all())]

    def counts(self, wanted: JobFilter = EVERY_JOB) -> dict[str, int]:
        """How many jobs have each status (all five are always there), and their sum as ``total``.

        Of a filter, everything counts but its own status.
        """
        with self._db.read() as connection:
            found = {row[0]: row[1] for row in connection.execute(job_listing.counts(wanted))}
        counts: dict[str, int] = {status: found.get(status, 0) for status in sorted(ALL_STATUSES)}
        counts["total"] = sum(found.values())
        return counts

    def days(self, wanted: JobFilter, dates: Sequence[str]) -> dict[str, int]:
        """How many jobs that pass were submitted on each of these days (``2024-01-31``, UTC)."""
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(job_listing.days(wanted, dates))}

    def titles(self) -> tuple[str, ...]:
        """Every title once, in alphabetical order whatever the case."""
        with self._db.read() as connection:
            return tuple(sorted(connection.execute(job_listing.TITLES).scalars(), key=lambda title: title.casefold()))

    def to_front(self, job_id: str) -> Job | None:
        """Make a pending job the next one; None if it is not pending (any more)."""
        with self._db.write() as connection:
            row = connection.execute(TO_FRONT, {"job_id": storable(job_id)}).one_or_none()
        return None if row is None else job_of(row)

    def move(self, job_id: str, before: str | None) -> Job | None:
        """Move a pending job right before another pending one, or behind all (``None``); None where one of the two is
        not pending."""
        with self._db.write() as connection:
            if not move_pending(connection, storable(job_id), before and storable(before)):
                return None
            return job_of(connection.execute(_GET, {"job_id": storable(job_id)}).one())

    def retitle(self, job_id: str, title: str | None) -> Job:
        """Give a job another title, or none; searches find it by the new one. Raises JobNotFound."""
        with self._db.write() as connection:
            row = connection.execute(_GET, {"job_id": storable(job_id)}).one_or_none()
            if row is None:
                raise JobNotFound("Job not found")
            job = job_of(row).model_copy(update={"title": title and storable(title)})
            values = {"title": job.title, "search_text": search_text_of(job)}
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(values))
        return job

    def list_interrupted(self) -> Jobs:
        """Jobs still marked ``processing``, oldest first. At start-up: what the last process was doing when it died."""
        with self._db.read() as connection:
            return [job_of(row) for row in connection.execute(_INTERRUPTED)]

    def delete(self, job_id: str, allowed_from: Collection[JobStatus] = FINISHED) -> bool:
        """Forget a job; True if this call removed it. An active job is not removed: someone is working on it.

        Durable: its files go next, and a row that a power cut brings back would promise them.
        """
        with self._db.write_durable() as connection:
            done = connection.execute(_DELETE, {"job_id": storable(job_id), "allowed_from": sorted(allowed_from)})
            return done.rowcount > 0

    def list_expired(self, *, older_than: datetime | None = None, beyond: int | None = None) -> tuple[str, ...]:
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
            statement = statement.where(finished.c.completed_at < stamp(older_than))
        with self._db.read() as connection:
            return tuple(connection.execute(statement).scalars())

    def pending_bound_to(self, load_spec_key: str) -> int:
        """How many pending jobs need the model with this ``LoadSpec.key``."""
        with self._db.read() as connection:
            return connection.execute(_BOUND, {"load_spec_key": load_spec_key}).scalar_one()
