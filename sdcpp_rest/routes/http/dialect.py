"""What a dialect is made of: its views, the shapes of its errors, its WebSockets and the applications it mounts.

Each dialect's folder has one `Dialect`; `web.app` has the tuple of them. Knows no dialect, and no single route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from flask import Blueprint, Response, g
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.openapi import Error

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime

ABORT = "sdcpp_rest.abort"
"""Key in the ``extensions`` of a WebSocket's scope: call it to cut off a client that does not read."""

Headers = list[tuple[str, str]]
SocketHandler = Callable[["Runtime", Scope, Receive, Send], Awaitable[None]]
"""Serves one WebSocket until it ends. Host, Origin and key have been checked; nothing has been accepted yet."""
MakeApp = Callable[["Runtime"], ASGIApp]
"""Builds an ASGI application over the runtime. Its requests have been let in, and their bodies bounded. One that keeps
something running between requests is a `StoppableApp`."""


@runtime_checkable
class StoppableApp(Protocol):
    """A mounted application with work of its own, which begins at its first request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def stop(self) -> None:
        """End that work, on the loop of the requests: the server stops. May be called more than once."""


@dataclass(frozen=True)
class ErrorShape:
    """How a dialect words an error.

    ``refusal`` is the model of ``body``'s result; a ``body`` of ``None`` means the native shape. ``headers`` are sent
    beside the native ones.
    """

    name: str
    refusal: type[BaseModel]
    body: Callable[[SdcppRestError], dict[str, Any]] | None = None
    status: Callable[[SdcppRestError], int] = lambda error: error.status
    headers: Callable[[SdcppRestError], Headers] = lambda error: []


NATIVE_ERROR = ErrorShape("native", Error)


@dataclass(frozen=True)
class Dialect:
    """One dialect of the server, whole.

    Args:
        blueprints: its views. Every route spells its whole path.
        error_shapes: path -> shape of the errors at that path and below it, unknown URLs and wrong methods included.
            Paths that no dialect names have the native shape.
        key_cookie: the cookie in which its clients send keys, if they do; they may then also send one as the whole of
            an ``Authorization`` header.
        caseless: paths of its own that are meant in whatever case they come.
        aliases: path -> path of its own that is meant there and below it, where clients have another base URL.
        after_request: sees every answer at those paths, with the seconds it took.
        sockets: path -> what serves a WebSocket there; a path that ends in ``/``: there and below, unless another is
            nearer.
        mounts: path -> what builds the ASGI application that answers there and below it, in place of Flask.
    """

    name: str
    blueprints: tuple[Blueprint, ...] = ()
    error_shapes: Mapping[str, ErrorShape] = field(default_factory=dict)
    after_request: Callable[[Response, float], None] | None = None
    sockets: Mapping[str, SocketHandler] = field(default_factory=dict)
    mounts: Mapping[str, MakeApp] = field(default_factory=dict)
    caseless: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    key_cookie: str = ""


def speak(shape: ErrorShape) -> None:
    """Answer errors of the current request in ``shape``, whatever its path says: where two dialects share a path."""
    g.sdcpp_rest_error_shape = shape
