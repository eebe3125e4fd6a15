"""Keeps who waits for the ends of jobs: futures by job, resolved by whoever ends the job.

In memory only. Knows no queue, and does not decide when a job has ended.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from sdcpp_rest.core.job import Job


class JobWaiters:
    """Holds the futures of those who wait for jobs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[str, list[Future[Job]]] = {}

    def add(self, job_id: str, future: Future[Job]) -> None:
        with self._lock:
            self._futures.setdefault(job_id, []).append(future)

    def remove(self, job_id: str, future: Future[Job], result: Job | Exception | None = None) -> None:
        """Wait for the job no more; resolve ``future`` unless whoever ended the job has."""
        with self._lock:
            waiting = self._futures.get(job_id, [])
            is_ours = future in waiting
            if is_ours:
                waiting.remove(future)
            if not waiting:
                self._futures.pop(job_id, None)
        if not is_ours or result is None:
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    def is_waited_for(self, job_id: str) -> bool:
        with self._lock:
            return job_id in self._futures

    def resolve(self, job: Job) -> None:
        """Hand the ended job to all that wait for it."""
        with self._lock:
            futures = self._futures.pop(job.id, [])
        for future in futures:
            future.set_result(job)

    def release_all(self, error: Exception) -> None:
        """Have all who wait for any job fail with ``error``."""
        with self._lock:
            futures = [future for futures in self._futures.values() for future in futures]
            self._futures.clear()
        for future in futures:
            future.set_exception(error)
