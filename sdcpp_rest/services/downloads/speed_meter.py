"""Measures how fast bytes come, over the last seconds.

Knows nothing of where they come from.
"""

from __future__ import annotations

import time
from collections import deque

from sdcpp_rest.core.job import Transfer

_WINDOW_SECONDS = 5.0
_MIN_GAP_SECONDS = 0.1


class SpeedMeter:
    """Measures from the number of bytes that are there; bytes that were there before the first call do not count."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def restart(self) -> None:
        """Begin to count anew, from another number of bytes."""
        self._points.clear()

    def at(self, done_bytes: int, total_bytes: int | None) -> Transfer:
        """Note ``done_bytes`` of ``total_bytes``; returns how it stands."""
        now = time.monotonic()
        if not self._points or now - self._points[-1][0] >= _MIN_GAP_SECONDS:
            self._points.append((now, done_bytes))
        while len(self._points) > 2 and now - self._points[0][0] > _WINDOW_SECONDS:
            self._points.popleft()
        began, before = self._points[0]
        seconds = now - began
        rate = max(0, round((done_bytes - before) / seconds)) if seconds >= _MIN_GAP_SECONDS else 0
        left = None if total_bytes is None else max(0, total_bytes - done_bytes)
        eta = None if left is None or (rate == 0 and left) else round(left / rate, 1) if left else 0.0
        return Transfer(downloaded_bytes=done_bytes, total_bytes=total_bytes, bytes_per_second=rate, eta_seconds=eta)
