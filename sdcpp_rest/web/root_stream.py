"""Tells apart the two kinds of listeners that come to the same WebSocket: ComfyUI's name themselves in the query.

Knows both streams; says nothing itself.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from sdcpp_rest.routes.comfyui.socket import find_client, serve_prompt_events
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.web.native_stream import serve_native_stream


async def serve_root_stream(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve whoever listens at ``/ws``: with a client id ComfyUI's messages, without one the native ones."""
    serve = serve_prompt_events if find_client(scope) else serve_native_stream
    await serve(runtime, scope, receive, send)
