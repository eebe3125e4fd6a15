"""Connects over HTTP only to addresses which were checked: `requests`, with the look-up of names taken over.

The check and the connection are one step, for the first address as for each redirect and each retry, so that a name
cannot mean another machine in between. A connection can be cut from another thread.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from sdcpp_rest.core.download_source import check_address, hide_secrets
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.downloads.source_errors import (
    DownloadStopped,
    SourceBusy,
    SourceForbidden,
    SourceNotFound,
    SourceTimeout,
    SourceUnavailable,
    SourceWrong,
)
from sdcpp_rest.services.downloads.stop_switch import AddressRule, StopSwitch

MAX_REDIRECTS = 10
_MAX_JSON_BYTES = 16 << 20
_READ_BYTES = 1 << 16
_OTHER_ADDRESS_SECONDS = 4.0


class CheckedSession:
    """Makes the HTTP requests of one transfer. Not thread-safe but for its `StopSwitch`.

    Args:
        rule: which addresses may be called.
        connect_seconds, read_seconds: how long a connection may take to come about, and a server may be silent.
        stop: cuts it from another thread.
        deadline_seconds: how long all of it may take: a byte now and then is no silence. ``None``: for ever.
    """

    def __init__(
        self,
        rule: AddressRule,
        connect_seconds: float,
        read_seconds: float,
        stop: StopSwitch | None = None,
        deadline_seconds: float | None = None,
    ) -> None:
        self.stop = stop or StopSwitch()
        self._timer: threading.Timer | None = None
        self._is_late = False
        if deadline_seconds is not None:
            self._timer = threading.Timer(deadline_seconds, self._end_late)
            self._timer.daemon = True
            self._timer.start()
        self._timeout = (connect_seconds, read_seconds)
        self._session = requests.Session()
        # No proxies, no .netrc: a proxy would look names up anew, and nobody's passwords go to a client's address.
        self._session.trust_env = False
        # That also forgets who vouches for certificates, which is the machine's own business.
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(rule, self.stop))

    def __enter__(self) -> CheckedSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if self._is_late and kind is DownloadStopped:
            raise SourceTimeout("The source takes too long to answer") from None

    def _end_late(self) -> None:
        self._is_late = True
        self.stop.set()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._session.close()
        self.stop.forget()

    def get(self, url: str, headers: Mapping[str, str], token: str | None = None) -> requests.Response:
        """The answer to a GET, its body unread; redirects are followed, each to a checked address.

        ``token`` goes to the first host only, and never from https to http. Raises SourceTimeout, SourceUnavailable,
        SourceWrong (redirects without end), HostRefused, HostUnknown, DownloadStopped; a refusal by status is the
        caller's to judge, see `refusal`.
        """
        origin = _origin(url)
        for _ in range(MAX_REDIRECTS + 1):
            self.stop.check()
            sent = {"Accept-Encoding": "identity", "User-Agent": "sdcpp-rest", **headers}
            if token and _origin(url) == origin:
                sent["Authorization"] = f"Bearer {token}"
            with self.faults_of(url):
                answer = self._session.get(url, headers=sent, timeout=self._timeout, stream=True, allow_redirects=False)
            if answer.is_redirect or self.stop.is_set:
                answer.close()
            # A connection that is cut among the headers looks like an answer with fewer of them.
            self.stop.check()
            if not answer.is_redirect:
                return answer
            target = urljoin(url, answer.headers["Location"])
            if _is_login(target):
                raise SourceForbidden(f"{_host(url)} wants a login")
            try:
                target = check_address(target)
            except InvalidRequest:
                raise SourceWrong(f"{_host(url)} redirects to an odd address") from None
            if url.startswith("https:") and target.startswith("http:"):
                raise SourceWrong(f"{_host(url)} redirects from https to http, which is not followed")
            url = target
        raise SourceWrong(f"{_host(url)} redirects more than {MAX_REDIRECTS} times")

    def get_json(self, url: str, token: str | None = None) -> Any:
        """The JSON of an answer. Raises as `get`, and what `refusal` makes of a status."""
        with self.get(url, {"Accept": "application/json"}, token) as answer:
            if answer.status_code != 200:
                raise refusal(answer)
            with self.faults_of(url):
                body = b""
                while part := answer.raw.read(_READ_BYTES):
                    body += part
                    if len(body) > _MAX_JSON_BYTES:
                        raise SourceWrong(f"{_host(url)} answers with more than {_MAX_JSON_BYTES >> 20} MiB of JSON")
            try:
                return json.loads(body)
            except (ValueError, RecursionError):
                raise SourceWrong(f"{_host(url)} does not answer with JSON") from None

    @contextlib.contextmanager
    def faults_of(self, url: str) -> Iterator[None]:
        """Turns the libraries' many exceptions into our few."""
        try:
            yield
        except (requests.Timeout, ConnectTimeoutError, ReadTimeoutError, TimeoutError):
            self.stop.check()
            raise SourceTimeout(f"{_host(url)} does not answer within {self._timeout[1]:g} s") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
            raise SourceWrong(f"{hide_secrets(url)[:120]!r} is not an address") from None
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            self.stop.check()
            raise SourceUnavailable(f"The connection to {_host(url)} failed: {_first_words(error)}") from None


