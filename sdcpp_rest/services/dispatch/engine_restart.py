"""Restarts engines because somebody asks: in order between jobs, or at once, with the running jobs to begin anew.

Each lane's own thread does it; this waits for that. Knows nothing of models: the home lane brings the selected one
back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass

from sdcpp_rest.errors import Conflict
from sdcpp_rest.services.dispatch.engine_calls import RestartCall
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.lane import Lane
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS

# An engine that hears a cancel stops at its next step; one that does not is ended.
_GRACE_SECONDS = 2.0
_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class Restarted:
    """What came of it. ``is_ready``: there are other engines now; otherwise there will be. ``requeued``: jobs that ran
    and wait again. ``failed``: a sentence for each engine of several that has not started again; each is tried on."""

    is_ready: bool
    requeued: tuple[str, ...]
    failed: tuple[str, ...] = ()


class EngineRestart:
    """Restarts engines. Thread-safe: who asks while one is being restarted waits for that restart."""

    def __init__(self, pool: EnginePool, active: ActiveJobs) -> None:
        self._pool = pool
        self._active = active
        self._lock = threading.Lock()
        self._asked: dict[Lane, RestartCall] = {}

    def restart(self, lane: Lane | None = None, *, force: bool, timeout_seconds: float) -> Restarted:
        """End the engine of ``lane``, or all of them, and start others; blocks until those are ready, for
        ``timeout_seconds`` at most.

        Raises Conflict while a job runs there, unless ``force``: it is stopped then and waits again, and whatever does
        not stop ends with its engine. Raises EngineUnavailable when the server stops, or no engine starts.
        """
        until = time.monotonic() + timeout_seconds
        lanes = self._pool.lanes if lane is None else (lane,)
        running = self._find_running(lane)
        if running and not force:
            names = [active.job.id for active in running]
            raise Conflict(f"A job runs: {', '.join(names)}; wait for it, cancel it, or give force", jobs=names)
        # Those and no others: the next ones are on their way when these have ended.
        hanging = {one: one.supervisor.client for one in lanes}
        # Asked before the jobs are stopped: they would be taken off the queue again at once.
        calls = {one: self._ask(one) for one in lanes}
        for one in lanes:
            one.supervisor.hurry()
        requeued = tuple(active.job.id for active in running if active.request_requeue())
        answers = [call.answer for call in calls.values()]
        wait(answers, min(_GRACE_SECONDS, timeout_seconds))
        for one, client in hanging.items():
            if force and client is not None and not calls[one].answer.done():
                client.stop(_STOP_SECONDS)
        wait(answers, max(0.0, until - time.monotonic()))
        done = {one: call.answer for one, call in calls.items() if call.answer.done()}
        errors = {one: error for one, answer in done.items() if (error := answer.exception()) is not None}
        if len(errors) == len(lanes):
            raise next(iter(errors.values()))
        failed = tuple(f"{one.name or 'An engine'} has not started again: {error}" for one, error in errors.items())
        return Restarted(len(done) == len(answers) and self._pool.home not in errors, requeued, failed)

    def _find_running(self, lane: Lane | None) -> Sequence[ActiveJob]:
        """The jobs that run on ``lane``'s engine, or on any."""
        running = [active for active in self._active.all() if active.job.kind in ENGINE_KINDS]
        return [active for active in running if lane is None or active.job.engine == lane.name]

    def _ask(self, lane: Lane) -> RestartCall:
        with self._lock:
            asked = self._asked.get(lane)
            if asked is None or asked.answer.done():
                asked = self._asked[lane] = RestartCall()
                lane.calls.put(asked)
            return asked
