"""The Flask application: every route table, and the one place where an exception becomes an answer.

API paths never answer HTML errors. Knows Flask and the routes; knows nothing of sockets.
"""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from sdcpp_rest.errors import InvalidRequest, MethodNotAllowed, NotFound, PayloadTooLarge, SdcppRestError
from sdcpp_rest.routes.a1111.extras import a1111_extras
from sdcpp_rest.routes.a1111.lists import a1111_lists
from sdcpp_rest.routes.a1111.options import a1111_options
from sdcpp_rest.routes.a1111.progress import a1111_progress
from sdcpp_rest.routes.a1111.system import a1111_system
from sdcpp_rest.routes.a1111.views import a1111_generation
from sdcpp_rest.routes.dialects import A1111, dialect_of, render_error
from sdcpp_rest.routes.http.answers import RUNTIME_KEY, internal_error, json_text, runtime, shorten
from sdcpp_rest.routes.native.files.files import files
from sdcpp_rest.routes.native.files.thumbs_routes import thumbs
from sdcpp_rest.routes.native.jobs.conversion_routes import conversion
from sdcpp_rest.routes.native.jobs.previews import previews
from sdcpp_rest.routes.native.jobs.queue import queue
from sdcpp_rest.routes.native.jobs.queue_listing import queue_listing
from sdcpp_rest.routes.native.jobs.recycle_bin_routes import recycle_bin
from sdcpp_rest.routes.native.jobs.upscaling_routes import upscaling
from sdcpp_rest.routes.native.jobs.video_routes import video
from sdcpp_rest.routes.native.language.assistant_routes import assistant
from sdcpp_rest.routes.native.language.ollama_routes import ollama
from sdcpp_rest.routes.native.models.architectures_routes import architectures
from sdcpp_rest.routes.native.models.downloads_routes import downloads
from sdcpp_rest.routes.native.models.model_files_routes import model_files
from sdcpp_rest.routes.native.models.models import models
from sdcpp_rest.routes.native.server.docs import docs
from sdcpp_rest.routes.native.server.options_routes import options
from sdcpp_rest.routes.native.server.settings_routes import settings
from sdcpp_rest.routes.native.server.system import system
from sdcpp_rest.routes.openai.views import openai
from sdcpp_rest.routes.root_pictures import generation
from sdcpp_rest.routes.sdcn.views import sdcn
from sdcpp_rest.runtime import Runtime

_PARENT = Path(__file__).resolve().parents[2]


class JsonResponse(Response):
    default_mimetype = "application/json"


class CompactJson(DefaultJSONProvider):
    """Keys in the order they were put in, no spaces, nothing that JSON does not have."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json_text(obj)


@dataclass(frozen=True, order=True)
class Route:
    """One URL and where its view is written; ``file`` is relative to the package's parent folder."""

    url: str
    method: str
    file: str
    line: int


def create_app(runtime: Runtime | None) -> Flask:
    """The application over ``runtime``, which need not be started yet (and need not exist to look at the routes)."""
    app = Flask("sdcpp_rest", root_path=str(_PARENT), static_folder=None, template_folder=None)
    app.extensions[RUNTIME_KEY] = runtime
    app.response_class = JsonResponse
    app.json = CompactJson(app)
    # A redirect to the same path with or without its slash would be an HTML answer, and make old clients' POST a GET.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    for blueprint in (
        system,
        models,
        model_files,
        downloads,
        architectures,
        generation,
        video,
        upscaling,
        conversion,
        queue_listing,
        queue,
        recycle_bin,
        settings,
        options,
        ollama,
        assistant,
        previews,
        files,
        thumbs,
        openai,
        sdcn,
        a1111_generation,
        a1111_extras,
        a1111_progress,
        a1111_options,
        a1111_lists,
        a1111_system,
        docs,
    ):
        app.register_blueprint(blueprint)
    if runtime is not None:
        _count_requests(app, runtime)
    app.register_error_handler(SdcppRestError, _answer_error)
    app.register_error_handler(HTTPException, _answer_flask_error)
    app.register_error_handler(Exception, _unexpected_error)
    return app


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


def _count_requests(app: Flask, runtime: Runtime) -> None:
    def begin() -> None:
        g.began = time.perf_counter()

    def count(response: Response) -> Response:
        endpoint = request.url_rule.rule if request.url_rule is not None else "unknown"
        seconds = time.perf_counter() - g.began
        runtime.metrics.count_request(endpoint, request.method, response.status_code, seconds)
        if dialect_of(request.path) is A1111:
            response.headers["X-Process-Time"] = str(round(seconds, 4))
        return response

    app.before_request(begin)
    app.after_request(count)


def _answer_error(error: SdcppRestError) -> Response:
    redact_paths = runtime().redact_paths
    error.message, error.detail = redact_paths(error.message), redact_paths.in_values(error.detail)
    status, headers, body = render_error(request.path, error)
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
