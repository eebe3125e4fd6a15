"""The cookie that a login sets for this server's own pages: set, taken back, and the logins that a request shows."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from sdcpp_rest.config.web_names import LOGIN_COOKIE
from sdcpp_rest.routes.http.answers import is_known_caller, runtime
from sdcpp_rest.routes.http.links import url_path
from sdcpp_rest.services.login_sessions import LoginSession


def with_cookie(response: Response, session: LoginSession | None) -> Response:
    """The answer to a login, with its cookie if there is one."""
    response.headers["Cache-Control"] = "no-store"
    if session is not None:
        response.set_cookie(LOGIN_COOKIE, session.token, max_age=session.lifetime_seconds, **_place())
    return response


def without_cookie(response: Response) -> Response:
    """The answer to a logout: the browser forgets the cookie."""
    response.headers["Cache-Control"] = "no-store"
    response.delete_cookie(LOGIN_COOKIE, **_place())
    return response


def end_shown_logins() -> None:
    """End every login that the request shows. Cookies only where they have opened the server: browsers send them along
    for pages of other origins, too, which may not log anybody out."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    shown = [token.strip()] if scheme.lower() == "bearer" else []
    if is_known_caller():
        shown += request.cookies.getlist(LOGIN_COOKIE)
    for one in shown:
        runtime().logins.end(one)


def _place() -> dict[str, Any]:
    """For this server's pages alone, and out of the reach of their scripts."""
    return {"path": url_path("/"), "secure": request.is_secure, "httponly": True, "samesite": "Strict"}
