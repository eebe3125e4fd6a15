"""Links to what is on this server, for whoever called: as a URL, as a path, as a link in a page.

What lies between the caller and us (proxies, TLS, a path before ours) was settled by whoever holds the sockets; here it
is read from the request.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import request


def absolute_url(path: str) -> str:
    """``https://pictures.example.org/sd/output/…`` for ``/output/…``, which is encoded already."""
    return request.url_root.rstrip("/") + path


def url_path(path: str) -> str:
    """The same without scheme and host: for answers that a client resolves against the URL it called."""
    return quote(request.script_root) + path


def page_link(path: str) -> str:
    """``path`` as a link in the current page, relative to it: that works below any path, told or not."""
    raw_path = request.environ.get("asgi.scope", {}).get("raw_path") or request.path.encode()
    return "../" * (raw_path.count(b"/") - 1) + (path.removeprefix("/") or ".")
