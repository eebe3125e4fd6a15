"""Calls on sockets of their own, which end in every way that a connection can end."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Any

PATIENCE_SECONDS = 60.0


class RawCall:
    """A POST that has been sent, and whose answer has not been read. ``body``: bytes, or what becomes JSON."""

    def __init__(
        self, port: int, path: str, body: Any, *, version: str = "1.1", headers: Mapping[str, str] | None = None
    ) -> None:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(sent)), **(headers or {})}
        lines = [f"POST {path} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items())]
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + sent)

    def leave(self) -> None:
        """Close the connection, as clients do whose time is over."""
        self._socket.close()

    def reset(self) -> None:
        """Break the connection off, as a client that is killed with unread answers."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close_half(self) -> None:
        """Say that nothing more will be sent; the answer is still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_byte(self) -> bytes:
        """The next byte that comes."""
        return self._socket.recv(1)

    def answer(self) -> tuple[http.client.HTTPResponse, bytes]:
        """The whole answer, as Python's own client reads it."""
        response = http.client.HTTPResponse(self._socket, method="POST")
        response.begin()
        return response, response.read()

    def __enter__(self) -> RawCall:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
