"""Tells those who take jobs off the queue that there may be one, and those who want to know that one has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sdcpp_rest.core.job import Job, JobKind
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS


class QueueListeners:
    """Calls workers and watchers of the queue."""

    def __init__(self) -> None:
        self._workers: tuple[tuple[Callable[[], None], Collection[JobKind]], ...] = ()
        self._watchers: list[Callable[[Job], None]] = []
        self._requeue_watchers: list[Callable[[Job], None]] = []

    def wake_on_submit(self, wake: Callable[[], None], kinds: Collection[JobKind] = ENGINE_KINDS) -> None:
        """Have ``wake`` called, on any thread, when there may be a job of these kinds to take."""
        self._workers = (*self._workers, (wake, kinds))

    def forget_worker(self, wake: Callable[[], None]) -> None:
        """Call a worker no more."""
        self._workers = tuple(one for one in self._workers if one[0] != wake)

    def call_on_finish(self, callback: Callable[[Job], None]) -> None:
        """Have ``callback`` called with every job that ends, on the thread that ended it. For the start: not
        thread-safe."""
        self._watchers.append(callback)

    def call_on_requeue(self, callback: Callable[[Job], None]) -> None:
        """Have ``callback`` called with every job that an engine has begun and that waits again, as it was begun, on
        the thread that put it back. For the start: not thread-safe."""
        self._requeue_watchers.append(callback)

    def wake_workers(self, kind: JobKind | None = None) -> None:
        """Tell whoever takes jobs that there may be one; ``kind``: one of this kind. No others: each thread that wakes
        for nothing holds up those that work."""
        for wake, kinds in self._workers:
            if kind is None or kind in kinds:
                wake()

    def tell_finished(self, job: Job) -> None:
        """Tell that ``job`` has ended."""
        for callback in self._watchers:
            callback(job)

    def tell_requeued(self, job: Job) -> None:
        """Tell that ``job`` waits again."""
        for callback in self._requeue_watchers:
            callback(job)
