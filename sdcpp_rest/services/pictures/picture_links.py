"""Signs links to single pictures, which work for an hour and for everybody who has one.

A URL in an answer is opened by a browser or a bare HTTP client, which have no key to show. Pure: reads the
configuration, touches nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from sdcpp_rest.config import Config

PREFIX = "/v1/images/files/"
LIFETIME_SECONDS = 3600

_OPEN = "open"
_DIGITS = 32


def link_path(config: Config, name: str, now: float | None = None) -> str:
    """The path of ``name`` (``<job id>/image_0.png``), signed where keys are configured."""
    return f"{PREFIX}{_ticket(config, name, int(time.time() if now is None else now) + LIFETIME_SECONDS)}/{name}"


def is_open(config: Config, path: str, now: float | None = None) -> bool:
    """Whether ``path`` is such a link, signed with one of the keys, and still good."""
    if not path.startswith(PREFIX):
        return False
    ticket, _, name = path.removeprefix(PREFIX).partition("/")
    expires, _, shown = ticket.partition("-")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return False
    if int(expires) < (time.time() if now is None else now):
        return False
    return any(
        hmac.compare_digest(_signature(key.secret, name, int(expires)), shown.encode("utf-8", "replace"))
        for key in config.auth.all_keys
    )


def hide_ticket(path: str) -> str:
    """``path`` without what makes it open for whoever reads it."""
    if not path.startswith(PREFIX):
        return path
    ticket, slash, name = path.removeprefix(PREFIX).partition("/")
    return path if ticket == _OPEN else f"{PREFIX}...{slash}{name}"


def _ticket(config: Config, name: str, expires: int) -> str:
    if not config.auth.is_on:
        return _OPEN
    key = config.auth.all_keys[0].secret
    return f"{expires}-{_signature(key, name, expires).decode()}"


def _signature(key: str, name: str, expires: int) -> bytes:
    signed = hmac.new(key.encode("utf-8", "surrogateescape"), f"{expires}/{name}".encode(), hashlib.sha256)
    return signed.hexdigest()[:_DIGITS].encode()
