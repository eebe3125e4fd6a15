"""Remembers of the machines of a cluster when they were last there, and how many of their engines were lost.

Counts what it is told by the machine's name; must not know lanes or nodes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

_MOST_AWAY = 64


@dataclass
class _Record:
    left_at: float | None = None
    lost_engines: int = 0


class NodeHistory:
    """Remembers the machines that are there, and of those that are away the ones that left last. Thread-safe.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def take(self, names: Collection[str]) -> None:
        """Take in which machines there are now."""
        with self._lock:
            for name, record in list(self._records.items()):
                if name not in names and record.left_at is None:
                    record.left_at = self._clock()
                    self._records.move_to_end(name)
            for name in names:
                self._records.setdefault(name, _Record()).left_at = None
            away = [name for name, record in self._records.items() if record.left_at is not None]
            for name in away[:-_MOST_AWAY]:
                del self._records[name]

    def note_loss(self, name: str) -> None:
        """Take in that an engine of machine ``name`` was lost."""
        with self._lock:
            if (record := self._records.get(name)) is not None:
                record.lost_engines += 1

    def describe(self, seen_at: float) -> list[dict[str, Any]]:
        """Every machine by its ``name``, with ``last_seen`` in seconds since 1970 and ``lost_engines``; ``seen_at``:
        when those were last seen that are there."""
        with self._lock:
            return [
                {
                    "name": name,
                    "last_seen": seen_at if record.left_at is None else record.left_at,
                    "lost_engines": record.lost_engines,
                }
                for name, record in self._records.items()
            ]
