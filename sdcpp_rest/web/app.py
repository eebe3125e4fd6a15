"""Creates the Flask application: the tuple of dialects, and the one place where an exception becomes an answer.

API paths never answer HTML errors. Knows Flask and the routes; what serves a socket is only named here.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from flask import Flask, Response, current_app, g, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from sdcpp_rest.core.changes import begin_noting, end_noting
from sdcpp_rest.errors import InvalidRequest, MethodNotAllowed, NotFound, PayloadTooLarge, SdcppRestError
from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.answers import RUNTIME_KEY, caller_key, internal_error, json_text, runtime, shorten
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect, late
from sdcpp_rest.routes.http.openapi import WHOLE_KEY, WholeApp
from sdcpp_rest.routes.http.scopes import check_scopes, scope_of
from sdcpp_rest.routes.native.dialect import NATIVE
from sdcpp_rest.runtime import Runtime

DIALECTS: tuple[Dialect | LateDialect, ...] = (
    late("sdcpp_rest.routes.root_pictures:ROOT_PICTURES", "/txt2img", "/img2img"),
    late("sdcpp_rest.web.root_stream:STREAMS", "/", "/ws"),
    *NATIVE,
    late("sdcpp_rest.routes.openai.dialect:OPENAI", "/v1/", "/api/v1/", "/images/"),
    late("sdcpp_rest.routes.sdcn.dialect:SDCN", "/api/sd/", "/api/user/", "/interrogate/"),
    late("sdcpp_rest.routes.a1111.dialect:A1111", "/sdapi/v1/", "/internal/", "/config"),
    late(
        "sdcpp_rest.routes.swarmui.dialect:SWARMUI",
        "/API/",
        "/View/",
        "/Output/",
        "/ViewSpecial/",
        "/imgs/",
        caseless=True,
    ),
    late("sdcpp_rest.routes.sdserver.dialect:SD_SERVER", "/sdcpp/"),
    late(
        "sdcpp_rest.routes.ollama.dialect:OLLAMA",
        *(f"/api/{name}/" for name in ("generate", "chat", "tags", "ps", "show", "version", "embed", "pull")),
    ),
    late("sdcpp_rest.routes.mcp.dialect:MCP", "/mcp/"),
    late(
        "sdcpp_rest.routes.comfyui.dialect:COMFYUI",
        *(
            f"{base}/{name}/"
            for base in ("", "/api")
            for name in (
                *("prompt", "history", "interrupt", "free", "view", "upload", "object_info"),
                *("system_stats", "embeddings"),
            )
        ),
        *("/api/queue/", "/api/models/", "/api/ws"),
    ),
    late("sdcpp_rest.routes.comfyui.root_queue:ROOT_QUEUE", "/queue"),
)
"""Every dialect of the server, with the paths it answers at. A new one is its own folder and its name here. One that
is here as a `Dialect` is there from the start, for every path."""

TABLE_KEY = "sdcpp_rest_dialects"

_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

_PARENT = Path(__file__).resolve().parents[2]


class JsonResponse(Response):
    default_mimetype = "application/json"


class CompactJson(DefaultJSONProvider):
    """Writes JSON with keys in the order they were put in, no spaces, nothing that JSON does not have."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json_text(obj)


@dataclass(frozen=True, order=True)
class Route:
    """One URL and where its view is written; ``file`` is relative to the package's parent folder."""

    url: str
    method: str
    file: str
    line: int


