"""Unloads idle models and removes old jobs and pictures, when nobody asks for anything.

Old jobs stay until the configuration says otherwise; what users chose while the server runs decides about idle models
and the recycle bin. The newest finished job is never removed, however old it is: the last picture that somebody made
must still be there when they come back from a holiday.

A wall clock that jumps may jump back: what is only old by such a clock is kept for some minutes more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sdcpp_rest.config import HousekeepingConfig
from sdcpp_rest.core.job import utc_now
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.settings.user_settings import IdleUnload, UserSettings

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 5.0
_JUMP_SECONDS = 3600.0
# Time enough for a clock to be set right that a machine has begun with, or somebody has typed.
_STEADY_SECONDS = 600.0


class Slot(Protocol):
    """What can be put to rest: the model, the upscaler."""

    @property
    def is_holding(self) -> bool: ...

    @property
    def is_busy(self) -> bool: ...

    def unload_keeping_selection(self) -> None: ...


@dataclass
class _Idle:
    name: str
    slot: Slot
    busy_at: float


class Housekeeping:
    """Looks every few seconds, on a thread of its own, for what has been idle or kept for too long.

    Args:
        upscalers: the upscaler's slot, where there is one.
        also: what else is to be done in each round.
        by_age: the same, where it removes what the wall clock says is old.
        clock: monotonic seconds; a test brings its own.
        now: the wall clock, for the age of jobs.
    """

    def __init__(
        self,
        config: HousekeepingConfig,
        queue: JobQueue,
        models: Slot,
        settings: UserSettings,
        recycle_bin: RecycleBin,
        *,
        upscalers: Slot | None = None,
        also: Sequence[Callable[[], object]] = (),
        by_age: Sequence[Callable[[], object]] = (),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._queue = queue
        self._settings = settings
        self._recycle_bin = recycle_bin
        self._also = also
        self._by_age = (recycle_bin.purge_expired, *by_age)
        self._clock = clock
        self._now = now
        self._model = _Idle("model", models, clock())
        self._upscaler = None if upscalers is None else _Idle("upscaler", upscalers, clock())
        self._apart, self._jumped_at = self._measure_apart(), -_STEADY_SECONDS
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def run_once(self) -> None:
        """Do one round of everything that is switched on."""
        rules = self._settings.auto_unload()
        self._unload_if_idle(self._model, rules.main)
        if self._upscaler is not None:
            self._unload_if_idle(self._upscaler, rules.upscaler)
        if self._is_steady():
            self._clear_old_jobs()
            for task in self._by_age:
                task()
        for task in self._also:
            task()

    def _loop(self) -> None:
        try:
            self._recycle_bin.settle()
        except Exception:
            log.exception("the recycle bin could not be settled")
        while not self._stopping.wait(_LOOK_EVERY_SECONDS):
            try:
                self.run_once()
            except Exception:
                log.exception("housekeeping stumbled; it goes on")

    def _unload_if_idle(self, idle: _Idle, rule: IdleUnload) -> None:
        # The minutes count from the end of the work, also while the rule is off: it may be switched on at any time.
        if self._queue.is_busy or idle.slot.is_busy or not idle.slot.is_holding:
            idle.busy_at = self._clock()
        elif rule.enabled and self._clock() - idle.busy_at >= rule.timeout_minutes * 60:
            log.info("the %s was not used for %g minutes and is put to rest", idle.name, rule.timeout_minutes)
            idle.slot.unload_keeping_selection()
            idle.busy_at = self._clock()

    def _is_steady(self) -> bool:
        """Whether the wall clock has gone along with the other one for some minutes."""
        apart = self._measure_apart()
        if abs(apart - self._apart) > _JUMP_SECONDS:
            log.warning(
                "the clock has jumped by %.1f h: nothing is removed as too old for a while",
                (apart - self._apart) / 3600,
            )
            self._jumped_at = self._clock()
        self._apart = apart
        return self._clock() - self._jumped_at >= _STEADY_SECONDS

    def _measure_apart(self) -> float:
        return self._now().timestamp() - self._clock()

    def _clear_old_jobs(self) -> None:
        days, kept = self._config.keep_jobs_days, self._config.keep_jobs_count
        if days:
            self._queue.purge_finished(older_than=self._now() - timedelta(days=days))
        if kept:
            self._queue.purge_finished(beyond=kept)
