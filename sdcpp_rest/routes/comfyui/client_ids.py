"""Reads who listens at a WebSocket, as ComfyUI's clients say it.

Stands alone, because native clients come to the same socket, and need nothing else of this dialect.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.types import Scope

CLIENT_ID = "clientId"
"""In the query of a WebSocket: who listens."""

_LONGEST_CLIENT = 200


def find_client(scope: Scope) -> str:
    """The client id in a socket's query; empty for none."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    client: str = query.get(CLIENT_ID, [""])[0]
    return client[:_LONGEST_CLIENT]
