"""Rounds: several jobs that one caller submits together and waits for, so that pictures come one by one and a stop
keeps the finished ones.

For dialects whose calls answer with pictures. Lives in memory only: the jobs themselves are in the queue like all
others, and go on when nobody waits any more. Never touches the engine.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.errors import Conflict, error_of_job
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.job_queue import JobQueue

_REMEMBERED = 64
_MOST_PENDING = 1000


@dataclass
class Round:
    """One caller's call. ``name`` and ``token`` are the caller's words for it; ``count`` is how many jobs it will have.

    ``last_previews`` holds the last preview (a picture file's bytes) of each job stopped while it was computed.
    """

    owner: str
    name: str
    count: int
    token: str | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created_at: datetime = field(default_factory=utc_now)
    began_at: float | None = None
    job_ids: list[str] = field(default_factory=list)
    finished: int = 0
    interrupted: bool = False
    skipped: set[str] = field(default_factory=set)
    last_previews: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """The end of one job of a round: completed, or stopped with the preview it had by then."""

    index: int
    job: Job
    last_preview: bytes | None = None


@dataclass(frozen=True)
class RoundProgress:
    """What a caller's work is doing: the round it belongs to (``None`` for a job that nobody waits for), the job the
    engine has of it (``None`` while it waits), or only a job that waits."""

    round: Round | None
    active: ActiveJob | None
    job_id: str | None = None


class Rounds:
    """Submits the jobs of one call together, waits for them, and stops them together.

    Thread-safe.
    """

    def __init__(self, queue: JobQueue, active: ActiveJobs) -> None:
        self._queue = queue
        self._active = active
        self._lock = threading.Lock()
        self._open: list[Round] = []
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)

    @contextlib.contextmanager
    def open(self, owner: str, name: str, count: int, token: str | None = None) -> Iterator[Round]:
        """A round that others can see and stop while the block lasts."""
        opened = Round(owner, name, count, token)
        with self._lock:
            self._open.append(opened)
        try:
            yield opened
        finally:
            with self._lock:
                self._open.remove(opened)
                if token:
                    self._ended.append(token)

    def draw(self, opened: Round, submit: Callable[[int], Job]) -> list[Drawn]:
        """Submit the round's jobs (``submit(k)`` for each k) and wait for all; returns those that began, in order.

        All are submitted at once, so that the engine never waits for the caller. Raises what ``submit`` and
        `JobQueue.wait` raise, and GenerationFailed for the first job that failed; then the rest is cancelled.
        """
        jobs: list[Job] = []
        try:
            for k in range(opened.count):
                job = submit(k)
                jobs.append(job)
                with self._lock:
                    opened.job_ids.append(job.id)
                    is_stopped = opened.interrupted
                if is_stopped:
                    # The stop came while this one was submitted, and has not seen it.
                    self._cancel(job.id)
                    break
            drawn = []
            for k, job in enumerate(jobs):
                ended = self._queue.wait(job.id)
                opened.finished += 1
                if ended.status == "failed":
                    message, code = ended.error or "The job failed", ended.error_code
                    raise error_of_job(code, message, job_id=ended.id, reason=code)
                drawn.append(Drawn(k, ended, opened.last_previews.get(ended.id)))
            return drawn
        except Exception:
            for job in reversed(jobs):
                self._cancel(job.id)
            raise

    # --- looking ----------------------------------------------------------------------------------------------------

    def progress_of(self, owner: str | None) -> RoundProgress | None:
        """What ``owner``'s (``None``: anybody's) running job is doing, else the oldest of theirs that waits; ``None``
        when they have nothing in the queue."""
        running = self._running(owner)
        if running is not None:
            return self._round_progress(self._round_of(running.job.id), running)
        with self._lock:
            mine = [one for one in self._open if owner in (None, one.owner) and one.finished < one.count]
        if mine:
            return RoundProgress(mine[0], None)
        waiting = self._queue.list(limit=_MOST_PENDING, status={"pending"}, order="asc")
        return next((RoundProgress(None, None, job.id) for job in waiting if owner in (None, job.owner)), None)

    def find(self, token: str) -> RoundProgress | None:
        """The open round with that token."""
        with self._lock:
            found = next((one for one in self._open if one.token == token), None)
        if found is None:
            return None
        active = next((one for one in self._active.all() if one.job.id in found.job_ids), None)
        return self._round_progress(found, active)

    def has_ended(self, token: str) -> bool:
        """Whether a round of that token was closed lately."""
        with self._lock:
            return token in self._ended

    def waiting_tokens(self, owner: str | None) -> list[str]:
        """Tokens of the rounds that wait for their first turn, the oldest first."""
        active = {one.job.id for one in self._active.all()}
        with self._lock:
            mine = [one for one in self._open if one.token and owner in (None, one.owner)]
            return [one.token for one in mine if one.token and not one.finished and not active & {*one.job_ids}]

    # --- stopping ---------------------------------------------------------------------------------------------------

    def interrupt(self, owner: str | None) -> bool:
        """Stop what `progress_of` names, with all jobs of its round; finished pictures stay. False: nothing to stop.

        The engine stops at its next step: this does not wait for it.
        """
        found = self.progress_of(owner)
        if found is None:
            return False
        if found.round is None:
            job_id = found.active.job.id if found.active else found.job_id
            self._cancel(job_id or "")
            return True
        with self._lock:
            found.round.interrupted = True
            job_ids = [*found.round.job_ids]
        self._keep_preview(found)
        # The last one first, or the next would begin as soon as the running one has stopped.
        for job_id in reversed(job_ids):
            self._cancel(job_id)
        return True

    def skip(self, owner: str | None) -> bool:
        """Stop the running job of `progress_of` alone; its round goes on with the next. False when nothing runs."""
        found = self.progress_of(owner)
        if found is None or found.active is None:
            return False
        if found.round is not None:
            self._keep_preview(found)
            found.round.skipped.add(found.active.job.id)
        self._cancel(found.active.job.id)
        return True

    # --- inside -----------------------------------------------------------------------------------------------------

    def _running(self, owner: str | None) -> ActiveJob | None:
        """The job that the engine computes. One whose files are being written is as good as finished."""
        mine = [one for one in self._active.all() if owner in (None, one.job.owner)]
        return next((one for one in mine if one.engine_phase != "encoding"), None)

    def _round_of(self, job_id: str) -> Round | None:
        with self._lock:
            return next((one for one in self._open if job_id in one.job_ids), None)

    def _round_progress(self, found: Round | None, active: ActiveJob | None) -> RoundProgress:
        if found is not None and active is not None and found.began_at is None:
            started_at = active.job.started_at or utc_now()
            found.began_at = time.monotonic() - (utc_now() - started_at).total_seconds()
        return RoundProgress(found, active)

    def _keep_preview(self, found: RoundProgress) -> None:
        """Read before the cancel: the file goes with the job."""
        if found.round is None or found.active is None or found.active.preview_path is None:
            return
        with contextlib.suppress(OSError):
            found.round.last_previews[found.active.job.id] = Path(found.active.preview_path).read_bytes()

    def _cancel(self, job_id: str) -> None:
        active = self._active.get(job_id)
        if active is not None and active.engine_phase == "encoding":
            # Its pixels are there: a cancel would throw a finished picture away.
            return
        with contextlib.suppress(Conflict):
            self._queue.cancel(job_id)
