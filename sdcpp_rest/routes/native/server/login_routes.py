"""Logging in with a key: a small page for people, two calls for pages with scripts. The cookie it sets opens what
`auth.api_keys` closes."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from markupsafe import Markup
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import InvalidRequest, SdcppRestError, TooManyAttempts
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.links import page_link, url_path
from sdcpp_rest.routes.http.openapi import HTML, Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.server.login_cookie import end_shown_logins, with_cookie, without_cookie
from sdcpp_rest.services.login_sessions import LoginSession

login = Blueprint("login", __name__)

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in - sdcpp-rest</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 24rem; margin: 3rem auto; padding: 0 1rem }}
:root {{ color-scheme: light dark }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; font: inherit }}
input, button {{ margin: .25rem 0 1rem; padding: .4rem }}
</style>
</head>
<body>
<h1>Log in</h1>
{said}{form}
<p><a href="{start}">Start page</a></p>
</body>
</html>
""")
_FORM = Markup("""<form method="post" action="{action}">
<label for="username">User (empty where the key has none)</label>
<input id="username" name="username" autocomplete="username" maxlength="200">
<label for="password">Key</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="redirect" value="{redirect}">
<button>Log in</button>
</form>""")
_SAID = Markup('<p role="alert">{words}</p>\n')
_FAILED = {
    "key": "User or key is not right.",
    "often": "Too many logins failed from this address. Wait a minute.",
}


class LoginQuery(Wire):
    redirect: Text = Field("", max_length=2000, description="Where to go afterwards: a path of this server.")
    failed: Text = Field("", max_length=20, description="Why the last try failed: `key` or `often`.")


class LoginBody(Wire):
    """Who wants in: a user with a key, or a key alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "anna", "password": "a-long-random-key"}]})

    username: Text = Field("", max_length=200, description="The user of a key that has one; else anything.")
    password: Text = Field("", max_length=4096, description="One of auth.api_keys.")
    key: Text = Field("", max_length=4096, description="The same as password.")
    redirect: Text = Field("", max_length=2000, description="Of a form: where to go afterwards.")


class LoggedIn(Answer):
    """Everything is open to the cookie that came with this, and to the token."""

    success: Literal[True]
    auth_required: bool = Field(description="Whether this server asks for keys at all.")
    token: str | None = Field(description="To be sent as `Authorization: Bearer`; `null` where no key is asked for.")
    token_type: Literal["bearer"]
    expires_in: int | None = Field(description="For how many seconds it is good; `null` where there is none.")
    username: str


class LogoutBody(Wire):
    """May be left out."""


class LoggedOut(Answer):
    success: Literal[True]
    warnings: list[str] = optional("What was ignored.")


@login.get("/login")
@needs("read")
@documents({200: HTML}, query=LoginQuery)
def login_page() -> Response:
    """Show a page with a form to log in. Needs no script, and works below any path."""
    query = read_query(LoginQuery)
    if not runtime().config.auth.is_on:
        said, form = _SAID.format(words="This server asks for no key: everything is open to you."), Markup("")
    else:
        words = _FAILED.get(query.failed)
        said = _SAID.format(words=words) if words else Markup("")
        form = _FORM.format(action=page_link("/auth/login"), redirect=_local(query.redirect))
    response = Response(str(_PAGE.format(said=said, form=form, start=page_link("/"))), mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


@login.post("/auth/login")
@needs("read")
@documents({200: LoggedIn, 303: HTML}, errors=(429,), body=LoginBody)
def log_in() -> Response:
    """Log in with a key. The answer sets a cookie for this server's own pages; a form is sent on, to its `redirect` or
    back to `/login`. Where no key is asked for, everybody is right."""
    if request.mimetype in _FORMS:
        return _log_in_by_form()
    body, _ = validate(LoginBody, read_body())
    session = _begin(body)
    shown: dict[str, Any] = {
        "success": True,
        "auth_required": runtime().config.auth.is_on,
        "token": session.token if session else None,
        "token_type": "bearer",
        "expires_in": session.lifetime_seconds if session else None,
        "username": body.username,
    }
    return with_cookie(answer(shown), session)


@login.post("/auth/logout")
@needs("read")
@documents({200: LoggedOut}, body=LogoutBody)
def log_out() -> Response:
    """Log out: the cookie is taken back, and it and the token that was shown open nothing any more."""
    _, warnings = validate(LogoutBody, read_body())
    end_shown_logins()
    return without_cookie(answer({"success": True, **({"warnings": warnings} if warnings else {})}))


def _log_in_by_form() -> Response:
    given = {name: value for name, value in request.form.items() if name in LoginBody.model_fields}
    body, _ = validate(LoginBody, given)
    redirect = _local(body.redirect)
    try:
        session = _begin(body)
    except SdcppRestError as error:
        failed = "often" if isinstance(error, TooManyAttempts) else "key"
        return _go_to(url_path("/login") + "?" + urlencode({"failed": failed, "redirect": redirect}))
    return with_cookie(_go_to(redirect or url_path("/")), session)


def _begin(body: LoginBody) -> LoginSession | None:
    """A session; ``None`` where no key is asked for. Raises InvalidRequest, WrongKey, TooManyAttempts."""
    if not runtime().config.auth.is_on:
        return None
    key = body.password or body.key
    if not key:
        raise InvalidRequest("password is required: one of auth.api_keys", field="password")
    return runtime().logins.begin(body.username, key, request.remote_addr or "")


def _go_to(place: str) -> Response:
    return Response(status=303, headers={"Location": place}, mimetype="text/html")


def _local(redirect: str) -> str:
    """A path of this server as it was given; empty for anything that leads elsewhere."""
    is_path = redirect.startswith("/") and not redirect.startswith(("//", "/\\"))
    return redirect if is_path and redirect.isprintable() and redirect.isascii() else ""
