"""Which threads a view runs on: marks on views, and how an event stream learns that its client has left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from flask import request

DEPARTURE = "sdcpp_rest.departure"
"""Where an event stream's `Departure` lies in the ASGI scope."""

_POOL = "sdcpp_rest_pool"
_MAY_WAIT = "sdcpp_rest_may_wait"
View = TypeVar("View", bound=Callable[..., Any])


def blocking(view: View) -> View:
    """Mark a view that may wait (for the engine, for a job): it gets a thread of the large pool, so that it never keeps
    the short views from answering. Goes below the route decorator."""
    setattr(view, _POOL, "blocking")
    return view


def transfer(view: View) -> View:
    """Mark a view that sends files: a client that reads slowly may hold its thread."""
    setattr(view, _POOL, "transfer")
    return view


def drawing(view: View) -> View:
    """Mark a view that decodes pictures: a few at a time, so that the machine is left to the others."""
    setattr(view, _POOL, "drawing")
    return view


def uploading(view: View) -> View:
    """Mark a view that reads a body of any length from `request.stream` as it comes in, bounded by
    ``limits.upload_bytes``. Every other view is called when its body is there as a whole."""
    setattr(view, _POOL, "upload")
    return view


def streaming(view: View) -> View:
    """Mark a view whose answer is an event stream: it waits like a `blocking` one, each piece leaves at once, and it is
    told when its client leaves (`departure`)."""
    setattr(view, _POOL, "stream")
    return view


def blocking_when(may_wait: Callable[[bytes], bool]) -> Callable[[View], View]:
    """Mark a view that is `blocking` for some bodies only: where two dialects share a URL, and one of them waits.
    ``may_wait`` looks at the raw body on the event loop: it must be quick, and rather say yes too often."""

    def mark(view: View) -> View:
        setattr(view, _MAY_WAIT, may_wait)
        return view

    return mark


def pool_of(view: Callable[..., Any] | None, body: bytes = b"") -> str:
    """``short``, ``blocking``, ``transfer``, ``drawing``, ``upload`` or ``stream``."""
    may_wait = getattr(view, _MAY_WAIT, None)
    return "blocking" if may_wait is not None and may_wait(body) else str(getattr(view, _POOL, "short"))


class Departure:
    """Whether the client of an event stream has left. Set by whoever holds the connection, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self.has_left = False

    def on_leaving(self, call: Callable[[], None]) -> None:
        """Have ``call`` called when the client leaves; at once if it has. It must not block."""
        with self._lock:
            if not self.has_left:
                self._waiting.append(call)
                return
        call()

    def leave(self) -> None:
        with self._lock:
            self.has_left, waiting, self._waiting = True, self._waiting, []
        for call in waiting:
            call()


def departure() -> Departure:
    """That of the current request's client; behind a server that does not tell, one that never happens."""
    found = request.environ.get("asgi.scope", {}).get(DEPARTURE)
    return found if isinstance(found, Departure) else Departure()
