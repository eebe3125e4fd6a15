"""Which views answer callers without a key: marks on views. All others are closed where keys are configured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from sdcpp_rest.services.web_page import WebPage

_MAY_OPEN = "sdcpp_rest_may_open"
View = TypeVar("View", bound=Callable[..., Any])
MayOpen = Callable[[WebPage, str], bool]
"""Looks at the web page and at an Accept header, on the event loop: it must be quick."""
Openness = Literal["closed", "sometimes", "always"]


def _always(page: WebPage, accept: str) -> bool:
    return True


def open_to_all(view: View) -> View:
    """Mark a view that tells nobody anything: files of the page, say. Goes below the route decorator."""
    return open_when(_always)(view)


def open_when(may_open: MayOpen) -> Callable[[View], View]:
    """Mark a view that is open to all in some cases only."""

    def mark(view: View) -> View:
        setattr(view, _MAY_OPEN, may_open)
        return view

    return mark


def how_open(view: Callable[..., Any]) -> Openness:
    """Whether ``view`` answers callers without a key."""
    may_open: MayOpen | None = getattr(view, _MAY_OPEN, None)
    return "closed" if may_open is None else "always" if may_open is _always else "sometimes"


def is_open(view: Callable[..., Any] | None, page: WebPage, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether ``view`` answers a caller with these headers whoever that is."""
    may_open: MayOpen | None = getattr(view, _MAY_OPEN, None)
    if may_open is None:
        return False
    return may_open(page, ",".join(value.decode("latin-1") for name, value in headers if name == b"accept"))
