"""Restarts the engine because somebody asks: in order between jobs, or at once, with the running job to begin anew.

The dispatcher's thread does it; this waits for that. Knows nothing of models: the dispatcher brings the selected one
back.
"""

from __future__ import annotations

import threading
from concurrent.futures import wait
from dataclasses import dataclass

from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import Conflict
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls, RestartCall
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS

# An engine that hears a cancel stops at its next step; one that does not is ended.
_GRACE_SECONDS = 2.0
_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class Restarted:
    """What came of it. ``is_ready``: there is another engine now; otherwise there will be one. ``requeued``: jobs that
    ran and wait again."""

    is_ready: bool
    requeued: tuple[str, ...]


class EngineRestart:
    """Restarts the engine. Thread-safe: who asks while it is being restarted waits for that restart."""

    def __init__(self, supervisor: EngineSupervisor, calls: EngineCalls, active: ActiveJobs) -> None:
        self._supervisor = supervisor
        self._calls = calls
        self._active = active
        self._lock = threading.Lock()
        self._asked: RestartCall | None = None

    def restart(self, *, force: bool, timeout_seconds: float) -> Restarted:
        """End the engine and start another; blocks until that is ready, for ``timeout_seconds`` at most.

        Raises Conflict while a job runs, unless ``force``: it is stopped then and waits again, and whatever does not
        stop ends with the engine. Raises EngineUnavailable when the server stops, or no engine starts.
        """
        running = [active for active in self._active.all() if active.job.kind in ENGINE_KINDS]
        if running and not force:
            names = [active.job.id for active in running]
            raise Conflict(f"A job runs: {', '.join(names)}; wait for it, cancel it, or give force", jobs=names)
        # That one and no other: the next is on its way when it has ended.
        hanging = self._supervisor.client
        # Asked before the job is stopped: it would be taken off the queue again at once.
        call = self._ask()
        self._supervisor.hurry()
        requeued = tuple(active.job.id for active in running if active.request_requeue())
        grace = min(_GRACE_SECONDS, timeout_seconds)
        wait([call.answer], grace)
        if force and hanging is not None and not call.answer.done():
            hanging.stop(_STOP_SECONDS)
        wait([call.answer], timeout_seconds - grace)
        if call.answer.done():
            call.answer.result()
        return Restarted(is_ready=call.answer.done(), requeued=requeued)

    def _ask(self) -> RestartCall:
        with self._lock:
            if self._asked is None or self._asked.answer.done():
                call = RestartCall()
                self._calls.put(call)
                self._asked = call
            return self._asked
