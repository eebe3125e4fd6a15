"""Serves the WebSockets of SwarmUI's API: opens the call, hands it to its route, says errors as messages.

Knows sockets; what is drawn is told elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from sdcpp_rest.config.auth_section import Scope as KeyScope
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.answers import internal_error, json_text
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.calls import Arguments, check_session, read_call
from sdcpp_rest.routes.swarmui.errors import UnknownRoute, WrongTransport, swarm_error
from sdcpp_rest.routes.swarmui.sessions import Sessions
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.path_redaction import PathRedaction

log = logging.getLogger(__name__)

FIRST_MESSAGE_SECONDS = 60.0
_GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What sending to a client that has left raises, now and then."""
Serve = Callable[["SwarmSocket", Runtime], Awaitable[None]]


class SwarmSocket:
    """One call by WebSocket: ``arguments`` of its first message, ``session``, and the way back. Its methods are for
    the event loop that serves it."""

    def __init__(self, socket: WebSocket, known: Sessions, redact_paths: PathRedaction) -> None:
        self._socket = socket
        self._known = known
        self._redact_paths = redact_paths
        self.arguments = Arguments({})
        self.session = ""

    async def open(self, route: str) -> None:
        """Wait for the first message, and check its session. Raises BasicFault, InvalidSession, UnreadableBody,
        WebSocketDisconnect, asyncio.TimeoutError."""
        given = await asyncio.wait_for(self.receive(), FIRST_MESSAGE_SECONDS)
        header = self._socket.headers.get("x-session-id", "")
        self.session = await asyncio.to_thread(check_session, given, header, self._known, route)
        self.arguments = Arguments(given)

    async def receive(self) -> dict[str, Any]:
        """The next message's object. Raises UnreadableBody, BasicFault, WebSocketDisconnect."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        return read_call(message.get("bytes") or (message.get("text") or "").encode())

    async def send(self, value: Mapping[str, Any]) -> None:
        """Raises WebSocketDisconnect if the client has left."""
        try:
            await self._socket.send_text(json_text(value))
        except _GONE:
            raise WebSocketDisconnect(1006) from None

    async def send_error(self, error: SdcppRestError) -> None:
        error.message = self._redact_paths(error.message)
        error.detail = self._redact_paths.in_values(error.detail)
        await self.send(swarm_error(error))


def socket_route(
    route: str, scope: KeyScope, serve: Serve
) -> Callable[[Runtime, Scope, Receive, Send], Awaitable[None]]:
    """What serves WebSockets at ``route`` for keys with ``scope``: opens the call, has it served, and closes."""

    @needs(scope)
    async def handle(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        call = SwarmSocket(socket, Sessions(runtime.settings.swarm_options), runtime.redact_paths)
        with contextlib.suppress(WebSocketDisconnect, asyncio.TimeoutError):
            try:
                await call.open(route)
                await serve(call, runtime)
            except SdcppRestError as error:
                await call.send_error(error)
            except (WebSocketDisconnect, asyncio.TimeoutError):
                raise
            except Exception as error:  # a fault of ours: the client gets its number, the log the rest
                await call.send_error(internal_error(error, f"WebSocket {scope['path']!r}"))
        with contextlib.suppress(*_GONE):
            await socket.close(1000)

    return handle


def refuse_socket(error: Callable[[], SdcppRestError]) -> Callable[[Runtime, Scope, Receive, Send], Awaitable[None]]:
    """What says that there is no WebSocket: by one message, as SwarmUI does."""

    @needs("read")
    async def handle(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        with contextlib.suppress(*_GONE):
            await socket.send_text(json_text(swarm_error(error())))
            await socket.close(1000)

    return handle


def _wrong_transport() -> SdcppRestError:
    return WrongTransport("That route must be called by HTTP, not by WebSocket.")


unknown_socket = refuse_socket(UnknownRoute)
http_only = refuse_socket(_wrong_transport)
