"""The server about itself: who it is, how it is, what it offers."""

from __future__ import annotations

from flask import Blueprint, Response, request
from markupsafe import Markup

from sdcpp_rest.routes.http import answer, blocking, runtime

system = Blueprint("system", __name__)

_LINKS = {
    "health": "/health",
    "models": "/models",
    "queue": "/queue",
    "options": "/options",
    "memory": "/memory",
    "output": "/output",
}

_LINK = Markup('<a href="{url}">{name}</a>')
_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sdcpp-rest</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
:root {{ color-scheme: light dark }}
td:first-child {{ padding-right: 2rem; opacity: .7 }}
</style>
</head>
<body>
<h1>sdcpp-rest {version}</h1>
<table>
<tr><td>status</td><td>{status}</td></tr>
<tr><td>model</td><td>{model}</td></tr>
<tr><td>engine</td><td>{engine}</td></tr>
</table>
<p>{links}</p>
</body>
</html>
""")


@system.get("/")
def index() -> Response:
    """Links for programs, a small page for browsers."""
    version = runtime().version
    accepted = request.accept_mimetypes
    if accepted.quality("text/html") <= accepted.quality("application/json"):
        return answer({"name": "sdcpp-rest", "version": version, "links": _LINKS})
    health = runtime().health()
    loading = health["loading_model_name"]
    model = health["model_name"] or (f"loading {loading}" if loading else "none")
    page = _PAGE.format(
        version=version,
        status=health["status"],
        model=model,
        engine=health["engine"]["state"],
        links=Markup(" &middot; ").join(_LINK.format(url=url, name=name) for name, url in _LINKS.items()),
    )
    return Response(str(page), mimetype="text/html")


@system.get("/health")
def health() -> Response:
    """Always 200 while the server runs. A caller without a key, where keys are configured, learns no more than that."""
    if not _known_caller():
        return answer({"status": "ok"})
    return answer(runtime().health())


@system.get("/options")
@blocking
def options() -> Response:
    """Samplers, schedulers and quantization types, as the engine named them when it started."""
    return answer(runtime().options())


@system.get("/memory")
def memory() -> Response:
    return answer(runtime().memory())


@system.get("/favicon.ico")
def favicon() -> Response:
    return Response(status=204)


def _known_caller() -> bool:
    # Set by the ASGI shell; without it (tests, a plain WSGI server on loopback) there is nobody to tell apart.
    return bool(request.environ.get("asgi.scope", {}).get("sdcpp_rest.known", True))
