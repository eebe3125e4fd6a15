"""Stores calls that are asked for later by an id of their own, with the jobs they became.

Knows no dialect, and not what a job is.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.engine import Connection, Row

from sdcpp_rest.core.kept_call import CallPart, KeptCall
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import storable

_COLUMNS = "SELECT number, id, client, texts, sent FROM kept_calls "
_BY_ID = text(_COLUMNS + "WHERE id = :id")
_BY_JOB = text(_COLUMNS + "WHERE number = (SELECT number FROM kept_call_jobs WHERE job_id = :job_id)")
_ITS_JOBS = "(SELECT 1 FROM kept_call_jobs k JOIN jobs j ON j.id = k.job_id WHERE k.number = kept_calls.number AND "
_IS_IDLE = f"NOT EXISTS {_ITS_JOBS} j.status IN ('pending', 'processing'))"
_ENDED = text(
    _COLUMNS
    + f"WHERE EXISTS {_ITS_JOBS} j.started_at IS NOT NULL) "
    + f"AND {_IS_IDLE} "
    + "ORDER BY number DESC LIMIT :limit OFFSET :offset"
)
_JOBS = text(
    "SELECT number, job_id, part FROM kept_call_jobs WHERE number BETWEEN :first AND :last ORDER BY number, place"
)
_ANY = text("SELECT 1 FROM kept_calls LIMIT 1")
_ADD = text("INSERT OR IGNORE INTO kept_calls (id, client, texts, sent) VALUES (:id, :client, :texts, :sent)")
_ADD_JOB = text("INSERT INTO kept_call_jobs (job_id, number, place, part) VALUES (:job_id, :number, :place, :part)")
_TRIM = text("DELETE FROM kept_calls WHERE number <= :number - :most")
_FORGET = text(f"DELETE FROM kept_calls WHERE id = :id AND {_IS_IDLE}")
_FORGET_ALL = text(f"DELETE FROM kept_calls WHERE {_IS_IDLE}")


class CallStore:
    """Stores kept calls, finds them by their ids and by their jobs'."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, call: KeptCall, most: int) -> int | None:
        """Store a call and forget those that are more than ``most`` numbers older; returns its number, ``None`` where
        its id is taken."""
        values = {
            "id": storable(call.id),
            "client": call.client and storable(call.client),
            "texts": json.dumps(dict(call.texts)),
            "sent": json.dumps(dict(call.sent)),
        }
        with self._db.write() as connection:
            added = connection.execute(_ADD, values)
            if not added.rowcount:
                return None
            number: int = added.lastrowid
            for place, part in enumerate(call.parts):
                about = json.dumps(dict(part.about))
                connection.execute(_ADD_JOB, {"job_id": part.job_id, "number": number, "place": place, "part": about})
            connection.execute(_TRIM, {"number": number, "most": most})
        return number

    def is_empty(self) -> bool:
        with self._db.read() as connection:
            return connection.execute(_ANY).first() is None

    def find(self, call_id: str) -> KeptCall | None:
        with self._db.read() as connection:
            row = connection.execute(_BY_ID, {"id": storable(call_id)}).one_or_none()
            return None if row is None else _calls_of(connection, [row])[0]

    def find_by_job(self, job_id: str) -> KeptCall | None:
        """The call that a job belongs to."""
        with self._db.read() as connection:
            row = connection.execute(_BY_JOB, {"job_id": job_id}).one_or_none()
            return None if row is None else _calls_of(connection, [row])[0]

    def newest_ended(self, limit: int, offset: int = 0) -> list[KeptCall]:
        """The newest calls of which something was begun and nothing waits or runs any more, the last one first."""
        with self._db.read() as connection:
            return _calls_of(connection, connection.execute(_ENDED, {"limit": limit, "offset": offset}).all())

    def forget(self, call_ids: Collection[str] | None) -> int:
        """Forget calls, or all (``None``), of which nothing waits or runs; returns how many those were. Their jobs
        stay."""
        with self._db.write() as connection:
            if call_ids is None:
                return connection.execute(_FORGET_ALL).rowcount
            return sum(connection.execute(_FORGET, {"id": storable(call_id)}).rowcount for call_id in call_ids)


def _calls_of(connection: Connection, rows: Collection[Row[tuple[object, ...]]]) -> list[KeptCall]:
    if not rows:
        return []
    numbers = [row.number for row in rows]
    parts: dict[int, list[CallPart]] = {}
    for job in connection.execute(_JOBS, {"first": min(numbers), "last": max(numbers)}):
        parts.setdefault(job.number, []).append(CallPart(job_id=job.job_id, about=json.loads(job.part)))
    return [
        KeptCall(
            id=row.id,
            number=row.number,
            client=row.client,
            texts=json.loads(row.texts),
            sent=json.loads(row.sent),
            parts=tuple(parts.get(row.number, ())),
        )
        for row in rows
    ]
