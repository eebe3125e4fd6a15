"""Sends HTTP requests to a language model server: answers bounded, keys sent nowhere else, ended by a `Line`.

Imported when the first call is made: the HTTP library takes a tenth of a second to load. Knows no protocol of such
servers, and does not decide which of them may be called.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from sdcpp_rest.services.language.llm_connection import Line

# At INFO the library writes a line with the whole address for every request, and a status is asked for all the time.
logging.getLogger("httpx").setLevel(logging.WARNING)

MAX_ANSWER_BYTES = 16 * 1024 * 1024


class AnswerTooLarge(httpx.HTTPError):
    """The server's answer is longer than anything that a language model should say."""


class LlmTransport(httpx.BaseTransport):
    """Sends what both protocols' clients ask for.

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
            self._line.note_connection(happened["return_value"])


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
