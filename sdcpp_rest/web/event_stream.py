"""Sends server-sent events while a view on another thread makes them.

Says something when the view is silent, and tells it when the client leaves. Knows no event.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from sdcpp_rest.routes.http.pools import DEPARTURE, Departure

_STREAM_SILENCE_SECONDS = 10.0


class WsgiPool(Protocol):
    """What we use of `WSGIMiddleware`."""

    executor: ThreadPoolExecutor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class EventStream:
    """Sends one answer of server-sent events: says something when the view does not, and tells it when the client
    leaves."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._departure = Departure()
        # Two coroutines send: a comment must not stand inside of an event.
        self._turn = asyncio.Lock()
        self._is_open = False
        self._spoke = asyncio.Event()

    async def run(self, pool: WsgiPool, scope: Scope) -> None:
        beside = [asyncio.create_task(self._watch()), asyncio.create_task(self._keep_alive())]
        try:
            await pool({**scope, DEPARTURE: self._departure}, self._receive, self._say)
        finally:
            for work in beside:
                work.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            # Also when the server's patience ends: the thread must not wait on for nobody.
            self._departure.leave()

    async def _say(self, message: Message) -> None:
        async with self._turn:
            if message["type"] == "http.response.start":
                # An error has a length, into which no comment fits.
                self._is_open = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
            elif not message.get("more_body"):
                self._is_open = False
            self._spoke.set()
            await self._send(message)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._departure.leave()

    async def _keep_alive(self) -> None:
        """A comment now and then while a model thinks: proxies and clients give up on silent connections."""
        while True:
            self._spoke.clear()
            try:
                await asyncio.wait_for(self._spoke.wait(), _STREAM_SILENCE_SECONDS)
            except asyncio.TimeoutError:
                async with self._turn:
                    if self._is_open:
                        await self._send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
