"""The wire to a language model server: calls that any thread can end, bounded answers, keys that go nowhere else.

Knows httpx and sockets. Knows no protocol of such servers, and does not decide which of them may be called.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from sdcpp_rest.errors import EngineUnavailable

MAX_ANSWER_BYTES = 16 * 1024 * 1024


class AnswerTooLarge(httpx.HTTPError):
    """The server's answer is longer than anything that a language model should say."""


class Line:
    """One call, and the way to end it from another thread: reads that wait for the server fail at once.

    ``has_ended``: `hang_up` was called; ``has_expired``: by the clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.has_ended = False
        self.has_expired = False

    def hang_up(self) -> None:
        """End the call; whatever is connected later is ended too. Idempotent."""
        with self._lock:
            self.has_ended = True
            for connected in self._sockets:
                _shut_down(connected)

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Hang up after ``seconds``, unless the block ends before. A timeout of the HTTP library counts silences only:
        a server that sends a byte now and then would never run into it."""
        clock = threading.Timer(seconds, self._expire)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

    def connected(self, stream: Any) -> None:
        """Take note of a connection (httpcore's network stream)."""
        found = stream.get_extra_info("socket")
        if not isinstance(found, socket.socket):
            return
        with self._lock:
            self._sockets.append(found)
            if self.has_ended:
                _shut_down(found)

    def _expire(self) -> None:
        self.has_expired = True
        self.hang_up()


class OpenLines:
    """All calls in progress. ``close`` ends them: nobody waits for a language model while the server stops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self.is_closed = False

    @contextlib.contextmanager
    def open(self, line: Line | None = None) -> Iterator[Line]:
        """A line for one call, or ``line`` for a call that somebody else may end too. Raises EngineUnavailable."""
        line = line or Line()
        with self._lock:
            if self.is_closed:
                raise EngineUnavailable("The server is stopping")
            self._lines.add(line)
        try:
            yield line
        finally:
            with self._lock:
                self._lines.discard(line)

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            lines = [*self._lines]
        for line in lines:
            line.hang_up()


class LlmTransport(httpx.BaseTransport):
    """What both protocols' clients send through.

    Args:
        line: may end what is sent here.
        api_key: shown to the server; empty for none. A key that the client library finds in the environment is not
            sent: the address may have been chosen by a caller.
        use_tls: whether certificates will be needed; loading them takes longer than a call to this machine.
    """

    def __init__(self, line: Line, api_key: str, *, use_tls: bool) -> None:
        self._line = line
        self._api_key = api_key
        self._inner = httpx.HTTPTransport(verify=True if use_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers.pop("authorization", None)
        if self._api_key:
            request.headers["authorization"] = f"Bearer {self._api_key}"
        # A compressed answer could be a thousand times longer than the bytes that are counted here.
        request.headers["accept-encoding"] = "identity"
        request.extensions = {**request.extensions, "trace": self._trace}
        response = self._inner.handle_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            response.close()
            raise httpx.DecodingError("the answer is compressed, although that was not asked for")
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream)
        return response

    def close(self) -> None:
        self._inner.close()

    def _trace(self, name: str, happened: Mapping[str, Any]) -> None:
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._line.connected(happened["return_value"])


class _Bounded(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        left = MAX_ANSWER_BYTES
        for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise AnswerTooLarge(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
            yield chunk

    def close(self) -> None:
        self._inner.close()


def _shut_down(connected: socket.socket) -> None:
    """Unlike closing, this wakes a thread that reads. Not the TLS socket's own method: that one would take the
    encryption away under the reader."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
