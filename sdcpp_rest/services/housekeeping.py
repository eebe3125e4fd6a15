"""What happens when nobody asks for anything: an idle model is put to rest, old jobs and pictures are cleared away.

All of it is off until it is configured. The newest finished job is never removed, however old it is: the last picture
that somebody made must still be there when they come back from a holiday.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sdcpp_rest.config import HousekeepingConfig
from sdcpp_rest.core.job import utc_now
from sdcpp_rest.services.job_queue import JobQueue
from sdcpp_rest.services.model_slot import ModelSlot

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 5.0


class Housekeeping:
    """A thread that looks around every few seconds.

    Args:
        clock: monotonic seconds; a test brings its own.
        now: the wall clock, for the age of jobs.
    """

    def __init__(
        self,
        config: HousekeepingConfig,
        queue: JobQueue,
        models: ModelSlot,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._queue = queue
        self._models = models
        self._clock = clock
        self._now = now
        self._busy_at = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look_around(self) -> None:
        """One round of everything that is switched on."""
        self._rest_idle_model()
        self._clear_old_jobs()

    def _loop(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_SECONDS):
            try:
                self.look_around()
            except Exception:
                log.exception("housekeeping stumbled; it goes on")

    def _rest_idle_model(self) -> None:
        minutes = self._config.unload_after_idle_minutes
        if not minutes:
            return
        if self._queue.is_busy or self._models.is_busy or self._models.resident is None:
            self._busy_at = self._clock()
        elif self._clock() - self._busy_at >= minutes * 60:
            log.info("the model was not used for %g minutes and is put to rest", minutes)
            self._models.rest()
            self._busy_at = self._clock()

    def _clear_old_jobs(self) -> None:
        days, kept = self._config.keep_jobs_days, self._config.keep_jobs_count
        if days:
            self._queue.purge_finished(older_than=self._now() - timedelta(days=days))
        if kept:
            self._queue.purge_finished(beyond=kept)
