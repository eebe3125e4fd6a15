"""Keeps the calls whose callers have gone, for as long as they may come back: the same request, sent again by the same
caller, takes over the work where it stands.

Decides who may take over what, and when work is given up. A call whose caller is still there is never in here, so it
is never joined. Knows no socket, and not what a call does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from sdcpp_rest.errors import CallerGone
from sdcpp_rest.services.jobs.departure import Departure


class AbandonableCall(Protocol):
    """A call that can be abandoned. ``place``: its caller and its URL, equal for requests that may be the same;
    ``has_ended``: its answer is whole."""

    place: Hashable
    departure: Departure
    has_ended: bool


class Timer(Protocol):
    """What is used of `threading.Timer`."""

    def cancel(self) -> None: ...


C = TypeVar("C", bound=AbandonableCall)
Kept = tuple[object, Timer]
"""A clock, and what tells it from an earlier one of the same call that was cancelled too late."""
StartTimer = Callable[[float, Callable[[], None]], Timer]


def start_timer(seconds: float, call: Callable[[], None]) -> Timer:
    """A clock that keeps no process alive."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


class AbandonedCalls(Generic[C]):
    """Keeps calls for callers who may come back. Thread-safe.

    Args:
        grace_seconds: how long the work goes on without its caller, and its answer waits for one; 0: not at all.
        finishes: the work is never given up; its answer waits from its end on.
        start_timer: calls back after some seconds, on any thread; a test brings its own.
    """

    def __init__(self, grace_seconds: float, *, finishes: bool, start_timer: StartTimer = start_timer) -> None:
        self._grace_seconds = grace_seconds
        self._finishes = finishes
        self._start_timer = start_timer
        self._lock = threading.Lock()
        self._kept: dict[C, Kept] = {}
        self._is_closed = False

    def keep(self, call: C) -> bool:
        """Keep a call whose caller has gone; false where nothing is kept, and the work is to be given up."""
        with self._lock:
            if not self._is_closed and (self._grace_seconds > 0 or self._finishes):
                self._start_clock(call)
                return True
        # What the server's stop interrupts goes on when it is back, whoever has asked for it.
        return self._is_closed

    def note_end(self, call: C) -> None:
        """Note that a call's answer is whole; if it is kept, its answer is, from now on."""
        with self._lock:
            if call in self._kept:
                self._kept[call][1].cancel()
                self._start_clock(call)

    @property
    def count(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def has_any(self, place: Hashable) -> bool:
        """Whether `take_over` might find something."""
        with self._lock:
            return any(call.place == place for call in self._kept)

    def take_over(self, place: Hashable, is_same: Callable[[C], bool]) -> C | None:
        """The oldest kept call of ``place`` for which ``is_same`` is true: from now on the new caller's alone."""
        with self._lock:
            candidates = [call for call in self._kept if call.place == place and call.departure.is_work_kept]
        # Not under the lock: comparing large bodies takes its time.
        for call in candidates:
            if is_same(call) and self._take(call):
                return call
        return None

    def close(self) -> None:
        """The server stops: give up what is kept, or leave it to the queue if it is to be finished. Idempotent."""
        with self._lock:
            self._is_closed = True
            kept, self._kept = self._kept, {}
        for call, (_, timer) in kept.items():
            timer.cancel()
            if not self._finishes:
                call.departure.give_up(CallerGone("The caller hung up, and the server stops"))

    def _take(self, call: C) -> bool:
        with self._lock:
            _, timer = self._kept.pop(call, (None, None))
        if timer is None:
            return False
        timer.cancel()
        call.departure.come_back()
        return True

    def _start_clock(self, call: C) -> None:
        mark = object()
        self._kept[call] = mark, self._start_timer(self._grace_seconds, lambda: self._expire(call, mark))

    def _expire(self, call: C, mark: object) -> None:
        with self._lock:
            if self._kept.get(call, (None,))[0] is not mark:
                return
            if self._finishes and not call.has_ended:
                # Its end starts the clock again.
                return
            del self._kept[call]
        if not call.has_ended:
            text = f"The caller hung up and did not ask again within {self._grace_seconds:g} s"
            call.departure.give_up(CallerGone(f"{text} (queue.abandoned_grace_seconds)"))
