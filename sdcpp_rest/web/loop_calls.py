"""Runs coroutines on the event loop for a thread, as long as the request that the thread works for is served.

A thread outlives its request where the server's patience ends while it stops. What it asks of the loop then would wait
for a loop that runs no more, and the thread, and so the process, with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")


class RequestEnded(Exception):
    """The request that this thread works for is not served any more."""


class LoopCalls:
    """Runs coroutines on ``loop`` for one request's thread, until `end`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._has_ended = False
        self._pending: Future[Any] | None = None

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """What ``function(*arguments)`` answers on the loop; the calling thread waits for it.

        Raises:
            RequestEnded: before, or while it waited.
        """
        with self._lock:
            if self._has_ended:
                raise RequestEnded
            # Made under the lock: a coroutine that no loop takes any more would never be awaited.
            future: Future[T] = asyncio.run_coroutine_threadsafe(function(*arguments), self._loop)
            self._pending = future
        try:
            return future.result()
        except CancelledError:
            raise RequestEnded from None

    def check(self) -> None:
        """Raises RequestEnded when the request is over."""
        with self._lock:
            if self._has_ended:
                raise RequestEnded

    def end(self) -> None:
        """Let the thread go, now and whenever it calls again. Call it on the loop, when the request is over."""
        with self._lock:
            self._has_ended = True
            pending = self._pending
        if pending is not None:
            pending.cancel()
