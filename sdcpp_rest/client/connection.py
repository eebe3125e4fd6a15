"""Says where a client speaks to, with which key, and how long it waits: all that both kinds of client send alike."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx

from sdcpp_rest.client.steps import Request

_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_MOST_MESSAGE_BYTES = 1 << 24


@dataclass(frozen=True)
class Connection:
    """Where a client speaks to, and how. Raises ValueError for an address or a key that cannot be meant.

    ``timeout``: seconds until an answer that the server has at once. ``has_sockets``: false over another transport.
    """

    base_url: str
    api_key: str | None = field(repr=False)
    timeout: float
    has_sockets: bool

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or parts.query or parts.fragment:
            raise ValueError(f"base_url must be an address like http://127.0.0.1:8080, got {self.base_url!r}")
        if parts.username is not None:
            raise ValueError("base_url must not have a user or a key in it: give the key as api_key")
        if self.api_key is not None and not self.api_key.isprintable():
            raise ValueError("api_key must be one line of printable characters")

    @property
    def headers(self) -> dict[str, str]:
        """Sent with everything. Of a ``user:key`` a Bearer is the key alone."""
        return {"Authorization": f"Bearer {self.api_key.rpartition(':')[2]}"} if self.api_key else {}

    @property
    def encoded_headers(self) -> dict[bytes, bytes]:
        """The same for httpx, which takes texts for ASCII."""
        return {name.encode(): value.encode() for name, value in self.headers.items()}

    @property
    def certificates(self) -> ssl.SSLContext | bool:
        """Whom to trust: as httpx does, and nobody where nothing is encrypted. Reading the certificates takes 35 ms,
        for which a client of http:// need not wait."""
        return urlsplit(self.base_url).scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    @property
    def socket_url(self) -> str:
        """Where the events are: beside the routes, below the same path."""
        parts = urlsplit(self.base_url)
        scheme = {"http": "ws", "https": "wss"}[parts.scheme]
        return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))

    def socket_url_behind(self, since: tuple[int, str] | None) -> str:
        """The same, to hear first what came behind an event, by its number and the epoch of that."""
        return self.socket_url + ("" if since is None else "?" + urlencode({"since": since[0], "epoch": since[1]}))

    @property
    def socket_options(self) -> dict[str, Any]:
        """What both kinds of WebSocket are opened with."""
        return {
            "additional_headers": self.headers,
            "open_timeout": min(_CONNECT_SECONDS, self.timeout),
            "close_timeout": _CLOSE_SECONDS,
            "max_size": _MOST_MESSAGE_BYTES,
        }

    def limit_times(self, request: Request[Any]) -> httpx.Timeout:
        """A time for connecting, and one for the answer unless it may take as long as it takes."""
        answer = None if request.is_long else self.timeout
        return httpx.Timeout(answer, connect=min(_CONNECT_SECONDS, self.timeout))

    def build(self, client: httpx.Client | httpx.AsyncClient, request: Request[Any]) -> httpx.Request:
        """The request as httpx sends it."""
        is_json = request.answer not in (bytes, str)
        headers = {"Accept": "application/json" if is_json else "*/*"}
        content: Any = None
        if request.key:
            headers["Idempotency-Key"] = request.key
        if request.upload is not None:
            is_async = isinstance(client, httpx.AsyncClient)
            content = request.upload.read_beside() if is_async else request.upload.read()
            headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(request.upload.size)}
        return client.build_request(
            request.method,
            self.base_url.rstrip("/") + request.path,
            params=request.query_pairs or None,
            headers=headers,
            json=request.body,
            content=content,
            timeout=self.limit_times(request),
        )