def refusal(answer: requests.Response) -> Exception:
    """What a status other than success means."""
    host, status = _host(answer.url), answer.status_code
    if status in (401, 403):
        return SourceForbidden(f"{host} refuses this file (HTTP {status})")
    if status in (404, 410, 451):
        return SourceNotFound(f"{host} does not have this file (HTTP {status})")
    if status == 429:
        return SourceBusy(f"{host} wants fewer requests (HTTP 429)", _seconds(answer.headers.get("Retry-After", "")))
    if status in (408, 425) or status >= 500:
        wait = _seconds(answer.headers.get("Retry-After", ""))
        message = f"{host} fails (HTTP {status})"
        return SourceBusy(message, wait) if wait is not None else SourceUnavailable(message)
    return SourceWrong(f"{host} answers with HTTP {status}")


class _CheckedHttp(HTTPConnection):
    rule: AddressRule
    stop: StopSwitch

    def _new_conn(self) -> socket.socket:
        return _connect(self, self.rule, self.stop)


class _CheckedHttps(HTTPSConnection):
    rule: AddressRule
    stop: StopSwitch

    def _new_conn(self) -> socket.socket:
        return _connect(self, self.rule, self.stop)


def _connect(connection: HTTPConnection, rule: AddressRule, stop: StopSwitch) -> socket.socket:
    """To the first of the checked addresses that answers. The host's name stays what certificates are held against."""
    failure: OSError = OSError("no address")
    timeout = connection.timeout if isinstance(connection.timeout, (int, float)) else None
    addresses = _in_turn(rule(connection.host, connection.port or 80))
    for k, address in enumerate(addresses):
        stop.check()
        is_last = k == len(addresses) - 1
        patience = timeout if is_last or timeout is None else min(timeout, _OTHER_ADDRESS_SECONDS)
        try:
            opened = socket.create_connection((address, connection.port or 80), patience)
        except OSError as error:
            failure = error
            continue
        opened.settimeout(timeout)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            stop.watch(opened)
        except DownloadStopped:
            opened.close()
            raise
        return opened
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "the connection timed out")
    raise NewConnectionError(connection, failure.strerror or str(failure)) from failure


def _in_turn(addresses: list[str]) -> list[str]:
    """One of each family after the other: where IPv6 leads nowhere, the first IPv4 address is not far."""
    families = [
        [one for one in addresses if (":" in one) is is_six]
        for is_six in (":" in addresses[0], ":" not in addresses[0])
    ]
    return [one for pair in itertools.zip_longest(*families) for one in pair if one is not None]


class _Adapter(HTTPAdapter):
    def __init__(self, rule: AddressRule, stop: StopSwitch) -> None:
        self._rule = rule
        self._stop = stop
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        marks = {"rule": staticmethod(self._rule), "stop": self._stop}
        plain = type("Plain", (HTTPConnectionPool,), {"ConnectionCls": type("PlainOne", (_CheckedHttp,), marks)})
        secure = type("Secure", (HTTPSConnectionPool,), {"ConnectionCls": type("SecureOne", (_CheckedHttps,), marks)})
        manager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **more)
        manager.pool_classes_by_scheme = {"http": plain, "https": secure}
        self.poolmanager = manager


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "the source")[:100]


def _is_login(url: str) -> bool:
    return urlsplit(url).path.rstrip("/").endswith("/login")


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


def _first_words(error: BaseException) -> str:
    """The innermost reason, without addresses of objects and without the URL."""
    inner: BaseException | None = error
    words = type(error).__name__
    for _ in range(6):
        if inner is None:
            break
        if isinstance(inner, OSError) and inner.strerror:
            words = inner.strerror
        inner = inner.__cause__ or inner.__context__
    return words
