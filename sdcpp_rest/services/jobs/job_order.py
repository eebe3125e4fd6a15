"""Changes the order in which jobs that wait will run.

The order is in the rows, so that it survives a restart and a claim needs no more than one statement. Never touches a
job that runs.
"""

from __future__ import annotations

from sdcpp_rest.core.events import QueueReordered
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import Conflict
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_reader import JobReader
from sdcpp_rest.store.job_store import JobStore


class JobOrder(JobReader):
    """Moves jobs that wait. Thread-safe."""

    def __init__(self, store: JobStore, active: ActiveJobs, bus: EventBus) -> None:
        super().__init__(store, active)
        self._bus = bus

    def to_front(self, job_id: str) -> Job:
        """Make a pending job the next one. Raises JobNotFound, and Conflict for one that does not wait."""
        # Under the lock: the dispatcher must not take the next job between the look and the move.
        with self._active.claim_lock:
            job = self._store.to_front(job_id)
            if job is not None:
                self._bus.publish(QueueReordered(job_id=job_id, position=1))
        return job if job is not None else self._refuse(job_id, "to the front")

    def move(self, job_id: str, before: str | None) -> Job:
        """Move a pending job right before another one; ``None``: behind all. Raises JobNotFound, and Conflict for one
        that does not wait, ``before`` included."""
        with self._active.claim_lock:
            job = self._store.move(job_id, before)
            if job is not None:
                self._bus.publish(QueueReordered(job_id=job_id, position=self.position(job_id) or 1))
        if job is None and before is not None and self.get(job_id).status == "pending":
            self._refuse(before, "behind another one")
        return job if job is not None else self._refuse(job_id, "within the queue")

    def _refuse(self, job_id: str, where: str) -> Job:
        status = self._store.get(job_id).status
        raise Conflict(f"Only a pending job can be moved {where}; this one is {status}", status=status, job_id=job_id)
