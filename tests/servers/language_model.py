"""What the local language model servers share: real sockets, what they were asked, what they say, faults on demand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest

from sdcpp_rest.services.language.llm_connection import Line


@dataclass
class Said:
    """What the model says next: text in pieces, then calls of tools."""

    pieces: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


def shorten_time_limits(patch: pytest.MonkeyPatch) -> None:
    """Have a whole call end after a twentieth of its ``timeout_seconds``, which is a setting in whole seconds."""
    limit_time = Line.limit_time
    patch.setattr(Line, "limit_time", lambda line, seconds: limit_time(line, seconds / 20))


def shorten_silences(patch: pytest.MonkeyPatch) -> None:
    """The same for a server that says nothing."""
    timeout = httpx.Timeout
    patch.setattr(httpx, "Timeout", lambda seconds, connect: timeout(seconds / 20, connect=connect))


class Wire(BaseHTTPRequestHandler):
    """One connection. ``model`` is set by the server that it belongs to."""

    model: ClassVar[LanguageModelServer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("content-length", 0))
        raw = self.rfile.read(length) if length else b""
        body = json.loads(raw) if raw else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        server = self.model
        server.asked.append(Asked(self.command, self.path, headers, body))
        with contextlib.suppress(OSError):
            if server.key and headers.get("authorization") != f"Bearer {server.key}":
                self.answer(401, server.error("invalid key"))
            elif isinstance(server.fault, int):
                self.answer(server.fault, server.error(server.fault_text))
            elif server.fault == "redirect":
                self.answer(302, {}, location="http://127.0.0.1:1/elsewhere")
            elif server.fault == "silent":
                self._until_hung_up()
            elif server.fault == "junk":
                self.answer(200, None, raw=b"<html>\nthis is no JSON</html>\n")
            else:
                server.serve(self, body)

    def answer(self, status: int, body: Any, raw: bytes = b"", **headers: str) -> None:
        raw = raw or json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json" if body is not None else "text/html")
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, content_type: str, lines: Iterator[bytes]) -> None:
        """A chunked answer; with the fault ``cut`` the connection breaks after the first line, with ``end`` the answer
        ends there as if it were whole, with ``stall`` nothing comes after it."""
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for count, line in enumerate(lines):
            if count == 1 and self.model.fault == "cut":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if count == 1 and self.model.fault == "end":
                break
            if count == 1 and self.model.fault == "stall":
                self._until_hung_up()
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _until_hung_up(self) -> None:
        self.model.stalled.set()
        if not self.connection.recv(1):
            self.model.hung_up.set()
        self.close_connection = True


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up hard are part of the tests."""


class LanguageModelServer:
    """A server on a loopback port of its own, for the length of a ``with`` block.

    ``fault``: a status, ``silent``, ``stall``, ``cut``, ``end``, ``junk``, ``redirect`` or ``None``. ``says``: what the
    model says, one entry per chat, the last one for ever. ``has_tools``/``has_schemas``: whether it takes such
    requests. ``hung_up``: the client ended a call that was stalled.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.says: list[Said] = [Said(["Hello"])]
        self.models = ["llama3.2", "mistral"]
        self.fault: int | str | None = None
        self.fault_text = "out of order"
        self.key = ""
        self.has_tools = True
        self.has_schemas = True
        self.stalled = threading.Event()
        self.hung_up = threading.Event()
        wire = type("_Wire", (Wire,), {"model": self})
        self._http = _Quiet(("127.0.0.1", 0), wire)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.004}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def chats(self) -> list[Any]:
        """The bodies of all chats so far."""
        return [asked.body for asked in self.asked if asked.method == "POST" and "chat" in asked.path]

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def next_said(self) -> Said:
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]

    def error(self, text: str) -> Any:
        raise NotImplementedError

    def serve(self, wire: Wire, body: Any) -> None:
        raise NotImplementedError
