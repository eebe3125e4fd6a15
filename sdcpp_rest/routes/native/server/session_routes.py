"""Signing in from a page: a cookie for a key, for 30 days. It is the same login as that of `/auth/login`."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, is_known_caller, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, validate
from sdcpp_rest.routes.native.server.login_cookie import end_shown_logins, with_cookie, without_cookie
from sdcpp_rest.services.login_sessions import BROWSER_LIFETIME_SECONDS

session = Blueprint("session", __name__)


class SessionBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "a-long-random-key"}]})

    key: Text = Field("", max_length=4096, description="One of auth.api_keys.")
    username: Text = Field("", max_length=200, description="The user of a key that has one; may be left out.")


class SessionShown(Answer):
    """Whether one has to sign in here, and has."""

    auth_required: bool = Field(description="Whether this server asks for keys at all.")
    signed_in: bool = Field(description="Whether everything is open to the caller; true where no key is asked for.")


class SessionOpened(SessionShown):
    """What the cookie that came with this opens."""

    expires_in: int | None = Field(description="For how many seconds the cookie is good; `null` where there is none.")
    warnings: list[str] = optional("What was ignored.")


@session.get("/session")
@needs("read")
@documents({200: SessionShown})
def show_session() -> Response:
    """Tell whether this server asks for a key, and whether the caller has one. Answered to everybody."""
    response = answer({"auth_required": runtime().config.auth.is_on, "signed_in": is_known_caller()})
    response.headers["Cache-Control"] = "no-store"
    return response


@session.post("/session")
@needs("read")
@documents({200: SessionOpened}, errors=(429,), body=SessionBody)
def open_session() -> Response:
    """Sign in with a key. The answer sets a cookie that opens everything to this server's own pages, for 30 days. It
    outlives a restart, and ends with its key."""
    body, warnings = validate(SessionBody, read_body())
    shown: dict[str, Any] = {"auth_required": runtime().config.auth.is_on, "signed_in": True, "expires_in": None}
    noted = {"warnings": warnings} if warnings else {}
    if not runtime().config.auth.is_on:
        return with_cookie(answer({**shown, **noted}), None)
    if not body.key:
        raise InvalidRequest("key is required: one of auth.api_keys", field="key")
    begun = runtime().logins.begin(body.username, body.key, request.remote_addr or "", BROWSER_LIFETIME_SECONDS)
    return with_cookie(answer({**shown, "expires_in": begun.lifetime_seconds, **noted}), begun)


@session.delete("/session")
@needs("read")
@documents({200: SessionShown})
def close_session() -> Response:
    """Sign out: the cookie is taken back, and opens nothing any more, wherever it was copied to."""
    end_shown_logins()
    is_on = runtime().config.auth.is_on
    return without_cookie(answer({"auth_required": is_on, "signed_in": not is_on}))
