"""Which threads a view runs on: marks on views. A view that waits may ask whether its client has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_POOL = "sdcpp_rest_pool"
_MAY_WAIT = "sdcpp_rest_may_wait"
View = TypeVar("View", bound=Callable[..., Any])


def blocking(view: View) -> View:
    """Mark a view that may wait (for the engine, for a job) and answers with JSON: it gets a thread of the large pool,
    so that it never keeps the short views from answering. Goes below the route decorator."""
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
    """Mark a view whose answer is, or may be, an event stream: it waits like a `blocking` one, and each piece leaves at
    once."""
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
