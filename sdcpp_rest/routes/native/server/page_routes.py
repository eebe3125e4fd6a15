"""The web page below /ui: files that were built elsewhere, for browsers. They are open to all; what the page asks for
is not."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_file
from markupsafe import Markup
from pydantic import Field

from sdcpp_rest.errors import NotFound, NotSupported
from sdcpp_rest.routes.http.answers import prefers_html, runtime
from sdcpp_rest.routes.http.links import page_link, url_path
from sdcpp_rest.routes.http.open_views import open_to_all
from sdcpp_rest.routes.http.openapi import ANY_FILE, HTML, Error, documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.services.web_page import PageFile, link_from

page = Blueprint("page", __name__)

_NOT_BUILT = "The web page is not part of this installation; the API works without it"
_MISSING = Markup("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>sdcpp-rest</title></head>
<body><p>{words} (<a href="{start}">start</a>, <a href="{docs}">documentation</a>).</p></body>
</html>
""")
# Everything comes from this server; pictures also from memory, and news over its WebSocket.
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; "
    "connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'"
)
# How the page's folder is called from a place directly in it, for which the page was built.
_BESIDE = "../ui/"
_LASTING = "public, max-age=31536000, immutable"


class PageFilePath(Wire):
    path: str = Field(description="A file of the page, or a place in it.", examples=["gallery"])


@page.get("/ui")
@needs("read")
@documents({200: HTML, 304: (), 307: HTML, 501: (Error, HTML)})
@open_to_all
@transfer
def show_page() -> Response:
    """Open the web page, in a browser. A 501 where this installation has none."""
    if request.path.endswith("/") or not runtime().page.is_built:
        return _page_file("")
    # The page's links are relative to its folder.
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    return Response(status=307, headers={"Location": url_path("/ui/") + query}, mimetype=HTML)


@page.get("/ui/<path:path>")
@needs("read")
@documents({200: ANY_FILE, 206: ANY_FILE, 304: (), 501: (Error, HTML)}, errors=(404, 416), path=PageFilePath)
@open_to_all
@transfer
def show_page_file(path: str) -> Response:
    """Get a file of the web page. For a path without a file's ending the page itself, which shows that place."""
    return _page_file(path)


def _page_file(path: str) -> Response:
    if not runtime().page.is_built:
        return _tell_missing()
    found = runtime().page.find(path)
    folder = page_link("/ui/") if found.is_start else _BESIDE
    coding = _best_coding(found) if folder == _BESIDE else None
    try:
        response = _send_file(found, coding) if folder == _BESIDE else _send_start(found, folder)
    except FileNotFoundError:
        raise NotFound("There is no such file of the web page") from None
    if coding:
        response.headers["Content-Encoding"] = coding
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = _LASTING if found.is_lasting else "no-cache"
    return _guard(response)


def _send_file(found: PageFile, coding: str | None) -> Response:
    file = found.packed[coding] if coding else found.path
    return send_file(file, mimetype=found.media_type, conditional=True, etag=True)


def _send_start(found: PageFile, folder: str) -> Response:
    """The page for a place further down, as it is (a kilobyte): its packed neighbours have other links."""
    response = Response(link_from(found.path.read_bytes(), folder), mimetype=found.media_type)
    response.add_etag()
    response.make_conditional(request)
    return response


def _best_coding(found: PageFile) -> str | None:
    """The coding that the caller likes best, the smaller file where it likes two alike; ``None`` for none."""
    accepted = request.accept_encodings
    wanted = [(accepted.quality(coding), coding == "br", coding) for coding in found.packed]
    best = max(wanted, default=(0, False, ""))
    return best[2] if best[0] > 0 else None


def _tell_missing() -> Response:
    if not prefers_html(request.headers.get("Accept", "")):
        raise NotSupported(_NOT_BUILT)
    text = _MISSING.format(words=_NOT_BUILT, start=page_link("/"), docs=page_link("/docs"))
    return _guard(Response(str(text), status=501, mimetype=HTML))


def _guard(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
