"""`GET /queue`: which jobs there are, filtered, paged, sorted, grouped by day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.job import FINISHED, JobKind, JobStatus, utc_now
from sdcpp_rest.core.job_filter import ALL_STATUSES, EVERY_JOB, JobFilter, SortKey
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import json_text, runtime
from sdcpp_rest.routes.http.moments import MOMENT, read_moment
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Text, Wire, optional, read_query
from sdcpp_rest.routes.native.jobs.job_shown import JobShown, Listed, list_texts

queue_listing = Blueprint("queue_listing", __name__)

MAX_LIMIT = 1000
_DATE_CHARACTERS = len("2024-01-31")
_MAX_SKIPPED = 2**31 - 1
_COUNTED = ("pending", "processing", "completed", "failed", "cancelled", "total")


class QueueQuery(Wire):
    """Without ``page``, ``sort`` and ``group_by``, every active job comes first and ``limit`` and ``offset`` count
    finished ones only; with one of them, all jobs are one list."""

    limit: Integer = optional(
        "How many finished jobs at most. Default: the configuration's queue.listed_finished (200).", ge=1, le=MAX_LIMIT
    )
    offset: Integer = Field(0, ge=0, le=_MAX_SKIPPED, description="How many finished jobs to skip; above 0 only those.")
    page: Integer = optional(
        "Instead of offset: this page of `limit` jobs, from 1, active ones among them.", ge=1, le=10**6
    )
    status: list[JobStatus] = Field([], description="Only jobs with one of these.", examples=[["completed", "failed"]])
    type: JobKind = optional("Only jobs of this type.")
    search: Text = optional("Only jobs whose title, prompt, model or id contain every one of these words.")
    architecture: Text = optional("Only jobs whose model's family contains this, in any case.", max_length=100)
    titles: list[Text] = Field([], max_length=100, description="Only jobs with exactly one of these titles.")
    before: Text = optional(f"Only jobs submitted before this moment: {MOMENT}; without a zone, in UTC.")
    after: Text = optional(f"Only jobs submitted at this moment or later: {MOMENT}; without a zone, in UTC.")
    sort: SortKey = optional("What to sort by. Default: created_at.")
    order: Literal["asc", "desc"] = Field("desc", description="desc: newest, or largest, first.")
    group_by: Literal["date"] = optional("Group by the day of submission, in UTC: `groups` instead of `items`.")


class DayShown(Answer):
    """The jobs of one day, as far as they are on this page."""

    date: str = Field(examples=["2024-01-31"])
    label: str = Field(description="For people.", examples=["Today", "Yesterday", "Jan 31, 2024"])
    timestamp: int = Field(description="The day's first moment, in seconds since 1970.")
    count: int = Field(description="How many jobs of that day pass the filters, on all pages.")
    items: list[JobShown]


class QueueShown(Answer):
    """Counts of all jobs, whatever the filters, and the jobs that were asked for. What is said about pages and filters
    is there when something was asked for."""

    pending_count: int
    processing_count: int = Field(ge=0, description="What the engines compute: at most one for each of them.")
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    paused: bool = Field(description="Whether jobs wait until the queue is resumed.")
    filtered_count: int = optional("How many jobs pass the filters, on all pages.")
    limit: int = optional("How many jobs a page holds.")
    offset: int = optional("How many were skipped.")
    page: int = optional("From 1.", ge=1)
    total_pages: int = optional("How many pages there are.", ge=1)
    has_more: bool = optional("Whether there is a next page.")
    has_prev: bool = optional("Whether there is an earlier page.")
    all_titles: list[str] = optional("Every title that a job has, once, in alphabetical order.")
    group_by: Literal["date"] = optional("As asked for.")
    groups: list[DayShown] = optional("The jobs by day, when that was asked for.")
    items: list[JobShown] = Field(description="Empty where the jobs are in `groups`.")


@queue_listing.get("/queue")
@needs("read")
@documents({200: QueueShown}, query=QueueQuery)
def list_jobs() -> Response:
    """List jobs: every active one, and the newest finished ones. The running job comes first, then those that wait in
    the order in which they will run; ``limit`` and ``offset`` page through the finished ones. With ``page``, ``sort``
    or ``group_by`` all of them are one list."""
    query = read_query(QueueQuery)
    sent = query.sent_fields()
    wanted = _filter(query)
    one_list = not sent.keys().isdisjoint(("page", "sort", "group_by"))
    limit = sent.get("limit", runtime().config.queue.listed_finished)
    limit = max(1, limit) if one_list else limit
    offset = _offset(query, limit)
    queue = runtime().jobs.queue
    heads = queue.heads(
        wanted,
        limit=limit,
        offset=offset,
        sort=sent.get("sort", "created_at"),
        order=query.order,
        active_first=not one_list,
    )
    counts = queue.counts()
    head: dict[str, Any] = {f"{name}_count": counts.get(name, 0) for name in _COUNTED}
    head["paused"] = queue.is_paused
    if sent:
        head |= _pages(wanted, limit, offset, one_list)
    listed = list_texts(heads, has_all_waiting=_has_all_waiting(wanted, offset, one_list))
    if "group_by" not in sent:
        return _answer([*_open(head), b'"items":[', *_items(listed), b"]}"])
    head["group_by"] = query.group_by
    return _answer([*_open(head), b'"groups":[', *_groups(wanted, listed), b'],"items":[]}'])


def _filter(query: QueueQuery) -> JobFilter:
    sent = query.sent_fields()
    return JobFilter(
        status=frozenset(query.status) or ALL_STATUSES,
        kind=sent.get("type"),
        search=sent.get("search", ""),
        architecture=sent.get("architecture", ""),
        titles=tuple(query.titles),
        before=read_moment("before", sent.get("before")),
        after=read_moment("after", sent.get("after")),
    )


def _offset(query: QueueQuery, limit: int) -> int:
    page = query.sent_fields().get("page")
    if page is None:
        return query.offset
    if query.offset:
        raise InvalidRequest("page and offset say the same thing: give one of them", field="page", value=page)
    return int((page - 1) * limit)


def _pages(wanted: JobFilter, limit: int, offset: int, one_list: bool) -> dict[str, Any]:
    found = runtime().jobs.queue.count_by_status(wanted)
    paged = found["total"] if one_list else sum(found[status] for status in FINISHED)
    per_page = max(1, limit)
    return {
        "filtered_count": found["total"],
        "limit": limit,
        "offset": offset,
        "page": offset // per_page + 1,
        "total_pages": max(1, -(-paged // per_page)),
        "has_more": offset + limit < paged,
        "has_prev": offset > 0,
        "all_titles": list(runtime().jobs.queue.titles()),
    }


def _has_all_waiting(wanted: JobFilter, offset: int, one_list: bool) -> bool:
    """Whether all jobs that wait are listed, in the order in which they will run."""
    is_narrowed = wanted.model_copy(update={"status": ALL_STATUSES}) != EVERY_JOB
    return "pending" in wanted.status and not is_narrowed and offset == 0 and not one_list


def _groups(wanted: JobFilter, listed: Sequence[Listed]) -> Iterator[bytes]:
    """The days in the order in which the jobs come, each with its jobs."""
    days: dict[str, list[Listed]] = {}
    for one in listed:
        days.setdefault(one.head.created_at[:_DATE_CHARACTERS], []).append(one)
    counts = runtime().jobs.queue.days(wanted, list(days))
    today = utc_now().date()
    for number, (name, items) in enumerate(days.items()):
        day = date.fromisoformat(name)
        start = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
        told = {
            "date": name,
            "label": _label(day, today),
            "timestamp": int(start.timestamp()),
            "count": counts.get(name, 0),
        }
        yield b"," if number else b""
        yield from (*_open(told), b'"items":[', *_items(items), b"]}")


def _label(day: date, today: date) -> str:
    if day == today:
        return "Today"
    return "Yesterday" if day == today - timedelta(days=1) else f"{day:%b} {day.day}, {day.year}"


def _open(head: dict[str, Any]) -> tuple[bytes, bytes]:
    """``head`` as JSON, for more fields to follow."""
    return json_text(head)[:-1].encode(), b","


def _items(listed: Sequence[Listed]) -> list[bytes]:
    """The jobs as the items of an array."""
    parts: list[bytes] = []
    for _, text, end in listed:
        parts += (text, end, b",")
    return parts[:-1]


def _answer(parts: Iterable[bytes]) -> Response:
    return Response(b"".join(parts), mimetype="application/json")
