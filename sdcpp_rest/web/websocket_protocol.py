"""Speaks the WebSocket protocol for uvicorn, as the shell needs it. Imported by the first WebSocket."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as HandshakeRequest

from sdcpp_rest.routes.http.dialect import ABORT


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """Lets the application cut off a client that does not read: closing would wait for what is buffered, for ever. A
    refused handshake is no fault."""

    def handle_connect(self, event: HandshakeRequest) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast(dict[str, Any], self.scope["extensions"])[ABORT] = self.transport.abort

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # The handshake has been answered, if with a refusal; without this word that is logged as a fault.
            self.handshake_complete = True
