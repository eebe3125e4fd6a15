"""Checks the values of settings about other servers: their addresses, and secrets for them.

Calls none of them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr


def server_url(url: str, example: str) -> str:
    """The address of a server, without a slash at its end. Raises ValueError, which shows ``example``.

    Strict about what the host is: what is checked here must be what the HTTP library connects to.
    """
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    plain = url.isascii() and url.isprintable() and re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host) is not None
    if not plain or parts.scheme not in ("http", "https") or port == 0 or re.search(r"[@?#\\\s]", url):
        raise ValueError(f"Input should be the address of a server such as {example}, without user, query and fragment")
    return url


def header_secret(secret: SecretStr, what: str) -> SecretStr:
    """A secret that can stand in an HTTP header; ``what`` is its word in the error. Raises ValueError."""
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"Input should be a {what} of printable ASCII characters without spaces")
    return secret
