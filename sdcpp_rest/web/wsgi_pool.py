"""Calls the Flask application on a pool of threads, and lets a thread go when its request is over.

The translation between ASGI and WSGI is a2wsgi's. Knows no view and no route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import WSGIResponder
from starlette.types import Receive, Scope, Send

from sdcpp_rest.web.loop_calls import LoopCalls, RequestEnded


class WsgiPool:
    """Answers ASGI calls with ``app``, a WSGI application, on ``threads`` threads of its own."""

    def __init__(self, app: Callable[..., Iterable[bytes]], threads: int) -> None:
        self._wsgi = WSGIMiddleware(cast(Any, app), workers=threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Cast, because a2wsgi and starlette spell the same ASGI types differently.
        await _Responder(self._wsgi)(cast(Any, scope), cast(Any, receive), cast(Any, send))

    def close(self) -> None:
        """Take no more calls. Those that run are left to end."""
        self._wsgi.executor.shutdown(wait=False, cancel_futures=True)


class _Responder(WSGIResponder):
    """a2wsgi's way of answering one request; what the thread says when nobody listens any more ends its call."""

    def __init__(self, wsgi: WSGIMiddleware) -> None:
        super().__init__(wsgi.app, wsgi.executor, wsgi.send_queue_size)
        self._calls = LoopCalls(asyncio.get_running_loop())
        self._sending: asyncio.Task[Any] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        except RequestEnded:
            # The thread was let go, because what it said could not be sent.
            if self._sending is not None:
                await self._sending
            raise
        finally:
            self._calls.end()

    async def sender(self, send: Any) -> None:
        self._sending = asyncio.current_task()
        try:
            await super().sender(send)
        finally:
            # Also where sending has failed: the thread would wait for room in a queue that nobody empties.
            self._calls.end()

    def send(self, message: Any) -> None:
        self._calls.run(self.send_queue.put, message)
