"""Fetches pictures that clients name by their address, from public machines only and up to a size.

The bytes are whatever the address gave: whether they are a picture is told by who decodes them.
"""

from __future__ import annotations

import threading
from functools import partial
from urllib.parse import urlsplit

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.download_source import check_address
from sdcpp_rest.errors import EngineUnavailable, InvalidRequest, SdcppRestError
from sdcpp_rest.services.address_check import check_host
from sdcpp_rest.services.downloads.source_errors import DownloadStopped
from sdcpp_rest.services.downloads.stop_switch import StopSwitch

_DEADLINE_SECONDS = 60.0
_READ_BYTES = 1 << 16


class PictureFetching:
    """Fetches the bytes at http(s) addresses. Thread-safe."""

    def __init__(self, config: DownloadsConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._open: set[StopSwitch] = set()
        self._closed = False

    def fetch(self, field: str, address: str, most_bytes: int) -> bytes:
        """What is at ``address``; blocks for a minute at most.

        Raises InvalidRequest naming ``field`` for an address that is none and for more than ``most_bytes``,
        EngineUnavailable when the server stops, and what `CheckedSession.get` raises.
        """
        address, stop = check_address(address, field), StopSwitch()
        with self._lock:
            if self._closed:
                raise EngineUnavailable("The server is stopping")
            self._open.add(stop)
        try:
            return self._read(field, address, most_bytes, stop)
        except DownloadStopped:
            raise EngineUnavailable("The server is stopping") from None
        finally:
            with self._lock:
                self._open.discard(stop)

    def close(self) -> None:
        """Cut what is being fetched, and fetch nothing more. Idempotent."""
        with self._lock:
            self._closed, stopped = True, [*self._open]
        for stop in stopped:
            stop.set()

    def _read(self, field: str, address: str, most_bytes: int, stop: StopSwitch) -> bytes:
        from sdcpp_rest.services.downloads.checked_connection import CheckedSession, refusal

        config = self._config
        rule = partial(check_host, allowed=config.allow_private_hosts)
        timeouts = config.connect_timeout_seconds, config.read_timeout_seconds
        with (
            CheckedSession(rule, *timeouts, stop, deadline_seconds=_DEADLINE_SECONDS) as session,
            session.get(address, {"Accept": "image/*"}) as answer,
        ):
            if answer.status_code != 200:
                raise _name_field(field, refusal(answer))
            body = bytearray()
            with session.faults_of(address):
                while part := answer.raw.read(_READ_BYTES):
                    body += part
                    if len(body) > most_bytes:
                        break
                stop.check()
        if len(body) > most_bytes:
            host = urlsplit(address).hostname
            raise InvalidRequest(f"{field}: {host} sends more than {most_bytes} bytes", field=field)
        return bytes(body)


def _name_field(field: str, error: Exception) -> Exception:
    if isinstance(error, SdcppRestError):
        error.message = f"{field}: {error.message}"
    return error
