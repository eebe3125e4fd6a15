"""Sends an answer with its date, and knows how it began. Knows no request."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from starlette.types import Message, Send


class DatedAnswer:
    """Sends an answer with exactly one Date. ``status``: 0 until it has begun; 101 of a WebSocket that is accepted."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"].endswith("response.start"):
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"date" for name, _ in headers):
                headers.append((b"date", _date_at(int(time.time()))))
            message = {**message, "headers": headers}
        await self._send(message)


@lru_cache(maxsize=1)
def _date_at(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
