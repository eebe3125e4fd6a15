"""Renders what every view answers with: JSON, native errors, values as they may stand in a message.

Also the way from a request to the runtime. Knows nothing of any single route.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from typing import TYPE_CHECKING, Any, cast

from flask import Response, current_app, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from sdcpp_rest.config.auth_section import ANYBODY, ApiKey
from sdcpp_rest.errors import NotAuthenticated, SdcppRestError

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime
    from sdcpp_rest.services.path_redaction import PathRedaction

log = logging.getLogger(__name__)

RUNTIME_KEY = "sdcpp_rest"

KNOWN = "sdcpp_rest.known"
"""Where the caller's `ApiKey` lies in the ASGI scope; ``None`` for a stranger who may see what is open to all."""

SHOWN_CHARACTERS = 80

# `json.dumps` would make one for each value.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def runtime() -> Runtime:
    """The running server, from within a request."""
    return cast("Runtime", current_app.extensions[RUNTIME_KEY])


# --- answers --------------------------------------------------------------------------------------------------------


def json_text(value: Any) -> str:
    """Compact JSON, keys in the order given. NaN and infinity, which JSON does not have, become ``null``."""
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_finite(value))


def answer(value: Any, status: int = 200) -> Response:
    return Response(json_text(value), status=status, mimetype="application/json")


def render_native_error(path: str, error: SdcppRestError) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an error, in the dialect that ``path`` belongs to (so far there is one)."""
    said = {"error": error.message, "code": error.code}
    body = {**said, **error.detail, **said}
    headers = [("Content-Type", "application/json")]
    if isinstance(error, NotAuthenticated):
        headers.append(("WWW-Authenticate", 'Bearer realm="sdcpp-rest"'))
    if error.status in (429, 503):
        headers.append(("Retry-After", str(error.detail.get("retry_after", 1))))
    return error.status, headers, json_text(body).encode()


def prefers_html(accept: str) -> bool:
    """Whether an Accept header names HTML rather than JSON: a browser's does, a program's does not."""
    accepted = parse_accept_header(accept, MIMEAccept)
    return accepted.quality("text/html") > accepted.quality("application/json")


def is_known_caller() -> bool:
    """Whether everything is open to whoever called: with a key, after a login, or because no key is asked for."""
    # Set by the ASGI shell; without it (tests, a plain WSGI server on loopback) there is nobody to tell apart.
    return bool(caller_key())


def caller_key() -> ApiKey | None:
    """The key with which this request has come; ``None`` for a stranger."""
    key: ApiKey | None = request.environ.get("asgi.scope", {}).get(KNOWN, ANYBODY)
    return key


def shorten(text: str) -> str:
    """A client's own words, cut to a length that may stand in a message."""
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


class InternalError(SdcppRestError):
    """A fault of ours: the caller gets an id, the log has the traceback under the same id."""


def internal_error(error: BaseException, where: str) -> InternalError:
    error_id = uuid.uuid4().hex[:8]
    log.error("internal error %s in %s", error_id, where, exc_info=error)
    return InternalError("Internal error", error_id=error_id)


def fault_of(error: Exception, where: str, redact_paths: PathRedaction) -> SdcppRestError:
    """What a stream that fails midway tells its client: Flask has ended the request by then, and words no error."""
    fault = error if isinstance(error, SdcppRestError) else internal_error(error, where)
    fault.message, fault.detail = redact_paths(fault.message), redact_paths.in_values(fault.detail)
    return fault


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def show_value(value: Any) -> str:
    """A value of a request as it may stand in a message: JSON, cut to a length that a person reads."""
    if isinstance(value, str):
        value = shorten(value)
    elif isinstance(value, dict):
        return "an object"
    elif isinstance(value, list):
        return f"an array of {len(value)} items"
    try:
        return shorten(json.dumps(value))
    except ValueError:
        return "a number with too many digits"
