"""Names the WebSockets at the root, and tells apart the two kinds of listeners that come to one of them: ComfyUI's name
themselves in the query.

Knows both streams; says nothing itself.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from sdcpp_rest.routes.comfyui.client_ids import find_client
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.native.server import websocket
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.web.native_stream import serve_native_stream


@needs("read")
async def serve_root_stream(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve whoever listens at ``/ws``: with a client id ComfyUI's messages, without one the native ones."""
    if not find_client(scope):
        await serve_native_stream(runtime, scope, receive, send)
        return
    # Here, because most servers never have a client of ComfyUI's.
    from sdcpp_rest.routes.comfyui.socket import serve_prompt_events

    await serve_prompt_events(runtime, scope, receive, send)


STREAMS = Dialect(
    "streams",
    sockets={**dict.fromkeys(sorted(websocket.PATHS), serve_native_stream), "/ws": serve_root_stream},
)
