"""Carries messages between the server and one engine: bytes in, the same bytes out at the other end, in order.

Knows sockets; knows nothing of what a message says. ``multiprocessing`` has such a pipe too, and importing it would
cost the engine as much as the library does.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import weakref

_LENGTH = struct.Struct("!I")


class Pipe:
    """Sends and receives at one end. One thread reads; whoever writes does so one at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        # Whoever lets go of it hangs up: the other end must not wait for ever.
        self.close = weakref.finalize(self, end.close)

    def send_bytes(self, message: bytes) -> None:
        """Send one message of less than 4 GiB. Raises OSError when the other end is gone."""
        self._socket.sendall(_LENGTH.pack(len(message)) + message)

    def recv_bytes(self) -> bytes:
        """Wait for the next message. Raises EOFError when the other end is gone, also in the middle of one."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return self._read(length)

    def hang_up(self) -> None:
        """End it for both sides at once, also for a thread that is blocked reading: a socket that is only closed stays
        open for that one."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def fileno(self) -> int:
        """For who waits until something can be read."""
        return self._socket.fileno()

    def _read(self, count: int) -> bytes:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            received = self._socket.recv_into(rest)
            if not received:
                raise EOFError
            rest = rest[received:]
        return bytes(data)


def pipe_pair() -> tuple[Pipe, Pipe]:
    """Two ends in one process."""
    ours, theirs = socket.socketpair()
    return Pipe(ours), Pipe(theirs)
