"""Reads a call of SwarmUI's API: its JSON, its session, and its arguments, which are parsed from their text form.

Knows no single route.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import g, request

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import runtime, shorten
from sdcpp_rest.routes.http.number_texts import read_decimal, read_whole
from sdcpp_rest.routes.http.request_bodies import parse_body
from sdcpp_rest.routes.swarmui.errors import BasicFault, InvalidSession, UnreadableBody
from sdcpp_rest.routes.swarmui.sessions import Sessions
from sdcpp_rest.services.settings.dialect_options import DialectOptions

SESSIONLESS = frozenset({"GetNewSession", "Login", "RegisterBasic", "RegisterOAuth"})
"""Routes that need no session."""

_MOST = {"Int32": 2**31 - 1, "Int64": 2**63 - 1}


@dataclass(frozen=True)
class Arguments:
    """Parses the arguments of one call. Names are exact; every scalar may come as its text; null counts as absent."""

    given: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """Raises InvalidRequest if it is required (no ``default``) and missing, or no scalar."""
        value = self._value(name, default)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (dict, list)):
            raise _wrong(name, value, "String")
        return str(value)

    def switch(self, name: str, default: bool | None = None) -> bool:
        value = self._value(name, default)
        text = str(value).strip().lower()
        if text not in ("true", "false"):
            raise _wrong(name, value, "Boolean")
        return text == "true"

    def integer(self, name: str, default: int | None = None, kind: str = "Int32") -> int:
        value = self._value(name, default)
        found = read_whole("" if isinstance(value, (bool, dict, list)) else str(value))
        if found is None or abs(found) > _MOST[kind]:
            raise _wrong(name, value, kind)
        return found

    def number(self, name: str, default: float | None = None) -> float:
        value = self._value(name, default)
        found = read_decimal("" if isinstance(value, (bool, dict, list)) else str(value))
        if found is None:
            raise _wrong(name, value, "Double")
        return found

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._value(name, None)
        if not isinstance(value, dict):
            raise _wrong(name, value, "JObject")
        return value

    def others(self, *names: str) -> dict[str, Any]:
        """Everything but the session and ``names``."""
        return {name: value for name, value in self.given.items() if name != "session_id" and name not in names}

    def _value(self, name: str, default: Any) -> Any:
        value = self.given.get(name)
        if value is not None:
            return value
        if default is None:
            raise InvalidRequest(f"Missing required parameter '{name}'", field=name)
        return default


def _wrong(name: str, value: Any, kind: str) -> InvalidRequest:
    words = shorten(value if isinstance(value, str) else json.dumps(value))
    return InvalidRequest(f"Invalid value '{words}' for parameter '{name}', must be type '{kind}'", field=name)


def sessions() -> Sessions:
    """The sessions of the current server."""
    return Sessions(swarm_options())


def swarm_options() -> DialectOptions:
    """What this dialect keeps across restarts."""
    return runtime().settings.swarm_options


def open_view() -> None:
    """Read the current request and check its session, before its view is called: a blueprint's ``before_request``.
    Raises BasicFault, UnreadableBody, InvalidSession."""
    rule = request.url_rule.rule if request.url_rule is not None else ""
    if request.method != "POST" or not rule.startswith("/API/") or "<" in rule:
        return
    given = read_call(request.get_data(cache=False))
    header = request.headers.get("X-Session-ID", "")
    g.swarm_session = check_session(given, header, sessions(), rule.removeprefix("/API/"))
    g.swarm_arguments = Arguments(given)


def read_call(raw: bytes) -> dict[str, Any]:
    """A call's JSON object, whatever its Content-Type said. Raises BasicFault where there is none at all, and
    UnreadableBody."""
    if not raw.strip():
        raise BasicFault("bad content length")
    if raw.strip() == b"null":
        raise BasicFault("null input")
    try:
        return parse_body(raw)
    except InvalidRequest as error:
        raise UnreadableBody(f"An internal error occurred: {error.message}") from None


def check_session(given: Mapping[str, Any], header: str, known: Sessions, route: str) -> str:
    """The call's session; empty for routes that need none. Raises BasicFault, InvalidSession."""
    session_id = given.get("session_id") or header
    if route in SESSIONLESS:
        return ""
    if not isinstance(session_id, str) or not session_id:
        raise BasicFault("missing session id")
    if not known.is_known(session_id):
        raise InvalidSession
    return session_id


def arguments() -> Arguments:
    """Those of the current call."""
    found: Arguments = g.swarm_arguments
    return found


def session() -> str:
    """The session of the current call."""
    return str(g.swarm_session)
