"""Builds the queries behind listings of jobs: which rows, in which order, how many, on which days.

Knows the table. Knows nothing of transactions: the stores run these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Select, func, select
from sqlalchemy.sql import ColumnElement

from sdcpp_rest.core.job import JobKind, JobStatus
from sdcpp_rest.core.job_filter import JobFilter, Order, SortKey
from sdcpp_rest.store.job_rows import jobs, stamp, storable

Columns: TypeAlias = Sequence[ColumnElement[Any]]

_SEARCH_WORDS = 16
_DATE_CHARACTERS = 10

# A job without the value (no title, not ended yet) sorts as if it were the smallest.
_SORTED_BY: Mapping[SortKey, ColumnElement[Any]] = {
    "created_at": jobs.c.seq,
    "completed_at": jobs.c.completed_at,
    "title": func.lower(jobs.c.title),
    "type": jobs.c.kind,
    "status": jobs.c.status,
}

TITLES = select(jobs.c.title).where(jobs.c.title > "").distinct()


def conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    """Everything but the status, which decides the order as well."""
    found: list[ColumnElement[bool]] = []
    if wanted.kind is not None:
        found.append(jobs.c.kind == wanted.kind)
    if wanted.architecture:
        found.append(func.instr(func.lower(jobs.c.architecture), storable(wanted.architecture).lower()) > 0)
    if wanted.titles:
        found.append(jobs.c.title.in_([storable(title) for title in wanted.titles]))
    if wanted.before is not None:
        found.append(jobs.c.created_at < stamp(wanted.before))
    if wanted.after is not None:
        found.append(jobs.c.created_at >= stamp(wanted.after))
    for word in storable(wanted.search).casefold().split()[:_SEARCH_WORDS]:
        # instr, not LIKE: a user's % and _ are letters like any other.
        found.append(func.instr(jobs.c.search_text, word) > 0)
    return found


def active(columns: Columns, statuses: Iterable[JobStatus], wanted: JobFilter) -> Select[Any]:
    """Active jobs: the running ones, then those that wait, in the order in which they will run."""
    if wanted == JobFilter(status=wanted.status, kind=wanted.kind):
        return _active_of_kind(tuple(columns), frozenset(statuses), wanted.kind)
    return _active(columns, statuses, conditions(wanted))


@cache
def _active_of_kind(
    columns: tuple[ColumnElement[Any], ...], statuses: frozenset[JobStatus], kind: JobKind | None
) -> Select[Any]:
    """What every look for work asks: putting the statement together takes longer than the answer."""
    return _active(columns, statuses, [] if kind is None else [jobs.c.kind == kind])


def _active(columns: Columns, statuses: Iterable[JobStatus], narrowed: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return (
        select(*columns)
        .where(jobs.c.status.in_(sorted(statuses)), *narrowed)
        .order_by(jobs.c.status.desc(), jobs.c.priority.desc(), jobs.c.seq)  # "processing" sorts after "pending"
    )


def page(
    columns: Columns,
    statuses: Iterable[JobStatus],
    narrowed: Sequence[ColumnElement[bool]],
    order: Order,
    limit: int,
    offset: int,
    sort: SortKey = "created_at",
) -> Select[Any]:
    """The inner select finds the page by narrow columns and an index; only the page's own rows are read in full."""
    keys = dict.fromkeys((_SORTED_BY[sort], jobs.c.seq))
    in_order = [key.desc() if order == "desc" else key.asc() for key in keys]
    found = select(jobs.c.seq).where(_having(statuses), *narrowed).order_by(*in_order).limit(limit).offset(offset)
    return select(*columns).where(jobs.c.seq.in_(found)).order_by(*in_order)


def counts(wanted: JobFilter) -> Select[Any]:
    """Status -> how many."""
    return select(jobs.c.status, func.count()).where(*conditions(wanted)).group_by(jobs.c.status)


def days(wanted: JobFilter, dates: Sequence[str]) -> Select[Any]:
    """Date (``2024-01-31``, UTC) -> how many were submitted then, for those of ``dates``."""
    date = func.substr(jobs.c.created_at, 1, _DATE_CHARACTERS)
    return (
        select(date, func.count())
        .where(_having(wanted.status), *conditions(wanted), date.in_(list(dates)))
        .group_by(date)
    )


def _having(statuses: Iterable[JobStatus]) -> ColumnElement[bool]:
    """Also where all five will do: with it, the narrow index is read, without it every row up to the page's end."""
    return jobs.c.status.in_(sorted(statuses))
