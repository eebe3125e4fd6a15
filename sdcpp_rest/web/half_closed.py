"""Tells a client that has closed its half of the connection, and still reads, from one that has gone.

Both look the same: the end of what they send. But to a byte from us the system of a client that has gone answers with
a reset. So the bytes with which every answer begins, whatever its status, are sent ahead, one now and then: a client
that reads gets the same answer in pieces. (Interim responses are not understood by all.) Knows no request.
"""

from __future__ import annotations

import asyncio
from typing import Any

PEER = "sdcpp_rest.peer"
"""Where the `Peer` of a request's connection lies in the ``extensions`` of its ASGI scope."""

BEGINNING = b"HTTP/1.1 "
_SENT_AFTER_SECONDS = (0.01, 0.02, 0.05, 0.15, 0.4, 1.0, 5.0, 20.0, 60.0)
# A reset takes one way there and back; who has not sent one by then is there.
_DOUBT_SECONDS = 0.5


class Peer:
    """Tells whether the client at the other end of a connection is still there, as far as that can be told.

    ``is_lost``: the connection is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timers: list[asyncio.TimerHandle] = []
        self._doubt: asyncio.Future[None] | None = None
        self.is_lost = False

    async def settle(self) -> None:
        """Wait until there is no doubt, half a second at most."""
        if self._doubt is not None:
            await asyncio.wait({self._doubt})

    def begin_doubt(self, answer: BegunAnswer) -> None:
        """Begin ``answer`` byte by byte: the client has sent its last one, and it is not clear what that means."""
        if self._doubt is not None:
            return
        self._doubt = self._loop.create_future()
        self._timers = [self._loop.call_later(seconds, answer.send_ahead) for seconds in _SENT_AFTER_SECONDS]
        self._timers.append(self._loop.call_later(_DOUBT_SECONDS, self._end_doubt))

    def close(self) -> None:
        """Note that the connection is lost, which settles it."""
        self.is_lost = True
        for timer in self._timers:
            timer.cancel()
        self._end_doubt()

    def _end_doubt(self) -> None:
        if self._doubt is not None and not self._doubt.done():
            self._doubt.set_result(None)


class BegunAnswer:
    """Writes an answer that has been begun to a transport: what was sent ahead is left out when the answer comes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._sent_ahead = b""
        self._has_come = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send_ahead(self) -> None:
        """Send one byte more, if the answer has not come yet."""
        if not self._has_come and len(self._sent_ahead) < len(BEGINNING) and not self._transport.is_closing():
            byte = BEGINNING[len(self._sent_ahead) :][:1]
            self._sent_ahead += byte
            self._transport.write(byte)

    def write(self, sent: bytes) -> None:
        if not self._has_come:
            assert sent.startswith(BEGINNING), sent[:20]
            self._has_come = True
            sent = sent[len(self._sent_ahead) :]
        self._transport.write(sent)
