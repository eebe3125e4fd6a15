"""Queues jobs: submits, cancels and waits for them, and moves them to their ends for the lanes.

The row is written first, the event published after it, and nothing of a job is published after its end. Never touches
the engine itself: a running job is cancelled through its `ActiveJob`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only since Python 3.11
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sdcpp_rest.core.events import JobAdded, JobCancelled, JobStatusChanged, QueuePaused, QueueResumed
from sdcpp_rest.core.job import FINISHED, Job, JobGroup, JobKind, JobStatus, Timings, utc_now
from sdcpp_rest.core.job_filter import JobFilter
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import Conflict, EngineUnavailable, SdcppRestError, WaitTimeout
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_order import JobOrder
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS, FILE_KINDS
from sdcpp_rest.services.jobs.job_waiters import JobWaiters
from sdcpp_rest.services.jobs.queue_listeners import QueueListeners
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.store.database import DatabaseUnusable
from sdcpp_rest.store.job_claiming import FIRST, ClaimTerms
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.settings_store import SettingsStore

log = logging.getLogger(__name__)

_RETRY_PAUSE_SECONDS = 0.2
_PAUSED = "queue.paused"


class JobQueue(JobOrder, QueueListeners):
    """Submits, lists, cancels and completes jobs, and lets callers wait for their end.

    Thread-safe.

    Args:
        settings: where a pause is remembered: a server that comes back must not begin what was to wait.
        max_pending: jobs that may wait; one more is refused.
        max_requeues: how often a job that the server's own end interrupted is tried again: it may be the reason.
    """

    def __init__(
        self,
        store: JobStore,
        settings: SettingsStore,
        bus: EventBus,
        outputs: Outputs,
        active: ActiveJobs,
        max_pending: int,
        max_requeues: int,
    ) -> None:
        JobOrder.__init__(self, store, active, bus)
        QueueListeners.__init__(self)
        self._settings = settings
        self._outputs = outputs
        self._max_pending = max_pending
        self._max_requeues = max_requeues
        self._waiters = JobWaiters()
        self._closing = threading.Event()
        self._paused = settings.get(_PAUSED) is True

    # --- for everybody ----------------------------------------------------------------------------------------------

    def submit(
        self,
        kind: JobKind,
        params: Mapping[str, Any],
        *,
        load_spec: LoadSpec | None = None,
        job_id: str | None = None,
        inputs: Mapping[str, str] | None = None,
        title: str | None = None,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
        caption: str | None = None,
        note: str | None = None,
        group: JobGroup | None = None,
        device: str | None = None,
    ) -> tuple[Job, int]:
        """Append a job; returns it with its 1-based position among the pending ones.

        When this returns, the job survives a power cut. One that an earlier try of the same call has submitted is
        returned as it is. Raises QueueFull, and EngineUnavailable while the server stops.
        """
        if self._closing.is_set():
            raise EngineUnavailable("The server is stopping and takes no new jobs")
        job_id = job_id or self.new_id()
        if (earlier := self.find_earlier(job_id)) is not None:
            return earlier
        job = Job(
            id=job_id,
            kind=kind,
            params=dict(params),
            load_spec=load_spec,
            inputs=dict(inputs or {}),
            title=title,
            origin=origin,
            owner=owner,
            warnings=tuple(warnings),
            caption=caption,
            note=note,
            group=group,
            device=device,
        )
        with self._active.claim_lock:
            position = self._store.insert(job, self._max_pending)
            self._bus.publish(JobAdded(job_id=job.id, type=job.kind, position=position))
        self.wake_workers(kind)
        return job, position

    def retitle(self, job_id: str, title: str | None) -> Job:
        """Give a job another title, or none. Raises JobNotFound."""
        job = self._store.retitle(job_id, title)
        self._outputs.retitle(job_id, job.title)
        return job

    @property
    def is_busy(self) -> bool:
        """Whether any job for the engine runs, or waits and will run by itself."""
        if any(active.job.kind in ENGINE_KINDS for active in self._active.all()):
            return True
        if self._paused:
            return False
        beside = sum(self._store.counts(JobFilter(kind=kind))["pending"] for kind in FILE_KINDS)
        return self._store.counts()["pending"] > beside

    @property
    def is_paused(self) -> bool:
        return self._paused

    def pause(self) -> bool:
        """Take no job off the queue until `resume`, also after a restart; what runs goes on, and models can be loaded.

        When this returns, nothing more begins. Says whether it changed anything.
        """
        return self._set_paused(True)

    def resume(self) -> bool:
        """Take jobs off the queue again; says whether that changed anything."""
        changed = self._set_paused(False)
        self.wake_workers()
        return changed

    def purge_finished(self, *, older_than: datetime | None = None, beyond: int | None = None) -> int:
        """Forget finished jobs, with their files: those that ended before ``older_than``, or the oldest of more than
        ``beyond``. The newest one stays in any case. Returns how many were removed."""
        removed = 0
        for job_id in self._store.list_expired(older_than=older_than, beyond=beyond):
            # The row first: a row without files would promise pictures, files without a row are only old files.
            if self._store.delete(job_id):
                self._outputs.discard(job_id)
                self._outputs.discard_inputs(job_id)
                removed += 1
        return removed

    def cancel(self, job_id: str, because: SdcppRestError | None = None) -> Literal["cancelled", "cancelling"]:
        """Cancel a pending or a running job. ``cancelling``: the engine has been told and stops at its next step.
        ``because``: why, for the job's record, where nobody has asked for it.

        Raises Conflict for a job that is finished or was never there.
        """
        with self._active.claim_lock:
            job = self._store.transition(job_id, "cancelled", {"pending"}, **_reason(because))
            active = self._active.get(job_id)
            # Under the lock: a job that is just being put back would run again, and the cancel would be lost.
            is_stopping = active is not None and active.request_cancel(because)
        if job is not None:
            self._announce_cancelled(job, "pending")
            return "cancelled"
        if is_stopping:
            return "cancelling"
        if active is not None:
            job = self._store.transition(job_id, "cancelled", {"processing"}, **_reason(because))
            if job is not None:
                # Its files are being encoded or moved; who does that sees that the row was lost and removes them.
                self._announce_cancelled(job, "processing")
                return "cancelled"
        raise Conflict("Cannot cancel job (not found or already processing)")

    def cancel_pending(self) -> int:
        """Cancel every job that waits now; returns how many. What runs goes on."""
        cancelled = 0
        for job_id in self.positions():
            job = self._store.transition(job_id, "cancelled", {"pending"})
            if job is not None:
                self._announce_cancelled(job, "pending")
                cancelled += 1
        return cancelled

    def wait(self, job_id: str, timeout_seconds: float | None = None) -> Job:
        """Block until the job is finished and return it.

        Raises JobNotFound, WaitTimeout (the job goes on), EngineUnavailable when the server stops meanwhile.
        """
        future: Future[Job] = Future()
        try:
            self._add_waiter(job_id, future)
            return future.result(timeout_seconds)
        except FutureTimeoutError:
            raise WaitTimeout(f"Job {job_id} was not finished within {timeout_seconds:g} s; it goes on") from None
        finally:
            self._waiters.remove(job_id, future)

    def ending(self, job_id: str) -> Future[Job]:
        """The future that `wait` waits for, for those who have other things to wait for besides: the finished job, or
        EngineUnavailable when the server stops meanwhile. Raises JobNotFound."""
        future: Future[Job] = Future()
        try:
            self._add_waiter(job_id, future)
        except BaseException:
            self._waiters.remove(job_id, future)
            raise
        return future

    def forget_ending(self, job_id: str, future: Future[Job]) -> None:
        """Forget a future of `ending` that nobody waits for any more."""
        self._waiters.remove(job_id, future)

    def close(self) -> None:
        """Take no more jobs and release everybody who waits. Idempotent."""
        self._closing.set()
        self._waiters.release_all(EngineUnavailable("The server is stopping; the job goes on when it is back"))

    # --- for the lanes ----------------------------------------------------------------------------------------------

    def claim(self, kinds: Collection[JobKind] = ENGINE_KINDS, terms: ClaimTerms = FIRST) -> ActiveJob | None:
        """Take the next pending job of these kinds off the queue, by what the engine that takes it holds (``terms``);
        none while it is paused."""
        with self._active.claim_lock:
            return None if self._paused else self._begin(self._store.claim_next(kinds, terms))

    def claim_this(self, job_id: str) -> ActiveJob | None:
        """Take one job off the queue, if it is still pending; none while it is paused."""
        with self._active.claim_lock:
            if self._paused:
                return None
            return self._begin(self._store.transition(job_id, "processing", {"pending"}, started_at=utc_now()))

    def _begin(self, job: Job | None) -> ActiveJob | None:
        if job is None:
            return None
        active = self._active.add(job)
        self._bus.publish(JobStatusChanged.of(job, "pending"))
        return active

    def complete(
        self, active: ActiveJob, outputs: tuple[str, ...], timings: Timings, warnings: tuple[str, ...]
    ) -> bool:
        """Mark the job completed, whose files are in place; false when a cancel won the row first, and the files have
        to go."""
        job = self._settle(
            active.job.id, "completed", {"processing"}, outputs=outputs, timings=timings, warnings=warnings
        )
        return self._end(active, job)

    def fail(self, active: ActiveJob, code: str, message: str, timings: Timings, **kept: tuple[str, ...]) -> bool:
        """``kept``: ``outputs`` that are in place to be looked at, and ``warnings``. False as `complete`."""
        fields = {"error": message, "error_code": code, "timings": timings, **kept}
        return self._end(active, self._settle(active.job.id, "failed", {"processing"}, **fields))

    def mark_cancelled(self, active: ActiveJob, timings: Timings) -> None:
        """Mark a job cancelled that the engine has stopped on request."""
        reason = _reason(active.cancelled_because)
        job = self._settle(active.job.id, "cancelled", {"processing"}, timings=timings, **reason)
        self._end(active, job)

    def may_requeue(self, job: Job) -> bool:
        """Whether a job that was interrupted, by no fault that is known, is tried once more."""
        return job.attempts <= self._max_requeues or job.kind in FILE_KINDS

    def requeue(self, active: ActiveJob, timings: Timings, *, is_counted: bool = False) -> None:
        """Make a job pending again that could not end (the server stops, there is no engine); this attempt does not
        count, unless ``is_counted``. Only if somebody has cancelled it meanwhile, it is cancelled, with ``timings``."""
        with self._active.claim_lock:
            if not active.cancel_requested:
                job = self._settle(active.job.id, "pending", {"processing"}, refund_attempt=not is_counted)
                self._active.remove(active.job.id)
                if job is not None:
                    self._announce(job)
                    self.tell_requeued(active.job)
                return
        self.mark_cancelled(active, timings)

    def recover(self, encode_spool: Callable[[Job], tuple[str, ...] | None]) -> None:
        """At start: settle what a killed server left behind.

        A job whose output folder is whole is completed; one whose pixels wait in the spool is encoded (``encode_spool``
        returns its outputs); anything else is pending again, ahead of the others, until it was interrupted too often.
        """
        fail = partial(self._store.transition, to="failed", allowed_from={"processing"})
        for job in self._store.list_interrupted():
            outputs = self._outputs.find_published(job.id) or encode_spool(job)
            if outputs is not None and (failure := self._outputs.find_failure(job.id)):
                settled = fail(job.id, outputs=outputs, error=failure.message, error_code=failure.code)
            elif outputs is not None:
                settled = self._store.transition(job.id, "completed", {"processing"}, outputs=outputs)
            elif self.may_requeue(job):
                # A download goes on where it was; it cannot be what took the server down, as a picture can.
                settled = self._store.transition(job.id, "pending", {"processing"})
            else:
                message = f"The server was stopped {job.attempts} times while this job was running"
                settled = fail(job.id, error=message, error_code="interrupted")
            if settled is not None:
                # Clients may be back already: they listen, or wait for this very job.
                log.info("job %s was interrupted; it is %s now", job.id, settled.status)
                self._announce(settled)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _add_waiter(self, job_id: str, future: Future[Job]) -> None:
        self._waiters.add(job_id, future)
        # Looked at after enlisting: a job that ends in between resolves the future.
        job = self._store.get(job_id)
        if job.status in FINISHED:
            self._waiters.remove(job_id, future, job)
        elif self._closing.is_set():
            reason = EngineUnavailable("The server is stopping; the job goes on when it is back")
            self._waiters.remove(job_id, future, reason)

    def _set_paused(self, paused: bool) -> bool:
        with self._active.claim_lock:
            if self._paused == paused:
                return False
            # Written first: a pause that cannot be remembered is refused as a whole.
            self._settings.put(_PAUSED, paused)
            self._paused = paused
            self._bus.publish(QueuePaused() if paused else QueueResumed())
            return True

    def _settle(self, job_id: str, to: JobStatus, allowed_from: Collection[JobStatus], **fields: Any) -> Job | None:
        """`JobStore.transition`, again and again while the disk is full: a job whose end is not written down would be
        processing for ever, and everybody who waits for it with it. Raises only once the server stops."""
        pause = _RETRY_PAUSE_SECONDS
        while True:
            try:
                return self._store.transition(job_id, to, allowed_from, **fields)
            except DatabaseUnusable as error:
                if self._closing.is_set():
                    raise
                log.error("job %s is %s, but that cannot be written down yet: %s", job_id, to, error.message)
            self._closing.wait(pause)
            pause = min(10.0, pause * 2)

    def _end(self, active: ActiveJob, job: Job | None) -> bool:
        """Forget the live state; if this call won the row (``job``), announce the end."""
        self._active.remove(active.job.id)
        if job is None:
            return False
        if job.status == "cancelled":
            self._announce_cancelled(job, "processing")
        else:
            self._announce(job)
        return True

    def _announce(self, job: Job) -> None:
        self._bus.publish(JobStatusChanged.of(job, "processing"))
        if job.status in FINISHED:
            self._resolve(job)

    def _announce_cancelled(self, job: Job, previous: JobStatus) -> None:
        if not job.inputs:
            # Pictures stay until the job is removed: it may be asked for again.
            self._outputs.discard_inputs(job.id)
        if job.error:
            log.info("job %s is cancelled: %s", job.id, job.error)
        self._bus.publish(JobStatusChanged.of(job, previous))
        self._bus.publish(JobCancelled(job_id=job.id, completed_at=job.completed_at))
        self._resolve(job)

    def _resolve(self, job: Job) -> None:
        self.tell_finished(job)
        self._waiters.resolve(job)


def _reason(because: SdcppRestError | None) -> dict[str, Any]:
    return {} if because is None else {"error": because.message, "error_code": because.code}
