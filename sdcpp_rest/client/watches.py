"""Remembers what a stream of events has told of jobs, and finds out what it has missed while it was cut off.

The server tells what was missed where it still has it. Where it has not, a watch looks at the jobs themselves, and
tells the ends that came in between as if they had been heard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from sdcpp_rest.client.answers import take
from sdcpp_rest.client.errors import NotFound, UnexpectedAnswer
from sdcpp_rest.client.event_reading import progress_of
from sdcpp_rest.client.job_looks import check_job, look_at
from sdcpp_rest.client.steps import Doing, Request
from sdcpp_rest.client.wire.jobs import JobShown, QueueShown
from sdcpp_rest.core.events import Event, JobAdded, JobProgress, JobStatusChanged
from sdcpp_rest.core.job import FINISHED, JobStatus

_MOST_LISTED = 1000
_RECENT = 50
_MARGIN = timedelta(seconds=10)


class Watch(ABC):
    """Decides which events are told, and which were missed."""

    is_over = False

    @abstractmethod
    def catch_up(self) -> Doing[list[Event]]:
        """Look at the jobs: a connection was made just now, and the server does not go on where the last one broke off.
        Returns what was missed before."""

    @abstractmethod
    def hear(self, event: Event, at: str) -> bool:
        """Take note of an event; says whether it is news."""


class JobWatch(Watch):
    """Watches one job until its end. ``shown`` is the job as it was last looked at."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._status: JobStatus = "pending"
        self._progress: JobProgress | None = None
        self.shown: JobShown | None = None

    def catch_up(self) -> Doing[list[Event]]:
        self.shown = yield from look_at(self._job_id)
        missed: list[Event] = []
        if self.shown["status"] != self._status:
            missed.append(changed_status(self.shown, self._status))
            self._status = self.shown["status"]
        self.is_over = self._status in FINISHED
        return missed

    def hear(self, event: Event, at: str) -> bool:
        if getattr(event, "job_id", None) != self._job_id:
            return False
        if isinstance(event, JobStatusChanged):
            is_news = event.status != self._status
            self._status = event.status
            self.is_over = event.status in FINISHED
            return is_news
        return not isinstance(event, JobAdded)

    def look_again(self) -> Doing[list[Event]]:
        """As `catch_up`, with the progress, which nobody else tells where there is no stream."""
        told = yield from self.catch_up()
        if self.shown is None or self.is_over or self._status == "pending":
            return told
        progress = progress_of(self._job_id, self.shown["progress"])
        if progress != self._progress:
            self._progress = progress
            told.append(progress)
        return told


class QueueWatch(Watch):
    """Watches all jobs, and never ends. Remembers those that have not ended, the newest whose end was told, and those
    that had ended before anybody listened."""

    def __init__(self) -> None:
        self._open: dict[str, JobStatus] | None = None
        self._older: set[str] = set()
        self._ended: dict[str, None] = {}
        self._heard_at = ""

    def catch_up(self) -> Doing[list[Event]]:
        listed = yield from _list_jobs(limit=_RECENT)
        active = {job["job_id"]: job["status"] for job in listed if job["status"] not in FINISHED}
        missed: list[Event] = []
        if self._open is None:
            self._older = {job["job_id"] for job in listed if job["status"] in FINISHED}
        else:
            before = self._open
            ended = yield from self._find_ended([job_id for job_id in before if job_id not in active])
            # Only now, when nothing can break off any more: what is noted as told has to be told.
            for job in [*(one for one in listed if one["job_id"] in active), *ended]:
                was = before.get(job["job_id"], "pending")
                if job["status"] != was and (job["job_id"] in active or self._note_end(job["job_id"])):
                    missed.append(changed_status(job, was))
        self._open = active
        return missed

    def _find_ended(self, gone: list[str]) -> Doing[list[JobShown]]:
        """The jobs that are no longer active, and those that were submitted and ended while nobody listened."""
        ended: list[JobShown] = []
        for job_id in gone:
            try:
                job = yield from look_at(job_id)
            except NotFound:
                continue  # deleted meanwhile: nobody knows how it ended
            ended.append(job)
        since = yield from _list_jobs(status=sorted(FINISHED), after=_just_before(self._heard_at), limit=_MOST_LISTED)
        return [*ended, *(job for job in reversed(since) if job["job_id"] not in self._older)]

    def hear(self, event: Event, at: str) -> bool:
        self._heard_at = at or self._heard_at
        waiting = self._open if self._open is not None else {}
        if isinstance(event, JobAdded):
            waiting[event.job_id] = "pending"
        elif isinstance(event, JobStatusChanged) and event.status in FINISHED:
            waiting.pop(event.job_id, None)
            # Its end may have been on its way while we looked.
            return self._note_end(event.job_id)
        elif isinstance(event, JobStatusChanged):
            waiting[event.job_id] = event.status
        return True

    def _note_end(self, job_id: str) -> bool:
        """Whether it is news."""
        if job_id in self._ended:
            return False
        self._ended[job_id] = None
        if len(self._ended) > _MOST_LISTED:
            del self._ended[next(iter(self._ended))]
        return True


def changed_status(job: JobShown, before: JobStatus) -> JobStatusChanged:
    """The event that a look at a job stands for. Raises UnexpectedAnswer where the job is none."""
    moments = {name: value for name, value in job.items() if name in ("started_at", "completed_at")}
    told = {
        "job_id": job["job_id"],
        "status": job["status"],
        "previous_status": before,
        "outputs": job["outputs"],
        "error": job.get("error"),
    }
    try:
        return JobStatusChanged.model_validate({**told, **moments})
    except ValidationError:
        raise UnexpectedAnswer(f"The job {job['job_id']} was told in words that are not the API's") from None


def _list_jobs(**query: Any) -> Doing[list[JobShown]]:
    shown = yield from Request(QueueShown, "GET", "/queue", query=query)
    jobs: list[JobShown] = take(shown, "items", list, "GET /queue")
    for job in jobs:
        check_job(job, "GET /queue")
    return jobs


def _just_before(heard_at: str) -> str | None:
    """A little earlier: an event may be heard later than another that came after it."""
    try:
        moment = datetime.fromisoformat(heard_at.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment - _MARGIN).isoformat()
