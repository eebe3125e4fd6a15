"""Runs the jobs of one call that answers with pictures, together: a round. They are submitted together, their pictures
are taken one by one as they come, and a stop ends them together. For every dialect that waits; knows none of them,
never touches the engine, and lives in memory only: the jobs are in the queue like all others.

What happens when not all goes well is the same for every dialect:

- A job that is refused takes those before it along: a round is submitted as a whole or not at all.
- A job that fails ends the round. `EngineDied` (503, ``engine_crashed``) if the engine ended, `GenerationFailed`
  (500) or one of its kinds
  for all else. The rest is cancelled. Pictures that were finished stay in the queue's list and in the output folder;
  the answer is the error, and a stream has sent them before.
- A job that somebody cancels, and one that is skipped, is left out; the others go on.
- A stop (`PictureRounds.interrupt`) cancels what is not finished. Finished pictures are answered, and one whose file is
  being written counts as finished. Who has to answer with a picture and has none raises Conflict.
- A client that leaves a stream closes the round: what is not finished is cancelled, because nobody else knows of it.
- A client that leaves while it waits for the whole answer may come back for it (`services.jobs.departure`). When that
  is given up, what is not finished is cancelled, and each job's record says why.
- A server that stops releases everybody with EngineUnavailable and leaves the jobs: they go on when it is back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from sdcpp_rest.core.job import Job, JobKind, utc_now
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import Conflict, EngineDied, EngineLost, EngineUnavailable, SdcppRestError, error_of_job
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.departure import current_departure
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.preview_watch import PreviewWatch
from sdcpp_rest.services.submission.picture_submission import Submission

PictureKind = Literal["txt2img", "img2img"]

_REMEMBERED = 64
_MOST_PENDING = 1000


@dataclass(frozen=True)
class PictureRequest:
    """What is to be drawn, as `Submission.picture` takes it. ``warnings``: what is to be told about it besides."""

    kind: PictureKind
    asked: Mapping[str, Any]
    images: Mapping[str, str] = field(default_factory=dict)
    spec: LoadSpec | None = None
    warnings: tuple[str, ...] = ()
    caption: str | None = None
    note: str | None = None


@dataclass(eq=False)
class Round:
    """One caller's call. ``token`` is the caller's word for it; ``count`` is how many jobs it will have.

    ``because``: why it was interrupted, where nobody has asked for that. ``last_previews`` holds the last preview (a
    picture file's bytes) of each job stopped while it was computed, by the job's id; ``ended`` the ids of the jobs
    whose end the caller has seen. ``is_left_to_queue``: the server stops, and the jobs are to go on without the caller.
    ``is_closed``: the caller has gone, perhaps while another thread submits the rest.
    """

    owner: str | None
    kind: JobKind
    count: int
    token: str | None = None
    created_at: datetime = field(default_factory=utc_now)
    began_at: float | None = None
    jobs: list[Job] = field(default_factory=list)
    endings: dict[int, Future[Job]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    interrupted: bool = False
    because: SdcppRestError | None = None
    is_left_to_queue: bool = False
    is_closed: bool = False
    skipped: set[str] = field(default_factory=set)
    last_previews: dict[str, bytes] = field(default_factory=dict)

    @property
    def job_ids(self) -> list[str]:
        return [job.id for job in self.jobs]

    @property
    def finished(self) -> int:
        return len(self.ended)


@dataclass(frozen=True)
class RoundResult:
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


class PictureRounds:
    """Submits the jobs of one call together, waits for them, and stops them together.

    Thread-safe; one round has one caller.
    """

    def __init__(self, submission: Submission, queue: JobQueue, active: ActiveJobs, previews: PreviewWatch) -> None:
        self._submission = submission
        self._queue = queue
        self._active = active
        self._previews = previews
        self._lock = threading.Lock()
        self._open: list[Round] = []
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)

    @contextlib.contextmanager
    def open(self, owner: str | None, kind: JobKind, count: int, token: str | None = None) -> Iterator[Round]:
        """A round that others can see and stop while the block lasts. Whoever leaves the block, by its end or by an
        error, leaves no job behind that could still be cancelled, unless the server stops.

        Belongs to the call that the thread serves. Raises CallerGone when that is given up already.
        """
        opened = Round(owner, kind, count, token)
        with current_departure().bind(lambda reason: self._stop(opened, reason)), self._listing(opened):
            yield opened

    @contextlib.contextmanager
    def _listing(self, opened: Round) -> Iterator[None]:
        with self._lock:
            self._open.append(opened)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(opened)
                opened.is_closed = not opened.is_left_to_queue
                if opened.token:
                    self._ended.append(opened.token)
            if not opened.is_left_to_queue:
                # The last one first, or the next would begin as soon as the running one has stopped.
                for job_id in reversed(opened.job_ids):
                    if job_id not in opened.ended:
                        self._cancel(job_id)

    # --- drawing ----------------------------------------------------------------------------------------------------

    def submit(self, opened: Round, submit_one: Callable[[int], Job]) -> None:
        """Submit the round's jobs that are not submitted yet, ``submit_one(k)`` for each k; fewer if it is interrupted
        meanwhile.

        All are submitted at once, so that the engine never waits for the caller. Raises what ``submit_one`` raises.
        """
        for _ in range(len(opened.jobs), opened.count):
            if not self._submit_next(opened, submit_one):
                return

    def draw_next(self, opened: Round, submit_one: Callable[[int], Job]) -> RoundResult | None:
        """Submit one more job of the round and wait for its end: for jobs that need what came of the one before.

        ``submit_one`` gets the job's index. ``None``: the round was interrupted before. Raises what ``submit_one``
        raises, and as `take`.
        """
        with self._lock:
            if opened.interrupted:
                return None
        self._submit_next(opened, submit_one)
        return self.take(opened, len(opened.jobs) - 1)

    def submit_pictures(self, opened: Round, request_of: Callable[[int], PictureRequest], *, origin: str) -> None:
        """Submit the round's jobs as ``request_of(k)`` describes each. Raises what `Submission.picture` raises."""
        self.submit(opened, lambda k: self.submit_picture(opened, request_of(k), origin=origin))

    def submit_picture(self, opened: Round, one: PictureRequest, *, origin: str) -> Job:
        """Submit one job for its owner: what ``submit_one`` of `submit` may call. Raises what `Submission.picture`
        raises."""
        return self._submission.picture(
            one.kind,
            one.asked,
            images=one.images,
            spec=one.spec,
            origin=origin,
            owner=opened.owner,
            warnings=one.warnings,
            caption=one.caption,
            note=one.note,
        )[0]

    def draw_next_picture(self, opened: Round, request: PictureRequest, *, origin: str) -> RoundResult | None:
        """Draw one more picture of the round, as `draw_next`. Raises what `Submission.picture` raises, and as
        `take`."""
        return self.draw_next(opened, lambda _: self.submit_picture(opened, request, origin=origin))

    def submit_series(self, opened: Round, request: PictureRequest, *, origin: str) -> None:
        """Submit the round's jobs as one picture each, whose seeds follow each other; nothing else differs.

        The library decodes a batch only at its end: so the pictures come one by one. Raises what `Submission.picture`
        raises.
        """

        def request_of(k: int) -> PictureRequest:
            # The first may have been left to chance: the others count on from what it got.
            seed = {"seed": int(opened.jobs[0].params["seed"]) + k} if k else {}
            return replace(request, asked={**request.asked, **seed})

        self.submit_pictures(opened, request_of, origin=origin)

    def ending(self, opened: Round, index: int) -> Future[Job]:
        """The future that `take` waits for, for those who have other things to wait for besides. Raises JobNotFound."""
        if index not in opened.endings:
            opened.endings[index] = self._queue.ending(opened.jobs[index].id)
        return opened.endings[index]

    def take(self, opened: Round, index: int) -> RoundResult:
        """Wait for the end of job ``index``.

        Raises EngineDied or a GenerationFailed if it failed, EngineUnavailable when the server stops, JobNotFound.
        """
        try:
            job = self.ending(opened, index).result()
        except EngineUnavailable:
            opened.is_left_to_queue = True
            raise
        opened.ended.add(job.id)
        if job.status == "failed":
            message, facts = job.error or "The picture could not be drawn", {"job_id": job.id, "reason": job.error_code}
            if job.error_code in (EngineDied.code, EngineLost.code):
                raise EngineDied(message, **facts)
            raise error_of_job(job.error_code, message, **facts)
        return RoundResult(index, job, opened.last_previews.get(job.id))

    def take_all(self, opened: Round) -> list[RoundResult]:
        """Wait for all jobs that were submitted; their ends in order. Raises as `take`, at the first that failed."""
        return [self.take(opened, index) for index in range(len(opened.jobs))]

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

    def count_pictures(self, owner: str) -> tuple[int, int]:
        """How many jobs of ``owner``'s open rounds have not ended, and how many of them the engine has now."""
        with self._lock:
            mine = [one for one in self._open if one.owner == owner]
            unfinished = sum(one.count - one.finished for one in mine if not one.interrupted)
        return unfinished, sum(one.job.owner == owner for one in self._active.all())

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
        self._keep_preview(found)
        self._stop(found.round)
        return True

    def interrupt_all(self, is_theirs: Callable[[str | None], bool]) -> int:
        """Stop every open round whose owner ``is_theirs``, as `interrupt` stops one; returns how many that were."""
        with self._lock:
            found = [one for one in self._open if is_theirs(one.owner)]
            for one in found:
                one.interrupted = True
            job_ids = [job_id for one in found for job_id in one.job_ids if job_id not in one.ended]
        for active in self._active.all():
            if active.job.id in job_ids:
                self._keep_preview(RoundProgress(self._round_of(active.job.id), active))
        for job_id in reversed(job_ids):
            self._cancel(job_id)
        return len(found)

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

    def _stop(self, stopped: Round, because: SdcppRestError | None = None) -> None:
        """Cancel what is not finished of a round; ``because`` goes into the jobs' records."""
        with self._lock:
            stopped.interrupted, stopped.because = True, because
            job_ids = [*stopped.job_ids]
        # The last one first, as above.
        for job_id in reversed(job_ids):
            self._cancel(job_id, because)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _submit_next(self, opened: Round, submit_one: Callable[[int], Job]) -> bool:
        """False: the round was stopped meanwhile, and the job with it."""
        job = submit_one(len(opened.jobs))
        with self._lock:
            opened.jobs.append(job)
            is_stopped = opened.interrupted or opened.is_closed
        if is_stopped:
            # The stop came while this one was submitted, and has not seen it.
            self._cancel(job.id, opened.because)
        return not is_stopped

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
        if found.round is None or found.active is None:
            return
        if (jpeg := self._previews.read(found.active)) is not None:
            found.round.last_previews[found.active.job.id] = jpeg

    def _cancel(self, job_id: str, because: SdcppRestError | None = None) -> None:
        active = self._active.get(job_id)
        if active is not None and active.engine_phase == "encoding":
            # Its pixels are there: a cancel would throw a finished picture away.
            return
        with contextlib.suppress(Conflict):
            self._queue.cancel(job_id, because)


def select_completed(drawn: Iterable[RoundResult]) -> list[Job]:
    """The jobs that have pictures, for answers that cannot do without one. Raises Conflict when all were cancelled."""
    jobs = [one.job for one in drawn if one.job.status == "completed"]
    if not jobs:
        raise Conflict("The job was cancelled before a picture was finished")
    return jobs
