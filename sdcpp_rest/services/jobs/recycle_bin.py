"""Keeps finished jobs that somebody deleted, until they are restored or removed for good.

A job is shown in the queue only while its files are in the output folder. So the row leaves first and comes back last,
and whatever a crash interrupts leaves a job in the bin whose files are still in sight: `settle` moves those at the next
start. When a job is purged its files go first: who wants a picture gone must be able to rely on it, and a row without
files goes by itself when its time is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdcpp_rest.core.job import FINISHED, Job, utc_now
from sdcpp_rest.errors import Conflict, JobNotFound, SdcppRestError
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.settings.user_settings import UserSettings
from sdcpp_rest.store.bin_store import BinnedJob, BinStore
from sdcpp_rest.store.job_store import JobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BinItem:
    """A job in the bin, and the moment from which on it may be gone."""

    job: Job
    deleted_at: datetime
    expires_at: datetime


class RecycleBin:
    """Keeps deleted jobs for a while, restores them, or removes them and their files for good.

    Thread-safe: one move at a time, so that nobody purges the files that another restores.

    Args:
        now: the wall clock; a test brings its own.
    """

    def __init__(
        self,
        jobs: JobStore,
        store: BinStore,
        outputs: Outputs,
        settings: UserSettings,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._outputs = outputs
        self._settings = settings
        self._now = now
        self._lock = threading.Lock()

    def delete(self, job_ids: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """Delete finished jobs, into the bin or, when that is off, for good.

        Returns the ids of those that are deleted, and why the others are not.
        """
        keep = self._settings.recycle_bin().enabled
        deleted: list[str] = []
        refused: dict[str, str] = {}
        for job_id in dict.fromkeys(job_ids):
            try:
                with self._lock:
                    self._put(job_id) if keep else self._remove(job_id)
                deleted.append(job_id)
            except SdcppRestError as error:
                refused[job_id] = error.message
        return deleted, refused

    def remove(self, job_id: str) -> None:
        """Remove a finished job for good, past the bin: one that nobody wanted kept. Raises JobNotFound, Conflict."""
        with self._lock:
            self._remove(job_id)

    def items(self, limit: int, offset: int = 0) -> list[BinItem]:
        """List the jobs in the bin: what was deleted last comes first."""
        kept = timedelta(minutes=self._settings.recycle_bin().retention_minutes)
        found: Sequence[BinnedJob] = self._store.list(limit, offset)
        return [BinItem(item.job, item.deleted_at, item.deleted_at + kept) for item in found]

    def count(self) -> int:
        return self._store.count()

    def holds(self, job_id: str) -> bool:
        return self._store.holds(job_id)

    def restore(self, job_id: str) -> Job:
        """Bring a job back to the queue's list, with its files. Raises JobNotFound, Conflict."""
        with self._lock:
            self._check_holds(job_id)
            try:
                self._outputs.restore(job_id)
            except OSError as error:
                raise Conflict(f"The job's files cannot be moved back: {error.strerror}") from error
            return self._store.take(job_id)

    def purge(self, job_id: str) -> None:
        """Remove a job in the bin for good. Raises JobNotFound, Conflict."""
        with self._lock:
            self._check_holds(job_id)
            self._purge(job_id)

    def empty(self) -> int:
        """Remove everything in the bin for good; returns how many jobs that were."""
        return self._purge_all(self._store.ids())

    def purge_expired(self) -> int:
        """Remove what has been in the bin for longer than it is kept; returns how many jobs that were."""
        kept = timedelta(minutes=self._settings.recycle_bin().retention_minutes)
        return self._purge_all(self._store.ids(deleted_before=self._now() - kept))

    def settle(self) -> None:
        """At start: finish what a crash has interrupted."""
        for job_id in self._store.ids():
            try:
                with self._lock:
                    if self._store.holds(job_id) and self._outputs.bin(job_id):
                        log.info("the files of job %s, which is in the recycle bin, were moved there", job_id)
            except OSError as error:
                log.warning("the files of job %s cannot be moved to the recycle bin: %s", job_id, error)

    def _check_holds(self, job_id: str) -> None:
        if not self.holds(job_id):
            raise JobNotFound("Job not found in the recycle bin")

    def _put(self, job_id: str) -> None:
        if not self._store.put(job_id, self._now()):
            self._refuse(job_id)
        try:
            self._outputs.bin(job_id)
        except OSError as error:
            self._store.take(job_id)
            raise Conflict(f"The job's files cannot be moved to the recycle bin: {error.strerror}") from error

    def _remove(self, job_id: str) -> None:
        # The row first: a row without files would promise pictures, files without a row are only old files.
        if not self._jobs.delete(job_id):
            self._refuse(job_id)
        self._outputs.discard(job_id)
        self._outputs.discard_inputs(job_id)

    def _refuse(self, job_id: str) -> None:
        status = self._jobs.get(job_id).status
        if status in FINISHED:
            # It was not a moment ago, when it could not be moved.
            raise Conflict("The job has only just ended; try again", status=status)
        raise Conflict(f"The job is {status}: cancel it first", status=status)

    def _purge_all(self, job_ids: Sequence[str]) -> int:
        purged = 0
        for job_id in job_ids:
            try:
                with self._lock:
                    # Somebody may have restored it since the list was made.
                    if self._store.holds(job_id):
                        self._purge(job_id)
                        purged += 1
            except Conflict as error:
                log.warning("job %s stays in the recycle bin: %s", job_id, error.message)
        return purged

    def _purge(self, job_id: str) -> None:
        try:
            self._outputs.purge(job_id)
            # Where a crash has left them, if nothing has settled that since.
            self._outputs.discard(job_id)
        except OSError as error:
            raise Conflict(f"The job's files cannot be removed: {error.strerror}") from error
        self._outputs.discard_inputs(job_id)
        self._store.drop(job_id)
