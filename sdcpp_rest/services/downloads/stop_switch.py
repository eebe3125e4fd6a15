"""Stops transfers from another thread, and says what a rule for addresses is.

Stands apart from the connections themselves, whose libraries only a server that downloads needs.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from sdcpp_rest.services.downloads.source_errors import DownloadStopped

AddressRule = Callable[[str, int], list[str]]
"""The addresses that a host and port may be called under. Raises what `check_host` raises."""


class StopSwitch:
    """Stops a transfer from another thread: open connections are cut, new ones are not made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._stopped = threading.Event()

    @property
    def is_set(self) -> bool:
        return self._stopped.is_set()

    def set(self) -> None:
        self._stopped.set()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def wait(self, seconds: float) -> bool:
        """Wait ``seconds`` for the switch; whether it was set within that time."""
        return self._stopped.wait(seconds)

    def check(self) -> None:
        """Raises DownloadStopped."""
        if self._stopped.is_set():
            raise DownloadStopped

    def watch(self, connection: socket.socket) -> None:
        """Keep a second grip on the same connection: encryption takes the first one's away."""
        with self._lock:
            self._sockets.append(connection.dup())
        self.check()

    def forget(self) -> None:
        """Let go of the connections, which are over."""
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()
