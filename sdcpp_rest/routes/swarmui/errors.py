"""How SwarmUI says that something went wrong: what a handler refuses is a 200 with ``error``, what never reached one
is a 400 or 401 with ``error_id`` besides. Knows errors, and no request."""

from __future__ import annotations

from typing import Any

from flask import Response, has_request_context, request

from sdcpp_rest.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    SdcppRestError,
    TooManyAttempts,
    TooManyRequests,
)
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import optional

SOCKET_ROUTES = frozenset({"GenerateText2ImageWS", "SelectModelWS", "DoModelDownloadWS"})
"""Routes that are WebSockets."""


class BasicFault(InvalidRequest):
    """A call that is none: no JSON, no session."""

    code = "basic_api"


class UnreadableBody(InvalidRequest):
    """The body is no JSON object that can be read."""

    code = "internal_error"


class InvalidSession(SdcppRestError):
    """The session is unknown, or too old. Clients open another one."""

    status = 401
    code = "invalid_session_id"

    def __init__(self) -> None:
        super().__init__("Invalid session ID. You may need to refresh the page.")


class WrongTransport(InvalidRequest):
    """A WebSocket route was called by HTTP, or the other way round."""

    code = "bad_request_method"


class UnknownRoute(NotFound):
    """No route of that name is here."""

    code = "bad_route"

    def __init__(self) -> None:
        super().__init__("Unknown API route")


class LacksPermission(InvalidRequest):
    """A route that nobody may call here."""

    code = "bad_permissions"

    def __init__(self) -> None:
        super().__init__("You lack permissions for this route.")


class SwarmError(Answer):
    """An error of SwarmUI's API."""

    error: str
    error_id: str = optional(
        "Only where no handler was reached: basic_api, invalid_session_id, bad_route, bad_request_method, "
        "bad_permissions, internal_error."
    )


_FAULTS: tuple[tuple[type[SdcppRestError], int], ...] = (
    (InvalidSession, 401),
    (BasicFault, 400),
    (UnreadableBody, 400),
    (WrongTransport, 400),
    (UnknownRoute, 400),
    (LacksPermission, 400),
)


def swarm_fault(error: SdcppRestError) -> tuple[int, str] | None:
    """Status and ``error_id`` of what never reached a handler; ``None`` for what a handler refused."""
    for kind, status in _FAULTS:
        if isinstance(error, kind):
            return status, kind.code
    if isinstance(error, NotAuthenticated | NotAllowed | TooManyAttempts | TooManyRequests):
        return error.status, "bad_permissions"
    if has_request_context() and request.path.removeprefix("/API/") in SOCKET_ROUTES:
        return 400, WrongTransport.code
    if _is_unknown_route(error):
        return 400, UnknownRoute.code
    if isinstance(error, MethodNotAllowed):
        return error.status, "bad_request_method"
    if isinstance(error, PayloadTooLarge):
        return 400, "basic_api"
    return (400, "internal_error") if "error_id" in error.detail else None


def swarm_status(error: SdcppRestError) -> int:
    """200 for whatever a handler refused."""
    fault = swarm_fault(error)
    return fault[0] if fault is not None else 200


def swarm_error(error: SdcppRestError) -> dict[str, Any]:
    """The body of an error."""
    fault = swarm_fault(error)
    if fault is None:
        return {"error": error.message}
    if "error_id" in error.detail:
        return {"error": f"An internal error occurred ({error.detail['error_id']})", "error_id": fault[1]}
    fixed = {
        UnknownRoute.code: "Unknown API route",
        WrongTransport.code: "That route is called in another way: by WebSocket, or by POST.",
    }
    return {"error": fixed.get(fault[1], error.message), "error_id": fault[1]}


def _is_unknown_route(error: SdcppRestError) -> bool:
    """Whether no view was found. All routes can be posted to, so that one which cannot is none."""
    has_no_view = has_request_context() and request.url_rule is None
    is_posted = has_no_view and request.method == "POST" and request.path.startswith("/API/")
    return has_no_view and (isinstance(error, NotFound) or (isinstance(error, MethodNotAllowed) and is_posted))


def file_not_found() -> Response:
    """The answer to a link whose picture is not there."""
    body = {"error": "404, file not found.", "error_id": "file_not_found"}
    return Response(json_text(body), status=404, mimetype="application/json")


SWARM_ERROR = ErrorShape("swarmui", SwarmError, swarm_error, swarm_status)
