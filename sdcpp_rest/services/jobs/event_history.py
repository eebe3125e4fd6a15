"""Keeps the newest events of this run, for listeners that were cut off and come back. Bounded in number and in bytes.

Of what may be missed (progress, previews) only the newest of each job stays, and goes with the job's end. Not
thread-safe: the bus calls it under its own lock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from sdcpp_rest.core.events import (
    Event,
    JobAdded,
    JobCancelled,
    JobPreview,
    JobStatusChanged,
    ModelLoaded,
    ModelLoadFailed,
    ModelUnloaded,
    ServerStatus,
)
from sdcpp_rest.core.job import FINISHED

MOST_EVENTS = 1000
MOST_BYTES = 8 * 1024 * 1024

_MODEL = ""
"""What the progress of a load is about, where that of a job is about the job's id."""
_ENDS_REMEMBERED = 100

Gap: TypeAlias = Literal["too_old", "from_the_future", "other_epoch"]


@dataclass(frozen=True)
class StreamPlace:
    """How far a listener has come: the number of the last event that it has. ``epoch``: of which run of the server;
    ``None`` where the listener does not say."""

    seq: int
    epoch: str | None = None


@dataclass(frozen=True)
class Published:
    """An event as it was published: its number, and when."""

    seq: int
    at: datetime
    event: Event


@dataclass(frozen=True)
class Beginning:
    """How a subscription begins: behind the event ``seq``, with what was ``missed`` before it. ``gap``: why what was
    missed cannot be told."""

    seq: int
    missed: tuple[Published, ...] = ()
    gap: Gap | None = None


class EventHistory:
    """Keeps published events, and finds those that a listener has missed."""

    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._kept: OrderedDict[int, tuple[Published, int]] = OrderedDict()
        self._bytes = 0
        self._newest: dict[str, dict[str, int]] = {}
        self._ended: deque[str] = deque(maxlen=_ENDS_REMEMBERED)
        self._forgotten = 0

    def keep(self, published: Published) -> None:
        """Take note of an event; its number is higher than those before."""
        event = published.event
        subject = _subject(event)
        if isinstance(event, ServerStatus) or (event.droppable and subject in self._ended):
            # The one is old news with every greeting; the other was overtaken by the end of its job.
            return
        if event.droppable:
            newest = self._newest.setdefault(subject, {})
            self._drop(newest.get(event.name))
            newest[event.name] = published.seq
        else:
            self._note_end(event, subject)
        size = _size(event)
        self._kept[published.seq] = published, size
        self._bytes += size
        while len(self._kept) > self._most_events or self._bytes > self._most_bytes:
            self._forget_oldest()

    def since(self, seq: int) -> tuple[Published, ...] | None:
        """What is kept of the events behind ``seq``; ``None`` where one that must arrive is gone."""
        if seq < self._forgotten:
            return None
        return tuple(published for published, _ in self._kept.values() if published.seq > seq)

    def _note_end(self, event: Event, subject: str) -> None:
        if isinstance(event, JobAdded | JobStatusChanged) and subject in self._ended:
            self._ended.remove(subject)
        is_end = isinstance(event, JobCancelled) or (isinstance(event, JobStatusChanged) and event.status in FINISHED)
        if is_end:
            self._ended.append(subject)
        if is_end or isinstance(event, ModelLoaded | ModelLoadFailed | ModelUnloaded):
            for seq in self._newest.pop(subject, {}).values():
                self._drop(seq)

    def _drop(self, seq: int | None) -> None:
        if seq is not None and seq in self._kept:
            self._bytes -= self._kept.pop(seq)[1]

    def _forget_oldest(self) -> None:
        seq, (published, size) = self._kept.popitem(last=False)
        self._bytes -= size
        if published.event.droppable:
            newest = self._newest[_subject(published.event)]
            newest.pop(published.event.name)
            if not newest:
                del self._newest[_subject(published.event)]
        else:
            self._forgotten = seq


def _subject(event: Event) -> str:
    return str(getattr(event, "job_id", _MODEL))


def _size(event: Event) -> int:
    # Not as JSON, which cannot hold every name of a file.
    return len(event.jpeg) if isinstance(event, JobPreview) else len(repr(event))
