"""The messages of the native WebSocket: events to JSON text, and what a client's own words are answered with.

Pure: the sockets are the ASGI shell's business.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from sdcpp_rest.core.events import Event
from sdcpp_rest.routes.http.answers import json_text

PATHS = frozenset({"/", "/ws"})
"""Where the native stream is served: the second port's root as the native API has it, and beside the routes."""

TRY_AGAIN_LATER = 1013
MAX_HEARD_CHARACTERS = 4096


def message_text(event: Event, at: datetime | None = None, prefix: str = "") -> str:
    """``{"event", "timestamp", "data"}`` as one line of JSON; ``timestamp`` in UTC with milliseconds. ``prefix``: the
    path below which the listener called, for what it may fetch."""
    payload = event.data()
    if prefix and "preview_url" in payload:
        payload["preview_url"] = quote(prefix) + payload["preview_url"]
    return _message(event.name, payload, at)


def answer_to(heard: str, at: datetime | None = None) -> str | None:
    """A client's "ping", in either spelling in use, gets its pong in the same spelling; anything else gets nothing."""
    if heard == "ping":
        return "pong"
    if len(heard) > MAX_HEARD_CHARACTERS:
        return None
    try:
        said = json.loads(heard)
    except (ValueError, RecursionError):
        return None
    if isinstance(said, dict) and said.get("type") == "ping":
        return _message("pong", {}, at, type="pong")
    return None


def _message(name: str, payload: dict[str, Any], at: datetime | None, **more: Any) -> str:
    moment = (at or datetime.now(timezone.utc)).astimezone(timezone.utc)
    timestamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json_text({**more, "event": name, "timestamp": timestamp, "data": payload})
