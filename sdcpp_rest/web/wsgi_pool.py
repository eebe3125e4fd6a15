"""Calls the Flask application on a pool of threads, and lets a thread go when its request is over.

The translation between ASGI and WSGI is a2wsgi's. Knows no view and no route.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import Body, WSGIResponder, build_environ
from starlette.types import Receive, Scope, Send

from sdcpp_rest.web.loop_calls import LoopCalls, RequestEnded

_SHORT_ANSWER = 3
"""Messages of an answer in one piece."""


class WsgiPool:
    """Answers ASGI calls with ``app``, a WSGI application, on ``threads`` threads of its own.

    ``stream_mark``: what is true in the scope of a request whose answer is a stream, each piece of which has to leave
    at once.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], threads: int, stream_mark: str = "") -> None:
        self._wsgi = WSGIMiddleware(cast(Any, app), workers=threads)
        self._stream_mark = stream_mark

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        responder = _Responder(self._wsgi, is_stream=bool(scope.get(self._stream_mark)))
        # Cast, because a2wsgi and starlette spell the same ASGI types differently.
        await responder(cast(Any, scope), cast(Any, receive), cast(Any, send))

    def close(self) -> None:
        """Take no more calls. Those that run are left to end."""
        self._wsgi.executor.shutdown(wait=False, cancel_futures=True)


class _Responder(WSGIResponder):
    """a2wsgi's way of answering one request; what the thread says when nobody listens any more ends its call.

    Each message that the thread hands over is a way to the loop and back. A short answer is three of them (its head,
    its body, its end), which wait here for the end of the thread's call, and so cost none. Those of a longer one go
    together, but for a stream's, which go at once.
    """

    def __init__(self, wsgi: WSGIMiddleware, *, is_stream: bool) -> None:
        super().__init__(wsgi.app, wsgi.executor, wsgi.send_queue_size)
        self._calls = LoopCalls(asyncio.get_running_loop())
        self._sending: asyncio.Task[Any] | None = None
        self._most_held = 0 if is_stream else _SHORT_ANSWER
        self._held: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As a2wsgi's own, but that nobody waits for what the thread hands over before it does."""
        self._send = send
        context = contextvars.copy_context()
        environ = build_environ(scope, Body(self.loop, receive))
        try:
            await self.loop.run_in_executor(self.executor, lambda: context.run(self.wsgi, environ, self.start_response))
            if self._sending is not None:
                await self.send_queue.put(None)
                await self._sending
            # The thread's call is over, and this is what it has not handed over.
            for message in self._held:
                await send(message)
            if self.exc_info is not None:
                raise self.exc_info[0].with_traceback(self.exc_info[1], self.exc_info[2])
        except RequestEnded:
            # The thread was let go, because what it said could not be sent.
            if self._sending is not None:
                await self._sending
            raise
        finally:
            self._calls.end()
            if self._sending is not None:
                self._sending.cancel()

    async def sender(self, send: Any) -> None:
        try:
            await super().sender(send)
        finally:
            # Also where sending has failed: the thread would wait for room in a queue that nobody empties.
            self._calls.end()

    def send(self, message: Any) -> None:
        self._held.append(message)
        if len(self._held) > self._most_held:
            held, self._held = self._held, []
            self._calls.run(self._queue, held)
        else:
            self._calls.check()

    async def _queue(self, messages: list[Any]) -> None:
        if self._sending is None:
            self._sending = self.loop.create_task(self.sender(self._send))
        for message in messages:
            await self.send_queue.put(message)
