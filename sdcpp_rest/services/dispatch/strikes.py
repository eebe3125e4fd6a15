"""Counts the engines that each model has ended, so that none is loaded again and again by itself.

One count for all engines: a file that ends two of them would end the third.
"""

from __future__ import annotations

import threading

# A load that ends the engine counts: 1 for SIGKILL (somebody killed it, or memory ran out), 2 for a crash. At this sum
# it is not tried again by itself; a load that works forgives everything.
_DEADLY = 4


class Strikes:
    """Counts, by a spec's key. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[str, int] = {}

    def count(self, key: str, *, is_crash: bool) -> None:
        with self._lock:
            self._points[key] = self._points.get(key, 0) + (2 if is_crash else 1)

    def is_out(self, key: str) -> bool:
        """Whether it is not to be loaded again by itself."""
        return self._points.get(key, 0) >= _DEADLY

    def forgive(self, key: str) -> None:
        with self._lock:
            self._points.pop(key, None)

    def forgive_all(self) -> None:
        with self._lock:
            self._points.clear()
