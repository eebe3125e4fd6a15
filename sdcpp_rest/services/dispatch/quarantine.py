"""Keeps jobs from a machine whose engines end again and again while others work, or that is full, each time for longer.

Counts what it is told by the machine's name; must not know lanes or nodes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_ENDS = 3
_FIRST_SECONDS = 60.0
_MOST_SECONDS = 900.0


@dataclass
class _Record:
    """Of a machine since its last completed job. ``completed_before``: the jobs that others had completed when its
    engines began to end."""

    ends: int = 0
    completed_before: int = 0
    times: int = 0
    until: float = 0.0
    why: str = ""


class Quarantine:
    """Tells which machines are to get no jobs for a while. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._completed = 0

    def note_end(self, name: str) -> float | None:
        """Take in that an engine of machine ``name`` was lost, or could not start. Returns the seconds of the
        quarantine that begins with it, if one does."""
        with self._lock:
            now, record = self._clock(), self._records.setdefault(name, _Record())
            if now < record.until:
                return None
            if not record.ends:
                record.completed_before = self._completed
            record.ends += 1
            # While nobody completes anything it is not the machine: its job, say, or the network.
            if record.ends < _ENDS or self._completed == record.completed_before:
                return None
            return self._begin(record, f"its engines ended {_ENDS} times in a row while others worked")

    def note_full(self, name: str) -> float | None:
        """Take in that machine ``name`` had no room for a job that another one can do. Returns the seconds of the
        quarantine that begins with it, if one does."""
        with self._lock:
            record = self._records.setdefault(name, _Record())
            return None if self._clock() < record.until else self._begin(record, "it has no room for jobs' files")

    def note_completed(self, name: str) -> bool:
        """Take in that an engine of machine ``name`` has completed a job, which forgives all. Returns whether that ends
        a quarantine."""
        with self._lock:
            self._completed += 1
            record = self._records.pop(name, None)
            return record is not None and self._clock() < record.until

    def find_fault(self, name: str) -> str:
        """Why machine ``name`` gets no jobs now, and for how long yet; empty: it does."""
        with self._lock:
            record = self._records.get(name)
            if record is None or (left := math.ceil(record.until - self._clock())) <= 0:
                return ""
            return f"quarantined for {left} s: {record.why}"

    def _begin(self, record: _Record, why: str) -> float:
        seconds = min(_MOST_SECONDS, _FIRST_SECONDS * 2.0**record.times)
        record.times, record.ends, record.until, record.why = record.times + 1, 0, self._clock() + seconds, why
        return seconds
