"""Moves a job that waits to another place, by giving those that wait their priorities anew.

Knows the table. Runs inside of a transaction of the store's.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from sdcpp_rest.store.job_rows import jobs

_WAITING = (
    select(jobs.c.id, jobs.c.seq, jobs.c.priority, jobs.c.front)
    .where(jobs.c.status == "pending")
    .order_by(jobs.c.priority.desc(), jobs.c.seq)
)


def move_pending(connection: Connection, job_id: str, before: str | None) -> bool:
    """Put a job right before another one, or behind all (``None``); false where one of the two does not wait.

    Priorities are as low as they can be: 0 at the end, for as long as the order is that of submission. So a job that
    is submitted next is the last, and a claim is one statement as ever.
    """
    rows = [*connection.execute(_WAITING)]
    moved = next((row for row in rows if row.id == job_id), None)
    if moved is None:
        return False
    if before != job_id:
        rows.remove(moved)
        place = next((place for place, row in enumerate(rows) if row.id == before), len(rows))
        if before is not None and place == len(rows):
            return False
        # Before one that goes first whatever an engine holds, it does so as well; behind others it does not any more.
        front = 0 if before is None else rows[place].front
        connection.execute(update(jobs).where(jobs.c.seq == moved.seq).values(front=front))
        rows.insert(place, moved)
    priority, behind = 0, None
    for row in reversed(rows):
        if behind is not None and row.seq > behind.seq:
            priority += 1
        if row.priority != priority:
            connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(priority=priority))
        behind = row
    return True
