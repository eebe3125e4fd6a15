"""Builds the statements that move a job from status to status, or before all that wait.

Knows the table. Whether a move was made is known from the row that the statement returns, or does not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, case, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from sdcpp_rest.core.job import JobStatus
from sdcpp_rest.store.job_rows import JOB_COLUMNS, jobs

_ahead = jobs.alias("ahead")
_highest = select(func.coalesce(func.max(_ahead.c.priority), 0)).where(_ahead.c.status == "pending").scalar_subquery()
TO_FRONT = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.status == "pending")
    .values(priority=_highest + 1, front=1)
    .returning(*JOB_COLUMNS)
)
# What ran goes first again: also before those that were moved to the front while it ran, and before older ones that
# another engine left waiting.
_older = (
    select(func.count())
    .select_from(
        select(_ahead.c.seq).where(_ahead.c.status == "pending", _ahead.c.seq < jobs.c.seq).limit(1).subquery()
    )
    .scalar_subquery()
)
_PRIORITY_OF_A_RETURN = case((or_(_highest > 0, _older > 0), _highest + 1), else_=jobs.c.priority)


@lru_cache(maxsize=64)
def transition_statement(
    names: tuple[str, ...], allowed_from: tuple[JobStatus, ...], *, returns: bool, refunds: bool
) -> ReturningUpdate[Any]:
    """The statement that moves a job and writes these columns, of which there are few: building one takes longer than
    running it. ``returns``: the job goes back to the queue; ``refunds``: the attempt does not count."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    if returns:
        values |= {"priority": _PRIORITY_OF_A_RETURN, "front": 1}
    if refunds:
        values["attempts"] = func.max(jobs.c.attempts - 1, 0)
    moved = update(jobs).where(jobs.c.id == bindparam("job_id"), jobs.c.status.in_(allowed_from))
    return moved.values(values).returning(*JOB_COLUMNS)
