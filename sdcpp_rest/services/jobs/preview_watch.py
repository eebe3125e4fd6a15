"""Knows whether anybody sees previews: a listener of the event stream, or somebody who has asked for one lately.

While nobody does, engines make none. Knows no engine; who drives them is told when somebody begins to watch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from sdcpp_rest.services.jobs.event_bus import EventBus

# Whoever polls asks again within that.
_ASKED_LATELY_SECONDS = 15.0
# The engine has it and writes it down beside its work: milliseconds.
_PATIENCE_SECONDS = 0.5


class PreviewWatch:
    """Tells whether previews are watched, and reads them. Thread-safe."""

    def __init__(self, bus: EventBus, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._asked_at = -_ASKED_LATELY_SECONDS
        self._on_begin: Callable[[], None] = lambda: None
        bus.call_on_subscribe(lambda: self._on_begin())

    def call_on_begin(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever somebody begins to watch; it may be told so again. For the start."""
        self._on_begin = callback

    @property
    def is_watched(self) -> bool:
        return self._bus.subscriber_count > 0 or self._clock() - self._asked_at < _ASKED_LATELY_SECONDS

    def read(self, active: ActiveJob) -> bytes | None:
        """The newest preview of a running job, a JPEG; ``None`` where there is none. Asking for it is watching."""
        self._asked_at = self._clock()
        self._on_begin()
        try:
            return Path(active.wait_for_preview(_PATIENCE_SECONDS) or "").read_bytes()
        except OSError:
            # Not made yet, or moved away with the rest of the spool: the job has just ended.
            return None
