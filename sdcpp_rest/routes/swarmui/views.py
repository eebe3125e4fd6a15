"""SwarmUI's calls around a session: opening one, how it stands, the backend, stopping."""

from __future__ import annotations

import os

import psutil
from flask import Blueprint, Response

from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.calls import arguments, open_view, session, sessions
from sdcpp_rest.routes.swarmui.errors import BasicFault, SwarmError
from sdcpp_rest.routes.swarmui.permissions import PERMISSIONS
from sdcpp_rest.routes.swarmui.status import current_status, is_of_user, list_backends, owner_of, server_resources
from sdcpp_rest.routes.swarmui.wire import (
    SwarmCall,
    SwarmFreed,
    SwarmObject,
    SwarmRoute,
    SwarmSession,
    SwarmStatus,
    SwarmSuccess,
)

swarmui = Blueprint("swarmui", __name__)

USER = "local"
_REFUSALS = (SwarmError,)


swarmui.before_request(open_view)


@swarmui.post("/API/GetNewSession")
@needs("read")
@documents({200: (SwarmSession, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def get_new_session() -> Response:
    """Open a session, as SwarmUI's clients do first."""
    if arguments().text("impersonateUser", ""):
        return answer({"error": "Cannot impersonate users here.", "error_id": "bad_impersonate"})
    running, known = runtime(), sessions()
    return answer(
        {
            "session_id": known.open(),
            "user_id": USER,
            "output_append_user": True,
            "version": f"sdcpp-rest {running.version}",
            "server_id": known.server_id(),
            "permissions": list(PERMISSIONS),
        }
    )


@swarmui.post("/API/GetCurrentStatus")
@needs("read")
@documents({200: (SwarmStatus, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def get_current_status() -> Response:
    """Tell what the session's pictures are doing, as SwarmUI does."""
    return answer(current_status(session(), runtime().submission.rounds, runtime().status))


@swarmui.post("/API/InterruptAll")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def interrupt_all() -> Response:
    """Stop the session's pictures, or everybody's, as SwarmUI does."""
    mine = owner_of(session())
    is_theirs = is_of_user if arguments().switch("other_sessions", False) else mine.__eq__
    runtime().submission.rounds.interrupt_all(is_theirs)
    return answer({"success": True})


@swarmui.post("/API/ListBackends")
@needs("read")
@documents({200: (SwarmObject, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def list_the_backends() -> Response:
    """Tell of the engine, as SwarmUI's one backend."""
    return answer(list_backends(runtime().status, None))


@swarmui.post("/API/FreeBackendMemory")
@needs("generate")
@documents({200: (SwarmFreed, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def free_backend_memory() -> Response:
    """Unload the model, as SwarmUI does to free a backend's memory; the next picture loads it again."""
    had = runtime().models.slot.resident is not None
    runtime().models.slot.unload_keeping_selection()
    return answer({"result": had, "count": int(had)})


@swarmui.post("/API/GetServerResourceInfo")
@needs("read")
@documents({200: (SwarmObject, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def get_server_resources() -> Response:
    """Tell of the machine's processors and memory, as SwarmUI does."""
    return answer(server_resources(runtime().status.memory(), psutil.cpu_percent(), os.cpu_count() or 1))


@swarmui.get("/API/<path:route>")
@needs("read")
@documents({200: SwarmError}, path=SwarmRoute, refusals=_REFUSALS)
def look_at_route(route: str) -> Response:
    """Answer probes that only look whether something is there; routes are called by POST, or by WebSocket."""
    words = f"Call /API/{shorten(route)} by POST, with a JSON object."
    return answer({"error": words, "error_id": BasicFault.code})