def create_app(
    runtime: Runtime | None, dialects: Sequence[Dialect | LateDialect] = DIALECTS, whole: WholeApp | None = None
) -> Flask:
    """The application over ``runtime``, which need not be started yet (and need not exist to look at the routes).

    Raises LookupError where a view, a WebSocket or a mount does not say what a key must be allowed to call it.

    Args:
        dialects: what it speaks; imports them.
        whole: what makes the one with all dialects of the server, where these are some of them.
    """
    app = Flask("sdcpp_rest", root_path=str(_PARENT), static_folder=None, template_folder=None)
    app.extensions[RUNTIME_KEY] = runtime
    app.extensions[TABLE_KEY] = table = DialectTable(dialects)
    app.extensions[WHOLE_KEY] = whole or (lambda: app)
    app.response_class = JsonResponse
    app.json = CompactJson(app)
    # A redirect to the same path with or without its slash would be an HTML answer, and make old clients' POST a GET.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    for dialect in table.dialects:
        for blueprint in dialect.blueprints:
            app.register_blueprint(blueprint)
        check_scopes((*dialect.sockets.values(), *dialect.mounts.values()))
    check_scopes(app.view_functions.values())
    if runtime is not None:
        app.before_request(_begin_request)
        app.after_request(_observe_request)
    app.register_error_handler(SdcppRestError, _answer_error)
    app.register_error_handler(HTTPException, _answer_flask_error)
    app.register_error_handler(Exception, _unexpected_error)
    return app


def dialects_of(app: Flask) -> DialectTable:
    """The table of the dialects that ``app`` was made with."""
    return cast(DialectTable, app.extensions[TABLE_KEY])


def route_table(app: Flask) -> list[Route]:
    """Every route, sorted by URL."""
    rows = []
    for rule in app.url_map.iter_rules():
        view = inspect.unwrap(app.view_functions[rule.endpoint])
        path = Path(inspect.getsourcefile(view) or "")
        file = path.relative_to(_PARENT) if path.is_relative_to(_PARENT) else path
        line = inspect.getsourcelines(view)[1]
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        rows += [Route(rule.rule, method, file.as_posix(), line) for method in methods]
    return sorted(rows)


def _begin_request() -> None:
    g.began = time.perf_counter()
    g.changes = begin_noting() if request.method not in _LOOKS else ()


def _observe_request(response: Response) -> Response:
    endpoint = request.url_rule.rule if request.url_rule is not None else "unknown"
    seconds = time.perf_counter() - g.began
    runtime().metrics.count_request(endpoint, request.method, response.status_code, seconds)
    if request.method not in _LOOKS:
        _record_changes(response.status_code)
    dialect = dialects_of(current_app).dialect_of(request.path)
    if dialect is not None and dialect.after_request is not None:
        dialect.after_request(response, seconds)
    return response


def _record_changes(status: int) -> None:
    """Have what the request has changed told, and that it was there if it changes models or settings at all."""
    end_noting()
    view = current_app.view_functions.get(request.endpoint or "")
    is_change = status < 400 and view is not None and scope_of(view) in ("models", "admin")
    if is_change or g.changes:
        runtime().audit.record(
            f"{request.method} {request.path}",
            g.changes,
            key=caller_key(),
            address=request.remote_addr or "",
            status=status,
            is_change=is_change,
        )


def _answer_error(error: SdcppRestError) -> Response:
    redact_paths = runtime().redact_paths
    error.message, error.detail = redact_paths(error.message), redact_paths.in_values(error.detail)
    status, headers, body = dialects_of(current_app).render_error(request.path, error)
    return Response(body, status=status, headers=headers)


def _answer_flask_error(error: HTTPException) -> Response:
    response = _answer_error(_our_error(error))
    for name, value in error.get_headers(request.environ):
        # Allow of a 405, Content-Range of a 416: part of the answer's meaning.
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _our_error(error: HTTPException) -> SdcppRestError:
    if error.code == 404:
        return NotFound(f"Unknown URL: {shorten(request.path)}")
    if error.code == 405:
        allowed = sorted(getattr(error, "valid_methods", None) or ())
        where = shorten(request.path)
        return MethodNotAllowed(f"{request.method} is not allowed on {where}; allowed: {', '.join(allowed)}")
    if error.code == 413:
        return PayloadTooLarge(error.description or "The request body is too large")
    if error.code == 400:
        return InvalidRequest(error.description or "The request could not be read")
    ours = SdcppRestError(error.description or error.name)
    # The rest of HTTP's refusals (a range that is not there, say) keep their own number and name.
    ours.status = error.code or 500  # type: ignore[misc]
    ours.code = error.name.lower().replace(" ", "_")  # type: ignore[misc]
    return ours


def _unexpected_error(error: Exception) -> Response:
    return _answer_error(internal_error(error, f"{request.method} {request.path!r}"))
