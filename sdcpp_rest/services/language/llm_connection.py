"""Ends calls to language model servers from any thread: by hand, by the clock, or all of them when the server stops.

Knows sockets. Knows no protocol, and nothing of what is said.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from sdcpp_rest.errors import EngineUnavailable, SdcppRestError
from sdcpp_rest.services.jobs.departure import current_departure


class Line:
    """Ends one call from another thread: reads that wait for the server fail at once.

    ``has_ended``: `hang_up` was called; ``has_expired``: by the clock; ``because``: what the call fails with then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.has_ended = False
        self.has_expired = False
        self.because: SdcppRestError | None = None

    def hang_up(self, because: SdcppRestError | None = None) -> None:
        """End the call; whatever is connected later is ended too. Idempotent."""
        with self._lock:
            if not self.has_ended:
                self.has_ended, self.because = True, because
            for connected in self._sockets:
                _shut_down(connected)

    @contextlib.contextmanager
    def limit_time(self, seconds: float) -> Iterator[None]:
        """Hang up after ``seconds``, unless the block ends before. A timeout of the HTTP library counts silences only:
        a server that sends a byte now and then would never run into it."""
        clock = threading.Timer(seconds, self._expire)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

    def note_connection(self, stream: Any) -> None:
        """Take note of a connection (httpcore's network stream)."""
        found = stream.get_extra_info("socket")
        if not isinstance(found, socket.socket):
            return
        with self._lock:
            self._sockets.append(found)
            if self.has_ended:
                _shut_down(found)

    def _expire(self) -> None:
        self.has_expired = True
        self.hang_up()


class OpenCalls:
    """Tracks all calls in progress. ``close`` ends them: nobody waits for a language model while the server stops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self.is_closed = False

    @contextlib.contextmanager
    def open(self, line: Line | None = None) -> Iterator[Line]:
        """A line for one call, or ``line`` for a call that somebody else may end too. Without one, the call ends when
        the work for who made it is given up. Raises EngineUnavailable, CallerGone."""
        if line is None:
            line = Line()
            with current_departure().bind(line.hang_up), self.open(line):
                yield line
            return
        with self._lock:
            if self.is_closed:
                raise EngineUnavailable("The server is stopping")
            self._lines.add(line)
        try:
            yield line
        finally:
            with self._lock:
                self._lines.discard(line)

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            lines = [*self._lines]
        for line in lines:
            line.hang_up(EngineUnavailable("The server is stopping"))


def _shut_down(connected: socket.socket) -> None:
    """Unlike closing, this wakes a thread that reads. Not the TLS socket's own method: that one would take the
    encryption away under the reader."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
