"""Answers what is about the server and none of its views: a prefix without its slash, ``OPTIONS *``."""

from __future__ import annotations

from urllib.parse import quote

from starlette.types import Scope, Send

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.web.caller import CALLER


async def redirect_to_slash(scope: Scope, send: Send) -> None:
    """Lead a browser from ``/sd`` to ``/sd/``, or the page's relative links would lead beside the server."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    location = quote(scope[CALLER].prefix).encode() + b"/" + query
    headers = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def answer_for_all(scope: Scope, send: Send) -> None:
    """``OPTIONS *``: about the server, not about one of its URLs. Raises InvalidRequest for any other method."""
    if scope["method"] != "OPTIONS":
        raise InvalidRequest("the target * goes with OPTIONS only")
    allow = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
    await send({"type": "http.response.body", "body": b""})
