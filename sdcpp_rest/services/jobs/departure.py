"""Tells work that is done for one caller alone that the caller has gone, and whether to go on without.

Whoever holds the connection makes a `Departure` for each call and says what happens to it; work finds its own by
`current_departure`, in the thread that serves the call. Knows no socket, and nothing of the work.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from sdcpp_rest.errors import CallerGone

_current: ContextVar[Departure | None] = ContextVar("departure", default=None)


class Departure:
    """Tells whether the caller of one call has left, and whether the work for them is given up. Thread-safe.

    A caller that has left may ask again and have the work go on (`come_back`), unless the work is given up by then, or
    ends with the connection itself (`on_leaving`: an event stream, of which nobody can get the beginning again).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leaving: list[Callable[[], None]] = []
        self._bound: list[Callable[[CallerGone], None]] = []
        self.ends_with_connection = False
        """Whether there is work that cannot wait for the caller to come back."""
        self._has_bound = False
        self._reason: CallerGone | None = None
        self.has_left = False

    @property
    def is_given_up(self) -> bool:
        """Whether the work was ended for want of a caller."""
        return self._reason is not None

    @property
    def is_work_kept(self) -> bool:
        """Whether there is, or was, work for the caller alone that may wait for the caller to come back."""
        return self._has_bound and not self.ends_with_connection and self._reason is None

    # --- for whoever does the work ----------------------------------------------------------------------------------

    def on_leaving(self, call: Callable[[], None]) -> None:
        """Have ``call`` called when the caller leaves, at once if that has happened: for work that ends with the
        connection. It must not block."""
        with self._lock:
            self.ends_with_connection = True
            if not self.has_left:
                self._leaving.append(call)
                return
        call()

    @contextlib.contextmanager
    def bind(self, give_up: Callable[[CallerGone], None]) -> Iterator[None]:
        """Have ``give_up`` called with the reason if the work is to be given up while the block lasts: for work that
        may wait a while for a caller who has left. Raises CallerGone when it is too late to begin any."""
        with self._lock:
            if self._reason is not None:
                raise self._reason
            self._has_bound = True
            self._bound.append(give_up)
        try:
            yield
        finally:
            with self._lock:
                self._bound.remove(give_up)

    # --- for whoever holds the connection ---------------------------------------------------------------------------

    def leave(self) -> None:
        """Note that the connection is gone."""
        with self._lock:
            self.has_left, leaving, self._leaving = True, self._leaving, []
        for call in leaving:
            call()

    def come_back(self) -> None:
        """Note that the caller has asked again."""
        with self._lock:
            self.has_left = False

    def give_up(self, reason: CallerGone) -> None:
        """End the work. Idempotent: the first reason stays."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            bound = [*self._bound]
        for give_up in bound:
            give_up(reason)


def current_departure() -> Departure:
    """That of the call which this thread serves; where nobody holds a connection, one that never happens."""
    return _current.get() or Departure()


@contextlib.contextmanager
def serving(departure: Departure) -> Iterator[None]:
    """Make ``departure`` the current one for what runs in the block's context."""
    token = _current.set(departure)
    try:
        yield
    finally:
        _current.reset(token)
