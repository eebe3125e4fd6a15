"""Stores the recycle bin in SQLite: finished jobs that somebody deleted, whole, until they are restored or forgotten.

A job is in the queue's table or in this one, never in both or neither: every move is one transaction. Knows nothing of
files, and not when a row has been here long enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, bindparam, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from sdcpp_rest.core.job import FINISHED, Job
from sdcpp_rest.errors import Conflict, JobNotFound
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import BINNED_COLUMNS, JOB_COLUMNS, binned, job_of, jobs, stamp, storable

_ALL = [column.name for column in jobs.columns]
_DELETABLE = (jobs.c.id == bindparam("job_id"), jobs.c.status.in_(sorted(FINISHED)))
_PUT = insert(binned).from_select(
    [*_ALL, "deleted_at"],
    select(*jobs.columns, bindparam("now", type_=Text)).where(*_DELETABLE),
)
_REMOVE = delete(jobs).where(*_DELETABLE)
_TAKE = insert(jobs).from_select(
    _ALL, select(*(binned.c[name] for name in _ALL)).where(binned.c.id == bindparam("job_id"))
)
_DROP = delete(binned).where(binned.c.id == bindparam("job_id"))
_LISTED = select(*BINNED_COLUMNS).order_by(binned.c.deleted_at.desc(), binned.c.seq.desc())
_IDS = select(binned.c.id).order_by(binned.c.deleted_at, binned.c.seq)


@dataclass(frozen=True)
class BinnedJob:
    """A job in the bin, and since when."""

    job: Job
    deleted_at: datetime


class BinStore:
    """Stores the rows of deleted jobs until they are restored or removed.

    Every method may be called from every thread.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, job_id: str, now: datetime) -> bool:
        """Move a finished job from the queue's table into the bin; False for any other. Durable: its files follow."""
        with self._db.write_durable() as connection:
            moved = connection.execute(_PUT, {"job_id": storable(job_id), "now": stamp(now)}).rowcount > 0
            if moved:
                connection.execute(_REMOVE, {"job_id": storable(job_id)})
            return moved

    def take(self, job_id: str) -> Job:
        """Move a job back, to its old place. Raises JobNotFound, and Conflict where another job has its id by now."""
        named = {"job_id": storable(job_id)}
        with self._db.write() as connection:
            try:
                if connection.execute(_TAKE, named).rowcount == 0:
                    raise JobNotFound("Job not found in the recycle bin")
            except IntegrityError as error:
                raise Conflict(f"A job with the id {job_id!r} is already there.") from error
            connection.execute(_DROP, named)
            return job_of(connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == named["job_id"])).one())

    def drop(self, job_id: str) -> bool:
        """Forget a job; True if this call removed it."""
        with self._db.write() as connection:
            return connection.execute(_DROP, {"job_id": storable(job_id)}).rowcount > 0

    def holds(self, job_id: str) -> bool:
        with self._db.read() as connection:
            found = connection.execute(select(binned.c.seq).where(binned.c.id == storable(job_id)))
            return found.one_or_none() is not None

    def list(self, limit: int, offset: int = 0) -> Sequence[BinnedJob]:
        """List the jobs in the bin: what was deleted last comes first."""
        with self._db.read() as connection:
            rows = connection.execute(_LISTED.limit(limit).offset(offset)).all()
        return [BinnedJob(job_of(row), datetime.fromisoformat(row[-1])) for row in rows]

    def count(self) -> int:
        with self._db.read() as connection:
            return connection.execute(select(func.count()).select_from(binned)).scalar_one()

    def ids(self, deleted_before: datetime | None = None) -> Sequence[str]:
        """All of them, or those that were deleted before a moment; oldest first."""
        statement = _IDS if deleted_before is None else _IDS.where(binned.c.deleted_at < stamp(deleted_before))
        with self._db.read() as connection:
            return connection.execute(statement).scalars().all()
