"""Serves the native WebSocket: events of the bus out, those that were missed before first; pings in.

What the messages say is `routes.native.server.websocket`'s business; who may listen was checked before.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from sdcpp_rest.core.events import Resync, ServerStatus
from sdcpp_rest.routes.http.dialect import ABORT
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.native.server import websocket as stream
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.jobs.event_bus import Subscription
from sdcpp_rest.services.jobs.event_history import Published
from sdcpp_rest.web.caller import CALLER

log = logging.getLogger(__name__)

_MAILBOX_EVENTS = 1000
_CLOSE_SECONDS = 2.0


@needs("read")
async def serve_native_stream(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the state of the server, what the client has missed if it says so, then every event, until it leaves.

    Raises InvalidRequest before the connection is accepted.
    """
    since = stream.read_place(scope.get("query_string", b""))
    socket_ = WebSocket(scope, receive, send)
    bus = runtime.jobs.bus
    with bus.subscribe(_MAILBOX_EVENTS, since) as mailbox:
        # Only now: who is told that it listens may send a job at once, and must hear of it.
        await socket_.accept()
        text_of = functools.partial(stream.message_text, prefix=scope[CALLER].prefix, epoch=bus.epoch)
        client = _StreamClient(socket_, mailbox, scope.get("extensions", {}).get(ABORT), text_of)
        status = await asyncio.to_thread(runtime.status.snapshot)
        await client.run(ServerStatus(status=status))


class _StreamClient:
    """Serves one listener of the native stream: a task that sends, one that hears, and a watch over the mailbox."""

    def __init__(
        self, socket_: WebSocket, mailbox: Subscription, abort: Callable[[], None] | None, text_of: Callable[..., str]
    ) -> None:
        self._socket = socket_
        self._mailbox = mailbox
        self._abort = abort
        self._text_of = text_of
        self._arrived = asyncio.Event()
        self._overflowed = asyncio.Event()

    async def run(self, greeting: ServerStatus) -> None:
        """Until the client leaves, or is too slow for events it must not miss."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # The loop may be closed already: the server stops, and the publisher must not suffer for it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._look)

        self._mailbox.on_ready(wake)
        works = [
            asyncio.create_task(self._send_events(greeting)),
            asyncio.create_task(self._hear()),
            asyncio.create_task(self._overflowed.wait()),
        ]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            results = await asyncio.gather(*works, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, (WebSocketDisconnect, OSError)):
                log.error("a WebSocket failed", exc_info=result)
        if self._mailbox.overflowed:
            await self._hang_up()

    def _look(self) -> None:
        self._arrived.set()
        if self._mailbox.overflowed:
            self._overflowed.set()

    async def _send_events(self, greeting: ServerStatus) -> None:
        beginning = self._mailbox.beginning
        # What follows begins behind this number: a client that counts from here misses nothing, even if it is cut off
        # before the next message.
        await self._socket.send_text(self._text_of(greeting, seq=beginning.seq))
        if beginning.gap is not None:
            await self._socket.send_text(self._text_of(Resync(reason=beginning.gap), seq=beginning.seq))
        for missed in beginning.missed:
            await self._send(missed)
        while True:
            self._arrived.clear()
            # One at a time, not all at once: what is still in the mailbox may be replaced by something newer.
            while (published := self._mailbox.take(0)) is not None:
                await self._send(published)
            await self._arrived.wait()

    async def _send(self, published: Published) -> None:
        await self._socket.send_text(self._text_of(published.event, published.at, seq=published.seq))

    async def _hear(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            reply = stream.answer_to(message.get("text") or "")
            if reply is not None:
                await self._socket.send_text(reply)

    async def _hang_up(self) -> None:
        """Say why; a client that does not even read that is cut off."""
        try:
            await asyncio.wait_for(
                self._socket.close(stream.TRY_AGAIN_LATER, "too slow for the events"), _CLOSE_SECONDS
            )
        except (asyncio.TimeoutError, RuntimeError, OSError):
            if self._abort is not None:
                self._abort()
