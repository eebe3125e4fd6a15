"""Words why no server answered: what the libraries say names their own classes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx


def word_fault(error: Exception) -> str:
    """Why a connection could not be made, or broke, for people."""
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "no machine of that name is known"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "nothing listens there"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "no secure connection can be made (an http:// server, or a certificate that is not trusted)"
    if any(isinstance(cause, TimeoutError | httpx.TimeoutException) for cause in causes):
        return "it takes too long"
    if isinstance(error, httpx.ProxyError):
        return "the proxy does not lead there (see http_proxy and no_proxy)"
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno and cause.strerror), None)
    if system is None or isinstance(system, ConnectionResetError | BrokenPipeError):
        return "it has closed the connection"
    return str(system.strerror).lower()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all it came from."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
