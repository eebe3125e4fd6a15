"""Finds out, before Ray is asked, whether TLS with a cluster's head will come about: Ray itself tries for minutes what
cannot work, and does not say why.

TLS is Ray's, and so are the variables that switch it on.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping

_CERTIFICATE, _KEY, _AUTHORITY = "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"
# How a client begins, and an empty list of its settings: what the other end answers, or does not.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


class TlsMismatch(Exception):
    """TLS that this machine and the head do not have in common; a sentence for people."""


def check_tls(connection: socket.socket, variables: Mapping[str, str]) -> None:
    """Raises TlsMismatch where a new connection to the head and this machine's environment do not go together. A head
    that is silent, or breaks off, is one of which nothing can be said. The connection is used up."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        _check(connection, variables)


def _check(connection: socket.socket, variables: Mapping[str, str]) -> None:
    is_wanted = variables.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    context = _own_context(variables) if is_wanted else _any_context()
    context.set_alpn_protocols(["h2"])
    try:
        secured = context.wrap_socket(connection)
    except ssl.SSLCertVerificationError as error:
        raise TlsMismatch(
            f"The head's certificate is not accepted: {error.verify_message}; {_AUTHORITY} names the authority's"
        ) from None
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            _refuse(is_wanted)
        elif is_wanted:
            raise TlsMismatch(
                "The head does not use TLS, and this machine's environment has RAY_USE_TLS=1: all machines of a "
                "cluster have it, or none"
            ) from None
        return
    with contextlib.closing(secured):
        if not is_wanted:
            _refuse(is_wanted)
        try:
            secured.sendall(_GREETING)
            answer = secured.recv(1)
        except (ssl.SSLError, ConnectionError):
            answer = b""
        if not answer:
            # Whom it does not know it hangs up on, after the handshake.
            _refuse(is_wanted)


def _refuse(is_wanted: bool) -> None:
    if is_wanted:
        raise TlsMismatch(f"The head does not accept this machine's certificate ({_CERTIFICATE})") from None
    raise TlsMismatch(
        f"The head uses TLS, and this machine's environment does not have RAY_USE_TLS=1, {_CERTIFICATE}, {_KEY} and "
        f"{_AUTHORITY}"
    ) from None


def _any_context() -> ssl.SSLContext:
    """One that lets everybody be who they say: it is only to find out whether the head answers it at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _own_context(variables: Mapping[str, str]) -> ssl.SSLContext:
    """What the environment says of this machine. Raises TlsMismatch."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Which names a certificate has to have is for Ray to say.
    context.check_hostname = False
    for name in (_CERTIFICATE, _KEY, _AUTHORITY):
        if not variables.get(name):
            raise TlsMismatch(f"This machine's environment has RAY_USE_TLS=1, and not {name}")
    try:
        context.load_verify_locations(variables[_AUTHORITY])
        context.load_cert_chain(variables[_CERTIFICATE], variables[_KEY])
    except OSError as error:
        names = f"{_CERTIFICATE}, {_KEY} or {_AUTHORITY}"
        raise TlsMismatch(f"A file of {names} cannot be read: {error.strerror or error}") from None
    return context
