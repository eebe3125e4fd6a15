"""Binds the sockets that the server listens on, and says in a sentence why it cannot start.

Imports little: a server knows that its ports are free before it imports what answers at them. Knows nothing of HTTP.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sdcpp_rest.config.web_names import origin_pattern
from sdcpp_rest.errors import SdcppRestError

if TYPE_CHECKING:
    from sdcpp_rest.config.server_section import ServerConfig

log = logging.getLogger(__name__)

BACKLOG = 2048


def listen(settings: ServerConfig) -> list[socket.socket]:
    """Listening sockets for the configured addresses. Raises SystemExit with one sentence naming the port."""
    sockets = bind(settings.host, (settings.port, settings.ws_port))
    if settings.ipv6_loopback and settings.host.lower() in ("127.0.0.1", "localhost"):
        sockets += bind_ipv6_loopback(sockets)
    warn_of_open_origins(settings.cors_origins)
    return sockets


def explain_failed_start(error: BaseException) -> SystemExit:
    """What to end with where a runtime cannot start: one sentence. What is no refusal is logged with its traceback."""
    if not isinstance(error, SdcppRestError | OSError):
        log.error("the server could not start", exc_info=error)
    return SystemExit(f"sdcpp-rest: {error}")


def bind(host: str, ports: Iterable[int]) -> list[socket.socket]:
    """Listening sockets, in the order of ``ports``: the first for HTTP (0: a free one), the second (0: none) for
    clients that expect WebSockets apart. Raises SystemExit with one sentence naming the port."""
    sockets: list[socket.socket] = []
    for number, port in enumerate(ports):
        if number and not port:
            continue
        setting = "server.ws_port (--ws-port)" if number else "server.port (--port)"
        try:
            sockets.append(_listening(host, port))
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise SystemExit(_bind_refusal(error, host, port, setting)) from None
    return sockets


def bind_ipv6_loopback(sockets: Iterable[socket.socket]) -> list[socket.socket]:
    """The ports of ``sockets`` on ``::1`` as well: where a name means both, clients try that first. A port that is
    taken there is a warning, and a machine without IPv6 is none."""
    more: list[socket.socket] = []
    for port in [bound.getsockname()[1] for bound in sockets if bound.family == socket.AF_INET]:
        try:
            more.append(_listening("::1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                log.warning("port %d of ::1 belongs to another program, and so may http://localhost:%d", port, port)
            else:
                log.debug("not listening on ::1 port %d: %s", port, error)
    return more


def warn_of_open_origins(cors_origins: Iterable[str]) -> None:
    """Say at the start what a careless ``server.cors_origins`` means."""
    patterns = [origin_pattern(text) for text in cors_origins]
    if any(pattern.is_any for pattern in patterns):
        log.warning('server.cors_origins has "*": any web page that is visited on this machine may call the server')
    elif any(pattern.is_null for pattern in patterns):
        log.warning(
            'server.cors_origins has "null": any web page that is visited on this machine can make itself such a page '
            "and call the server"
        )


def _listening(host: str, port: int) -> socket.socket:
    family, _, _, _, address = min(
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE),
        # "localhost" may be both; IPv4 is what most clients try.
        key=lambda found: found[0] != socket.AF_INET,
    )
    # The protocol is named, because asyncio turns Nagle's algorithm off only where it reads TCP: without that, every
    # answer on a kept connection waits 40 ms for the client's delayed acknowledgement of its head.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        bound.bind(address)
        # Listening now, not when the loop runs: with SO_REUSEADDR a second server would get through bind().
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_refusal(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", None)):
        return f"sdcpp-rest: port {port} on {host} is in use by another program; choose another one with {setting}"
    if error.errno in (errno.EACCES, getattr(errno, "WSAEACCES", None)):
        return f"sdcpp-rest: this user may not listen on port {port} of {host}; choose a port above 1023 with {setting}"
    return f"sdcpp-rest: cannot listen on {host} port {port}: {error.strerror or error}; see server.host and {setting}"
