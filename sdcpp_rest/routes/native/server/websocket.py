"""The messages of the native WebSocket: events to JSON text, and what a client's own words are answered with; where in
the stream a client begins.

Pure: the sockets are the ASGI shell's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, quote

from sdcpp_rest.core.events import Event
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import json_text, shorten
from sdcpp_rest.services.jobs.event_history import StreamPlace

PATHS = frozenset({"/", "/ws"})
"""Where the native stream is served: the second port's root as the native API has it, and beside the routes."""

TRY_AGAIN_LATER = 1013
MAX_HEARD_CHARACTERS = 4096

_LONGEST_NUMBER = 16
_LONGEST_EPOCH = 64


def read_place(query: bytes) -> StreamPlace | None:
    """Behind which event a client wants to begin (``since``, ``epoch``); ``None`` for whatever comes from now on.

    Raises InvalidRequest.
    """
    asked = parse_qs(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    numbers, epochs = asked.get("since", []), asked.get("epoch", [])
    if not numbers and not epochs:
        return None
    if len(epochs) > 1 or (epochs and not (0 < len(epochs[0]) <= _LONGEST_EPOCH and epochs[0].isalnum())):
        raise InvalidRequest(
            f"epoch must be the epoch of a message of this stream, once, got {_quote(epochs)}", field="epoch"
        )
    number = numbers[0] if len(numbers) == 1 else ""
    if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER):
        raise InvalidRequest(
            f"since must be the seq of a message of this stream, a whole number from 0, once, got {_quote(numbers)}",
            field="since",
        )
    return StreamPlace(int(number), epochs[0] if epochs else None)


def message_text(
    event: Event,
    at: datetime | None = None,
    prefix: str = "",
    *,
    seq: int | None = None,
    epoch: str | None = None,
) -> str:
    """``{"event", "timestamp", "data", "seq", "epoch"}`` as one line of JSON; ``timestamp`` in UTC with milliseconds.
    ``prefix``: the path below which the listener called, for what it may fetch."""
    payload = event.data()
    if prefix and "preview_url" in payload:
        payload["preview_url"] = quote(prefix) + payload["preview_url"]
    numbers = {} if seq is None else {"seq": seq, "epoch": epoch}
    return _message(event.name, payload, at, after=numbers)


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
        return _message("pong", {}, at, {"type": "pong"})
    return None


def _message(
    name: str,
    payload: dict[str, Any],
    at: datetime | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> str:
    moment = (at or datetime.now(timezone.utc)).astimezone(timezone.utc)
    timestamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json_text({**(before or {}), "event": name, "timestamp": timestamp, "data": payload, **(after or {})})


def _quote(values: list[str]) -> str:
    return f'"{shorten(" and ".join(values))}"' if values else "nothing"
