"""Runs a view that waits, and hands its answer to the client, or to the one that comes for it after that has left.

The view runs to its end on its thread whoever listens. Says something while the view is silent: comments in a stream
of events, white space before JSON where that is wanted. Knows no view and no event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdcpp_rest.services.jobs.departure import Departure, serving
from sdcpp_rest.web.half_closed import PEER, Peer
from sdcpp_rest.web.same_request import SentRequest

log = logging.getLogger(__name__)

_STREAM_SILENCE_SECONDS = 10.0
_EARLY_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    # Proxies collect what they think is a page.
    (b"x-accel-buffering", b"no"),
]


class WaitingCall:
    """Runs one call of a view that waits, and hands its answer to the client that listens; one at a time, or none.

    Args:
        request: as its client sent it.
        may_stream: the view may answer with an event stream, which has no place for white space.
        early_seconds: after so long a silence the answer begins with white space, and goes on so; 0: never.
    """

    def __init__(self, request: SentRequest, *, may_stream: bool, early_seconds: float = 0.0) -> None:
        self.request = request
        self.place = request.place
        self.departure = Departure()
        self.has_ended = False
        self._may_stream = may_stream
        self._early_seconds = early_seconds
        self._listener: _Listener | None = None
        self._kept: list[Message] = []
        self._has_begun = False
        # Part of the answer went to a client, and nobody else can have the whole of it any more.
        self._is_incomplete = False
        self._is_open_stream = False
        # Two coroutines send: a comment must not stand inside of an event.
        self._turn = asyncio.Lock()
        self._spoke = asyncio.Event()
        self._deserted = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    @property
    def is_listened_to(self) -> bool:
        return self._listener is not None

    @property
    def may_be_kept(self) -> bool:
        """Whether somebody may still get the whole answer."""
        return not self._is_incomplete

    def begin(self, pool: ASGIApp, scope: Scope, on_end: Callable[[], None]) -> None:
        """Have the view called; ``on_end`` is called when it has answered, on the event loop."""

        async def run() -> None:
            with serving(self.departure):
                await pool(scope, _receive_nothing, self._say)

        def end(work: asyncio.Task[None]) -> None:
            self.has_ended = True
            on_end()
            if self._listener is None and not work.cancelled() and work.exception() is not None:
                log.error("the call of a client that has left failed", exc_info=work.exception())

        self._work = asyncio.create_task(run())
        self._work.add_done_callback(end)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Hand the answer to a client as it comes; true when it has it, false when it has left. Raises what the view's
        call has raised. Cancelling it leaves the view alone."""
        assert self._work is not None, "the view was not called"
        listener = _Listener(send, scope.get("extensions", {}).get(PEER))
        self._deserted.clear()
        watch = asyncio.create_task(_watch(receive))
        filling = asyncio.create_task(self._fill_silence())
        try:
            async with self._turn:
                for message in self._kept:
                    await listener.take(message)
                self._listener = listener
            await asyncio.wait({self._work, watch}, return_when=asyncio.FIRST_COMPLETED)
            # To who has the whole answer, the server says "disconnect", too.
            if self._work.done() or listener.has_all:
                await asyncio.shield(self._work)
                return True
            return False
        finally:
            for beside in (watch, filling):
                beside.cancel()
            await asyncio.gather(watch, filling, return_exceptions=True)
            if not self.has_ended:
                self._listener = None
                self.departure.leave()
            self._deserted.set()

    async def settle(self) -> None:
        """Wait until it is clear whether the client that listens is there, where that is in doubt."""
        listener = self._listener
        if listener is None or listener.peer is None:
            return
        await listener.peer.settle()
        # A lost connection is told to the one who listens on it some turns of the loop later.
        if listener.peer.is_lost:
            await self._deserted.wait()

    async def _say(self, message: Message) -> None:
        """What the view answers. It is not begun to a client that may have gone: the next one would not get it."""
        async with self._turn:
            if not self._has_begun:
                await self.settle()
            self._has_begun = True
            if message["type"] == "http.response.start":
                # An error has a length, into which no comment fits.
                self._is_open_stream = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
            elif not message.get("more_body"):
                self._is_open_stream = False
            self._spoke.set()
            if self._listener is not None:
                self._is_incomplete = True
                await self._listener.take(message)
            elif not self._is_incomplete:
                self._kept.append(message)

    async def _fill_silence(self) -> None:
        while True:
            self._spoke.clear()
            seconds = _STREAM_SILENCE_SECONDS if self._has_begun else self._early_seconds
            spoke = asyncio.create_task(self._spoke.wait())
            try:
                # Not `asyncio.wait_for`: until Python 3.12 it forgets that it was cancelled when the view speaks in the
                # same turn of the loop, as it does when it ends, and this would go on for ever.
                await asyncio.wait({spoke}, timeout=seconds or None)
            finally:
                spoke.cancel()
            if not spoke.done():
                async with self._turn:
                    await self._break_silence()

    async def _break_silence(self) -> None:
        if self._listener is None or self._spoke.is_set():
            return
        if self._is_open_stream:
            await self._listener.take({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
        elif not self._has_begun and (not self._may_stream or self.departure.is_work_kept):
            await self._listener.wait_on()


class _Listener:
    """Sends the answer to one client. ``has_all``: it has the end of it."""

    def __init__(self, send: Send, peer: Peer | None) -> None:
        self.peer = peer
        self.has_all = False
        self._send = send
        self._began_early = False

    async def take(self, message: Message) -> None:
        is_start = message["type"] == "http.response.start"
        self.has_all = not is_start and not message.get("more_body")
        if not (is_start and self._began_early):
            await self._send(message)

    async def wait_on(self) -> None:
        if not self._began_early:
            self._began_early = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(_EARLY_HEADERS)})
        await self._send({"type": "http.response.body", "body": b" ", "more_body": True})


async def _watch(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _receive_nothing() -> Message:
    """The body is read before; what the client does is watched beside the view."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")
