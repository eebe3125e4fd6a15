"""A web server on loopback whose files can be cut, slow, wrong, gone or somewhere else: real sockets, real HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PATIENCE_SECONDS = 20


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class ServedFile:
    """A file and its faults. Lists are used up, one entry per GET; an entry of ``None`` is no fault.

    cuts: the connection ends after so many bytes of the body. statuses: answered with that status. ``length``: what
    Content-Length says (``None``: nothing, and the body is sent in chunks unless ``closes``). hold_after: the body
    stops there until `release` is set.
    """

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    ranges: bool = True
    honours_if_range: bool = True
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    length: int | None = -1
    closes: bool = False
    hold_after: int | None = None
    release: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    on_get: Callable[[], None] = lambda: None


Answer = tuple[int, dict[str, str], bytes]
Page = Callable[[Asked], "Answer | ServedFile | None"]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that leave are what these tests are about."""


class FaultServer:
    """Files and pages by path; remembers what it was asked."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.files: dict[str, ServedFile] = {}
        self.pages: list[Page] = []
        self.asked: list[Asked] = []
        self._server = _QuietServer((host, 0), _requests_of(self))
        self.host = f"{host}:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.004}, daemon=True)
        self._thread.start()

    def add(self, path: str, content: bytes, **more: Any) -> ServedFile:
        self.files[path] = file = ServedFile(content, **more)
        return file

    def add_json(self, path: str, value: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.pages.append(
            lambda asked: (
                (status, {"Content-Type": "application/json", **headers}, body) if asked.path == path else None
            )
        )

    def gets(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path == path and one.method == "GET"]

    def found(self, asked: Asked) -> Answer | ServedFile:
        for page in reversed(self.pages):
            answer = page(asked)
            if answer is not None:
                return answer
        return self.files.get(asked.path) or (404, {"Content-Type": "text/plain"}, b"not here")

    def close(self) -> None:
        for file in self.files.values():
            file.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_SECONDS)


def _requests_of(server: FaultServer) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(has_body=False)

        def do_GET(self) -> None:
            self._answer(has_body=True)

        def _answer(self, has_body: bool) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, unquote(parts.path), dict(parse_qsl(parts.query)), headers)
            server.asked.append(asked)
            found = server.found(asked)
            with contextlib.suppress(OSError):
                if isinstance(found, ServedFile):
                    _send_file(self, found, asked, has_body)
                else:
                    status, sent, body = found
                    _head(self, status, {"Content-Length": str(len(body)), **sent})
                    if has_body:
                        self.wfile.write(body)

    return Requests


def _head(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()


def _send_file(request: BaseHTTPRequestHandler, file: ServedFile, asked: Asked, has_body: bool) -> None:
    cut = status = None
    if has_body:
        file.on_get()
        cut = file.cuts.pop(0) if file.cuts else None
        status = file.statuses.pop(0) if file.statuses else None
    if status is not None:
        body = b"not now"
        _head(request, status, {"Content-Length": str(len(body)), "Content-Type": "text/plain", **file.headers})
        request.wfile.write(body)
        return
    whole, start = file.content, 0
    headers = {"Content-Type": file.content_type, **file.headers}
    if file.etag is not None:
        headers["ETag"] = file.etag
    if file.last_modified is not None:
        headers["Last-Modified"] = file.last_modified
    code = 200
    wanted = asked.headers.get("range", "")
    condition = asked.headers.get("if-range")
    if condition is not None and file.honours_if_range and condition not in (file.etag, file.last_modified):
        wanted = ""
    if file.ranges and wanted.startswith("bytes="):
        start = int(wanted[6:].partition("-")[0])
        if start >= len(whole):
            _head(request, 416, {"Content-Range": f"bytes */{len(whole)}", "Content-Length": "0"})
            return
        code = 206
        headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
    body = whole[start:]
    is_chunked = file.length is None and not file.closes
    if file.length is not None:
        headers["Content-Length"] = str(len(body) if file.length == -1 else file.length)
    elif is_chunked:
        headers["Transfer-Encoding"] = "chunked"
    if file.closes or cut is not None:
        request.close_connection = True
        headers["Connection"] = "close"
    _head(request, code, headers)
    if not has_body:
        return
    for part in _parts(file, body if cut is None else body[:cut]):
        request.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
        request.wfile.flush()
    if cut is not None:
        # Without this a client could not tell the cut of a body without a length from its end.
        request.connection.shutdown(socket.SHUT_RDWR)
    elif is_chunked:
        request.wfile.write(b"0\r\n\r\n")


def _parts(file: ServedFile, body: bytes) -> Iterator[bytes]:
    if file.hold_after is not None and file.hold_after < len(body) and not file.release.is_set():
        yield body[: file.hold_after]
        file.held.set()
        file.release.wait(PATIENCE_SECONDS)
        body = body[file.hold_after :]
    for start in range(0, len(body), 1 << 16):
        yield body[start : start + (1 << 16)]
