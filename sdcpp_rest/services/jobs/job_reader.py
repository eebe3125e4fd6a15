"""Looks jobs up: one, many, in pages, by filter; their places in the queue and how far they are.

Reads the rows and the live state of running jobs; changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

from sdcpp_rest.core.job import FINISHED, Job, JobKind, JobStatus, Progress
from sdcpp_rest.core.job_filter import ALL_STATUSES, JobFilter, JobHead, Order, SortKey
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import CallerGone
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.chance import is_of_this_call, new_job_id
from sdcpp_rest.store.job_claiming import ClaimTerms
from sdcpp_rest.store.job_store import JobStore

# The class below has a method called ``list``.
Jobs: TypeAlias = list[Job]
Heads: TypeAlias = list[JobHead]
ENGINE_KINDS: frozenset[JobKind] = frozenset({"txt2img", "img2img", "txt2vid", "upscale", "convert"})
# Done beside the engines, in a lane of their own.
FILE_KINDS: frozenset[JobKind] = frozenset({"model_download", "model_hash"})


class JobReader:
    """Looks up jobs and their progress. Thread-safe."""

    def __init__(self, store: JobStore, active: ActiveJobs) -> None:
        self._store = store
        self._active = active

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return self._store.get(job_id)

    def position(self, job_id: str) -> int | None:
        """1-based among the pending jobs; ``None`` for any other job."""
        return self._store.position(job_id)

    def positions(self) -> dict[str, int]:
        """`position` of every pending job, by id."""
        return self._store.positions()

    def list(
        self,
        limit: int = 200,
        offset: int = 0,
        status: Collection[JobStatus] | None = None,
        kind: JobKind | None = None,
        search: str | None = None,
        order: Order = "desc",
    ) -> Jobs:
        """Without a filter: every active job and the newest ``limit`` finished ones."""
        chosen = set(status) if status else None
        return self._store.list(limit=limit, offset=offset, status=chosen, kind=kind, search=search, order=order)

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
        """As `list`, by every filter there is, and only what changes of each job; without ``active_first`` as one list
        of everything that passes."""
        return self._store.heads(wanted, limit=limit, offset=offset, sort=sort, order=order, active_first=active_first)

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Jobs by id; those that are not there are left out."""
        return self._store.get_many(job_ids)

    def of_group(self, group_id: str, limit: int) -> Jobs:
        """The newest jobs of a group, in the order of submission."""
        return self._store.of_group(group_id, limit)

    def count_by_status(self, wanted: JobFilter) -> dict[str, int]:
        """How many jobs pass a filter, by status; those that its status leaves out are 0 and not in ``total``."""
        counts = self._store.counts(wanted)
        passed: dict[str, int] = {status: counts[status] if status in wanted.status else 0 for status in ALL_STATUSES}
        return {**passed, "total": sum(passed.values())}

    def days(self, wanted: JobFilter, dates: Sequence[str]) -> dict[str, int]:
        """How many jobs that pass were submitted on each of these days (``2024-01-31``, UTC)."""
        return self._store.days(wanted, dates)

    def titles(self) -> tuple[str, ...]:
        """Every title that a job has, once."""
        return self._store.titles()

    def counts(self) -> dict[str, int]:
        """Jobs by status, and ``total``.

        ``processing`` counts what engines compute: a job whose files are still being encoded beside its successor on
        the same engine does not count a second time, and a download not at all.
        """
        counts = dict(self._store.counts())
        active = self._active.all()
        beside = sum(1 for one in active if one.job.kind in FILE_KINDS)
        engines = {one.job.engine for one in active if one.job.kind not in FILE_KINDS}
        counts["processing"] = max(0, min(max(1, len(engines)), counts.get("processing", 0) - beside))
        return counts

    def peek(self, terms: ClaimTerms) -> Job | None:
        """The job that an engine would take now, also while the queue is paused."""
        return self._store.peek_next(ENGINE_KINDS, terms)

    def pending_specs(self) -> Sequence[LoadSpec]:
        """The models that jobs wait for, each once."""
        return self._store.pending_specs()

    def progress(self, job: Job) -> Progress:
        """Where ``job`` stands: live while it is active, complete or untouched otherwise."""
        active = self._active.get(job.id)
        if active is not None and job.status == "processing":
            return active.progress
        steps, images = job.step_count, int(job.params.get("batch_count", 1))
        if job.status == "completed":
            # What is not sampled has one step: that it is done.
            steps = steps or 1
            return Progress(step=steps, total_steps=steps, current_image=images - 1, total_images=images, phase="done")
        return Progress(total_steps=steps, total_images=images, phase="done" if job.status in FINISHED else "queued")

    def new_id(self) -> str:
        """An id for a job that is to be submitted. Of a call that is made again, the next job's: it may be there
        (`find_earlier`), unless it was cancelled for want of a caller or deleted, which is passed over."""
        while True:
            job_id = new_job_id()
            if not is_of_this_call(job_id) or not self._store.is_given_up(job_id, CallerGone.code):
                return job_id

    def find_earlier(self, job_id: str) -> tuple[Job, int] | None:
        """The job that an earlier try of this very call has submitted, and its position (1 where it waits no more)."""
        job = self._store.get_many([job_id]).get(job_id) if is_of_this_call(job_id) else None
        return None if job is None else (job, self.position(job_id) or 1)

    def pending_bound_to(self, spec: LoadSpec) -> int:
        return self._store.pending_bound_to(spec.key)
