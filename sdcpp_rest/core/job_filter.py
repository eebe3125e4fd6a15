"""Defines filters for listings of jobs: which ones are shown, and in which order.

Pure words; the store turns them into a query.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import ACTIVE, FINISHED, JobKind, JobStatus

Order = Literal["asc", "desc"]
SortKey = Literal["created_at", "completed_at", "title", "type", "status"]
ALL_STATUSES: frozenset[JobStatus] = ACTIVE | FINISHED


class JobFilter(Frozen):
    """A job is shown when it passes all of these; the defaults let every job pass.

    ``search``: every word occurs in title, prompt, model name or id. ``architecture``: occurs in the model's.
    ``titles``: it has one of them exactly. ``before`` and ``after``: submitted before, or not before, that moment.
    """

    status: frozenset[JobStatus] = ALL_STATUSES
    kind: JobKind | None = None
    search: str = ""
    architecture: str = ""
    titles: tuple[str, ...] = ()
    before: datetime | None = None
    after: datetime | None = None


class JobHead(NamedTuple):
    """What of a job ever changes but its place and its progress: equal heads of one id mean equal jobs.

    Times as they are stored: ISO-8601 in UTC.
    """

    id: str
    status: JobStatus
    created_at: str
    started_at: str | None
    completed_at: str | None
    title: str | None


EVERY_JOB = JobFilter()
