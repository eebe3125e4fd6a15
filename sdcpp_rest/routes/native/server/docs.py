"""What the server tells of itself: its OpenAPI document, a page to try it on, and the project's own pages.

Everything comes from this machine, so that it works offline; the page may load nothing from anywhere else.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, current_app, send_file
from pydantic import Field

from sdcpp_rest.errors import NotFound
from sdcpp_rest.routes.http.answers import json_text, runtime
from sdcpp_rest.routes.http.links import absolute_url, page_link, url_path
from sdcpp_rest.routes.http.openapi import HTML, MARKDOWN, WHOLE_KEY, documents, page_files
from sdcpp_rest.routes.http.openapi import document as document_of
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire

docs = Blueprint("docs", __name__)

_MADE = "sdcpp_rest_openapi"
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_START_NAME = "start.js"
# The page's calls go where the page came from: a proxy may have put it below a path and told nobody.
_START = """\
const base = new URL("../..", document.currentScript.src).href.replace(/\\/$/, "");
fetch(base + "/openapi.json").then((answer) => answer.json()).then((openapi) => {
  window.ui = SwaggerUIBundle({
    spec: { ...openapi, servers: [{ url: base }] },
    dom_id: "#ui",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}, (reason) => {
  document.getElementById("ui").textContent = "The API's description could not be loaded: " + reason;
});
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sdcpp-rest: the API</title>
<link rel="icon" href="{assets}/favicon-32x32.png">
<link rel="stylesheet" href="{assets}/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script src="{assets}/start.js"></script>
</body>
</html>
"""
# Styles may stand in the page: Swagger UI sets them on its elements. Nothing may come from another place.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PagePath(Wire):
    name: str = Field(description="A page of the project's documentation.", examples=["architecture"])


class AssetPath(Wire):
    name: str = Field(description="A file that `/docs` needs.", examples=["swagger-ui.css"])


@docs.get("/openapi.json")
@needs("read")
@documents({200: "application/json"})
def openapi() -> Response:
    """Get this document. The bounds in it are those of this server's configuration, and its server is the one that was
    called."""
    text = _document_text()
    root = absolute_url("") if runtime().config.server.public_url else url_path("")
    if root:
        text = text.replace('"servers":[{"url":"/"}]', f'"servers":{json_text([{"url": root}])}', 1)
    return Response(text, mimetype="application/json")


@docs.get("/docs")
@needs("read")
@documents({200: HTML})
def try_out() -> Response:
    """Read the API's documentation, and try it. A page for browsers."""
    response = Response(_PAGE.format(assets=page_link("/docs/assets")), mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@docs.get("/docs/assets/<name>")
@needs("read")
@documents({200: tuple(dict.fromkeys([*_ASSETS.values()])), 304: ()}, errors=(404,), path=AssetPath)
@transfer
def asset(name: str) -> Response:
    """Get a file that the page at /docs needs."""
    if name == _START_NAME:
        response = Response(_START, mimetype="text/javascript")
    elif name in _ASSETS:
        response = send_file(_assets_folder() / name, mimetype=_ASSETS[name], conditional=True, etag=True)
    else:
        raise NotFound(f"There is no such file here; there are {', '.join([*_ASSETS, _START_NAME])}")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@docs.get("/docs/<name>.md")
@needs("read")
@documents({200: MARKDOWN}, errors=(404,), path=PagePath)
def page(name: str) -> Response:
    """Get a page of the project's documentation, as Markdown."""
    found = page_files().get(name)
    if found is None:
        raise NotFound("There is no such page", known=sorted(page_files()))
    response = Response(found.read_text(encoding="utf-8"), mimetype=MARKDOWN)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _document_text() -> str:
    # Made once per application, when somebody asks: it takes longer than anything else that is answered at once, and
    # imports every dialect.
    if _MADE not in current_app.extensions:
        made = document_of(current_app.extensions[WHOLE_KEY](), runtime().version, runtime().config.limits)
        current_app.extensions[_MADE] = json_text(made)
    return str(current_app.extensions[_MADE])


@lru_cache(maxsize=1)
def _assets_folder() -> Path:
    """Swagger UI's files, inside the package that ships them; found without running its code."""
    spec = importlib.util.find_spec("flask_swagger_ui")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "dist"
