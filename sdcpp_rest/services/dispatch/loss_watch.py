"""Tells whether machines are lost one by one, maybe for the jobs that they had, or most of them at once.

Counts what it is told by the machine's name; must not know lanes or nodes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_TOGETHER_SECONDS = 10.0


class LossWatch:
    """Remembers which machines were lost in the last seconds. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lost: dict[str, float] = {}

    def note(self, name: str) -> None:
        """Take in that an engine of machine ``name`` was lost."""
        with self._lock:
            now = self._clock()
            self._lost = {one: at for one, at in self._lost.items() if now - at < _TOGETHER_SECONDS} | {name: now}

    def were_most_lost(self, still_there: set[str]) -> bool:
        """Whether several machines were lost in these seconds, and more of them than are left of ``still_there``. It is
        the network then, or the power, and no job."""
        with self._lock:
            now = self._clock()
            lost = {one for one, at in self._lost.items() if now - at < _TOGETHER_SECONDS}
        return 1 < len(lost) > len(still_there - lost)
