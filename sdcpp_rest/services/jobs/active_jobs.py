"""Tracks the jobs that have left the queue and are not finished: their live state, in memory only.

The dispatcher moves them on, the queue cancels them, routes read their progress. The races between those are settled
here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sdcpp_rest.core.job import Job, Phase, Progress, Transfer
from sdcpp_rest.core.speed import Bound
from sdcpp_rest.core.step_times import Pace, StepTimes
from sdcpp_rest.engine.client import EngineClient, RunHandle
from sdcpp_rest.errors import SdcppRestError


class ActiveJob:
    """Tracks one job between its claim and its end.

    ``computed`` and ``cancel_requested`` exclude each other: whichever comes first under the lock decides whether a
    cancel still has to stop the engine (`request_cancel` is true) or only has to win the row (it is false).

    ``cancel_requested`` is a user's wish and final (``cancelled_because``: why, where nobody has said so);
    ``requeue_requested`` is the stopping server's and gives way to it.
    ``engine_phase`` is what the engine does, also while people are shown "cancelling". A job that needs no engine is
    stopped through ``on_stop``; ``transfer`` is how far its file has come. ``times`` are those of its phases and steps,
    with ``bound``, what it needs in the engine. ``has_preview``: the engine has one, or `preview_path` is where the
    newest lies: see `PreviewWatch`.
    """

    def __init__(self, job: Job) -> None:
        steps, images = job.step_count, int(job.params.get("batch_count", 1))
        self.job = job
        self.progress = Progress(total_steps=steps, total_images=images, phase="loading")
        self.preview_path: str | None = None
        self.has_preview = False
        self.load_seconds = 0.0
        self.last_step_seconds = 0.0
        self.engine_phase: Phase = "loading"
        self.stop_requested_at: float | None = None
        self.cancel_requested = False
        self.cancelled_because: SdcppRestError | None = None
        self.transfer: Transfer | None = None
        self.times = StepTimes(time.monotonic())
        self.bound: Bound | None = None
        self.on_stop: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._computed = False
        self._client: EngineClient | None = None
        self._run: RunHandle | None = None
        self._last_step_at = time.monotonic()

    @property
    def requeue_requested(self) -> bool:
        return self.stop_requested_at is not None and not self.cancel_requested

    @property
    def pace(self) -> Pace:
        """How quick it is, and what is left of it."""
        with self._changed:
            return self.times.pace(self.progress, time.monotonic())

    def note_preview(self, path: str) -> None:
        """Take the engine's word that there is a preview, at ``path``; empty: it is no file yet."""
        with self._changed:
            self.has_preview = True
            self.preview_path = path or self.preview_path
            self._changed.notify_all()

    def wait_for_preview(self, timeout_seconds: float) -> str | None:
        """Where the newest preview lies; waits for one that is to become a file."""
        with self._changed:
            if self.has_preview:
                self._changed.wait_for(lambda: self.preview_path is not None, timeout_seconds)
            return self.preview_path

    def request_cancel(self, because: SdcppRestError | None = None) -> bool:
        """Have the engine stop this job; false when its pixels are computed already and only its row is left to win.
        The reason of who was first stays.

        May come before the engine has been told of the job at all; then `attach` passes it on.
        """
        return self._request_stop(for_good=True, because=because)

    def request_requeue(self) -> bool:
        """The server stops: have the engine stop this job, which will be pending again; false when it is computed."""
        return self._request_stop(for_good=False)

    def _request_stop(self, for_good: bool, because: SdcppRestError | None = None) -> bool:
        with self._changed:
            if self._computed:
                return False
            if for_good and not self.cancel_requested:
                self.cancelled_because = because
            self.cancel_requested = self.cancel_requested or for_good
            if self.stop_requested_at is None:
                self.stop_requested_at = time.monotonic()
                self.progress = self.progress.model_copy(update={"phase": "cancelling"})
            client, run = self._client, self._run
            self._changed.notify_all()
        if client is not None and run is not None:
            client.cancel(run.number)
        self.on_stop()
        return True

    def attach(self, client: EngineClient, run: RunHandle) -> None:
        """Note that the engine has the job now, as ``run``."""
        with self._changed:
            self._client, self._run = client, run
            late = self.stop_requested_at is not None
        if late:
            client.cancel(run.number)
        run.computed.add_done_callback(lambda _: self._notify())

    def mark_computed(self) -> bool:
        """Note that the pixels are in the spool; false when a cancel was faster, and they are to be thrown away."""
        with self._changed:
            if self.cancel_requested:
                return False
            self._computed = True
            return True

    def wait_computed(self, run: RunHandle, patience_seconds: Callable[[ActiveJob], float]) -> bool:
        """Wait until ``run.computed`` is resolved; false when a cancel was asked for and not honoured in time.

        ``patience_seconds`` says how long a cancel may take in the phase the job is in.
        """
        with self._changed:
            while not run.computed.done():
                timeout = None
                if self.stop_requested_at is not None:
                    timeout = self.stop_requested_at + patience_seconds(self) - time.monotonic()
                    if timeout <= 0:
                        return False
                self._changed.wait(timeout)
        return True

    def advance(self, step: int, total_steps: int, image: int, phase: Phase) -> Progress:
        """Take a progress report; ``total_steps`` of 0 changes the phase alone. Returns the new progress."""
        with self._changed:
            update: dict[str, object] = {} if self.stop_requested_at else {"phase": phase}
            now = time.monotonic()
            (self.times.take_step if total_steps else self.times.enter)(phase, image, now)
            if total_steps:
                self.last_step_seconds, self._last_step_at = now - self._last_step_at, now
                update |= {"step": step, "total_steps": total_steps, "current_image": image}
            self.progress = self.progress.model_copy(update=update)
            if self.engine_phase != phase:
                # Who waits for a cancel to be heard waits more or less long in another phase.
                self.engine_phase, self._last_step_at = phase, now
                self._changed.notify_all()
            return self.progress

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


class ActiveJobs:
    """Keeps all active jobs, by id.

    ``claim_lock`` makes "the row is claimed" and "the job is listed here" one step for those who cancel, and "the row
    is inserted" and "its job_added is published" one step for those who claim.
    """

    def __init__(self) -> None:
        self.claim_lock = threading.Lock()
        self._lock = threading.Lock()
        self._jobs: dict[str, ActiveJob] = {}

    def add(self, job: Job) -> ActiveJob:
        active = ActiveJob(job)
        with self._lock:
            self._jobs[job.id] = active
        return active

    def get(self, job_id: str) -> ActiveJob | None:
        return self._jobs.get(job_id)

    def remove(self, job_id: str) -> None:
        with self._lock:
            self._jobs.pop(job_id, None)

    def all(self) -> list[ActiveJob]:
        with self._lock:
            return list(self._jobs.values())
