"""Every place of every dialect, asked in every way: who gets in follows from what the place says about itself, and from
nothing else. A route that is new is in here by itself.

Requests go through the whole shell. Behind it, views, WebSockets and mounts are stubs, so that nothing is done.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response
from starlette.types import Message, Receive, Scope, Send

from sdcpp_rest.config.web_names import LOGIN_COOKIE
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.services.pictures import picture_links
from sdcpp_rest.web import applications
from sdcpp_rest.web.access_table import AccessRow, access_table
from sdcpp_rest.web.app import DIALECTS, TABLE_KEY, create_app, dialects_of
from sdcpp_rest.web.asgi import Shell
from tests.quick_runtime import quick_app, quick_runtime
from tests.routes.conftest import make_config

IN = 299
"""What stubs answer with: somebody has got in."""
HOST = "127.0.0.1:8080"
KEYS = {name: f"key-that-may-{name}" for name in ("read", "generate", "models", "admin")}
MAY = {
    "read": {"read"},
    "generate": {"read", "generate"},
    "models": {"read", "models"},
    "admin": {"read", "generate", "models", "admin"},
}
SUM = hashlib.sha256(b"summed-key").hexdigest()
PLACES = {"int": "1", "model_type": "checkpoint", "path": "some/where", "": "some"}


@dataclass(frozen=True)
class Case:
    """One way to ask. ``may``: scopes of what is shown, ``None`` for a stranger; ``refused``: whatever is shown."""

    name: str
    may: frozenset[str] | None = None
    refused: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    is_browser: bool = False


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def every_case(cookie: str, ended: str) -> list[Case]:
    """``cookie``: of a login with the key that may generate; ``ended``: of one that has signed out."""
    whole = frozenset(MAY["admin"])
    shown = {"cookie": f"{LOGIN_COOKIE}={cookie}"}
    return [
        Case("no key"),
        Case("a browser without a key", headers={"accept": "text/html"}, is_browser=True),
        Case("wrong key", refused=401, headers=bearer("wrong")),
        Case("empty key", headers={"authorization": "Bearer "}),
        Case("key", whole, headers=bearer("whole-key")),
        Case("user and key", whole, headers=basic("anna:annas-key")),
        Case("wrong user of a key", refused=401, headers=basic("bob:annas-key")),
        *(Case(f"key that may {name}", frozenset(MAY[name]), headers=bearer(key)) for name, key in KEYS.items()),
        Case("key of which the sum is known", frozenset(MAY["read"]), headers=bearer("summed-key")),
        Case("the sum itself", refused=401, headers=bearer(SUM)),
        Case("cookie", frozenset(MAY["generate"]), headers=shown),
        Case("login as a bearer", frozenset(MAY["generate"]), headers=bearer(cookie)),
        Case("cookie of another page of this machine", headers={**shown, "origin": "http://127.0.0.1:3000"}),
        Case("cookie that another site sends along", headers={**shown, "sec-fetch-site": "cross-site"}),
        Case("cookie after sign-out", headers={"cookie": f"{LOGIN_COOKIE}={ended}"}),
        Case("cookie that nobody sealed", headers={"cookie": f"{LOGIN_COOKIE}=a.b"}),
        Case("foreign origin", refused=403, headers={**bearer("whole-key"), "origin": "https://evil.example"}),
        Case("foreign origin without a key", refused=403, headers={"origin": "https://evil.example"}),
        Case("null origin", refused=403, headers={**bearer("whole-key"), "origin": "null"}),
        Case("foreign host", refused=403, headers={**bearer("whole-key"), "host": "rebound.example"}),
        Case("foreign host without a key", refused=403, headers={"host": "rebound.example"}),
        Case("two hosts by a proxy", refused=403, headers={**bearer("whole-key"), "x-forwarded-host": "evil.example"}),
        Case("own origin", whole, headers={**bearer("whole-key"), "origin": f"http://{HOST}"}),
        Case("key in the query", query="key=whole-key&api_key=whole-key"),
        Case("ticket of a link in the query", query="ticket=open&token="),
    ]


def expected(row: AccessRow, case: Case) -> int:
    """`IN`, or the status of the refusal."""
    if case.refused == 403:
        return 403
    if case.may is not None:
        open_to_all = row.strangers == "everything"
        return IN if open_to_all or row.scope in case.may else 403
    if row.strangers in ("everything", "a way in"):
        return IN
    if row.strangers == "the web page" and case.is_browser:
        return IN
    if row.strangers == "a short answer" and not case.refused:
        return IN
    return 401


# --- the house --------------------------------------------------------------------------------------------------------


class Doors:
    """A shell whose views are stubs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **auth: Any) -> None:
        page = folder / "webui"
        page.mkdir()
        (page / "index.html").write_text("<!doctype html>")
        config = make_config(folder, auth=auth)
        self.runtime = quick_runtime(config)
        monkeypatch.setattr(applications, "create_app", make_stubbed_app)
        self.shell = Shell(self.runtime)
        self._loop = asyncio.new_event_loop()

    def ask(self, method: str, path: str, headers: dict[str, str], query: str = "") -> int:
        """The status of the answer."""
        return self._loop.run_until_complete(self._ask(method, path, {"host": HOST, **headers}, query))

    async def _ask(self, method: str, path: str, headers: dict[str, str], query: str) -> int:
        is_socket = method == "WebSocket"
        statuses: list[int] = []
        waiting: list[Message] = [
            {"type": "websocket.connect"} if is_socket else {"type": "http.request", "body": b"{}"}
        ]
        ended = asyncio.Event()

        async def receive() -> Message:
            if waiting:
                return waiting.pop()
            await ended.wait()
            return {"type": "websocket.disconnect" if is_socket else "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"].endswith(".start"):
                statuses.append(message["status"])
            elif message["type"] == "websocket.accept":
                statuses.append(IN)

        scope = {
            "type": "websocket" if is_socket else "http",
            "method": "POST" if method == "mount" else method,
            "http_version": "1.1",
            "scheme": "ws" if is_socket else "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8080),
            "extensions": {"websocket.http.response": {}},
        }
        await self.shell(scope, receive, send)
        ended.set()
        assert len(statuses) == 1, f"{method} {path} was answered {len(statuses)} times"
        return statuses[0]

    def close(self) -> None:
        self.runtime.stop()
        for pool in self.shell._pools.values():
            pool.close()
        self._loop.close()


def make_stubbed_app(*args: Any, **more: Any) -> Flask:
    """As `create_app`, with stubs that have the marks of what they stand for."""
    app = quick_app(*args, **more)
    app.view_functions = {name: _stub_view(view) for name, view in app.view_functions.items()}
    # What a dialect looks at before its views, after somebody has been let in: a session, say.
    app.before_request_funcs = {None: app.before_request_funcs.get(None, [])}
    # What the application shares with those of other tests is copied first.
    table = copy.copy(dialects_of(app))
    app.extensions = {**app.extensions, TABLE_KEY: table}
    table.sockets = {path: _stub_socket(handler) for path, handler in table.sockets.items()}
    table.dialects = tuple(_with_stubs(dialect) for dialect in table.dialects)
    return app


def _stub_view(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def stub(**places: Any) -> Response:
        return Response(status=IN)

    return stub


def _stub_socket(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def stub(runtime: Any, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    return stub


def _with_stubs(dialect: Dialect) -> Dialect:
    return Dialect(
        dialect.name, dialect.blueprints, dialect.error_shapes, key_cookie=dialect.key_cookie,
        caseless=dialect.caseless, aliases=dialect.aliases,
        mounts={path: _stub_mount(make) for path, make in dialect.mounts.items()},
    )  # fmt: skip


def _stub_mount(make: Callable[..., Any]) -> Callable[..., Any]:
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": IN, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return functools.wraps(make)(lambda runtime: mounted)


@pytest.fixture
def make_doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Doors]]:
    made: list[Doors] = []

    def make(**auth: Any) -> Doors:
        made.append(Doors(tmp_path, monkeypatch, **auth))
        return made[-1]

    yield make
    for doors in made:
        doors.close()


def make_locked(make_doors: Callable[..., Doors]) -> Doors:
    named: dict[str, Any] = {name: {"key": key, "scopes": [name]} for name, key in KEYS.items()}
    named["summed"] = {"sha256": SUM}
    return make_doors(api_keys=["whole-key", "anna:annas-key"], keys=named)


@functools.cache
def rows() -> list[AccessRow]:
    return access_table()


def path_of(row: AccessRow) -> str:
    """A path that the row's URL matches."""
    path = re.sub(r"<(?:(\w+):)?\w+>", lambda place: PLACES[place[1] or ""], row.url)
    return path if not path.endswith("/") or path == "/" else path + "some"


# --- tests ------------------------------------------------------------------------------------------------------------


def test_every_place_lets_in_whom_it_says_and_nobody_else(make_doors: Callable[..., Doors]) -> None:
    doors = make_locked(make_doors)
    login = doors.runtime.logins
    cookie, ended = (login.begin("", KEYS["generate"], "somewhere").token for _ in range(2))
    login.end(ended)
    wrong = []
    for case in every_case(cookie, ended):
        for row in rows():
            found = doors.ask(row.method, path_of(row), case.headers, case.query)
            if found != expected(row, case):
                wrong.append(f"{case.name}: {row.method} {row.url} answered {found}, not {expected(row, case)}")
    assert not wrong, "\n".join(wrong)


def test_without_keys_every_place_lets_in_everybody_but_foreign_pages_and_names(
    make_doors: Callable[..., Doors],
) -> None:
    doors = make_doors()
    cases = {
        IN: ({}, bearer("any"), {"origin": f"http://{HOST}"}, {"cookie": f"{LOGIN_COOKIE}=a.b"}),
        403: ({"origin": "https://evil.example"}, {"origin": "null"}, {"host": "rebound.example"}),
    }
    wrong = [
        f"{row.method} {row.url} with {headers}"
        for status, ways in cases.items()
        for headers in ways
        for row in rows()
        if doors.ask(row.method, path_of(row), headers) != status
    ]
    assert not wrong, "\n".join(wrong)


def test_a_signed_link_opens_its_picture_and_nothing_else(make_doors: Callable[..., Doors]) -> None:
    doors = make_locked(make_doors)
    name = "some-job/image_0.png"
    good = picture_links.link_path(doors.runtime.config, name)
    assert doors.ask("GET", good, {}) == IN
    assert doors.ask("GET", good, {"origin": "https://evil.example"}) == 403
    old = picture_links.link_path(doors.runtime.config, name, now=0)
    for path in (old, good.replace("image_0", "image_1"), good + "x", good.replace("/v1/images/files", "/output")):
        assert doors.ask("GET", path, {}) == 401, path
    ticket = good.removeprefix(picture_links.PREFIX).partition("/")[0]
    for row in rows():
        if row.strangers == "nothing" and row.method == "GET" and "<" in row.url:
            path = re.sub(r"<(?:(\w+):)?\w+>", lambda place: "1" if place[1] == "int" else ticket, row.url, count=1)
            path = re.sub(r"<(?:(\w+):)?\w+>", lambda place: PLACES[place[1] or ""], path)
            assert doors.ask("GET", path, {}) == 401, path


def test_a_token_in_the_url_opens_websockets_alone(make_doors: Callable[..., Doors]) -> None:
    doors = make_locked(make_doors)
    for row in rows():
        for key, may in (("whole-key", MAY["admin"]), (KEYS["read"], MAY["read"])):
            found = doors.ask(row.method, path_of(row), {}, f"token={key}")
            wanted = (IN if row.scope in may else 403) if row.method == "WebSocket" else expected(row, Case("no key"))
            assert found == wanted, f"{row.method} {row.url}"


def test_what_is_no_place_asks_for_a_key_first(make_doors: Callable[..., Doors]) -> None:
    doors = make_locked(make_doors)
    for path in ("/nothing", "/v1/nothing", "/sdapi/v1/nothing", "/API", "/api/nothing", "/mcpx", "/queue/a/b/c"):
        assert doors.ask("GET", path, {}) == 401, path
        assert doors.ask("DELETE", path, bearer(KEYS["read"])) in (400, 404, 405), path
        assert doors.ask("WebSocket", path, {}) == 401, path


def test_head_needs_what_get_needs_and_options_only_a_key(make_doors: Callable[..., Doors]) -> None:
    doors = make_locked(make_doors)
    assert doors.ask("HEAD", "/logs/server", {}) == 401
    assert doors.ask("HEAD", "/logs/server", bearer(KEYS["generate"])) == 403
    assert doors.ask("HEAD", "/logs/server", bearer(KEYS["admin"])) == IN
    assert doors.ask("OPTIONS", "/logs/server", {}) == 401
    assert doors.ask("OPTIONS", "/logs/server", bearer(KEYS["read"])) == 200


def test_every_place_has_another_scope_or_is_open_somewhere() -> None:
    """The table is not empty, and not all of one kind."""
    assert {row.scope for row in rows()} == {"read", "generate", "models", "admin"}
    assert {row.strangers for row in rows()} == {
        "nothing", "everything", "a short answer", "a way in", "the web page", "a signed link"
    }  # fmt: skip
    assert {row.dialect for row in rows()} == {dialect.name for dialect in dialects_of(create_app(None)).dialects}
    assert {"WebSocket", "mount", "GET", "POST", "PUT", "PATCH", "DELETE"} == {row.method for row in rows()}


def test_a_view_that_does_not_say_what_it_needs_keeps_its_application_from_being_made() -> None:
    forgotten = Blueprint("forgotten", __name__)
    forgotten.add_url_rule("/forgotten", view_func=lambda: "", endpoint="view")
    with pytest.raises(LookupError, match="has no scope"):
        create_app(None, (*DIALECTS, Dialect("forgotten", (forgotten,))))

    async def serve(runtime: Any, scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(LookupError, match=r"serve.* has no scope"):
        create_app(None, (Dialect("forgotten", sockets={"/forgotten": serve}),))
    with pytest.raises(LookupError, match="has no scope"):
        create_app(None, (Dialect("forgotten", mounts={"/forgotten": lambda runtime: serve}),))  # type: ignore[arg-type,return-value]


LOOKS_BY_POST = {
    "/estimate", "/metadata/read", "/prompt/expand", "/prompt/tokens", "/gallery/zip", "/auth/login", "/auth/logout",
    "/session", "/sdapi/v1/png-info", "/internal/progress", "/api/sd/task/status", "/api/show",
    *(
        f"/API/{name}"
        for name in (
            "CountTokens", "DescribeModel", "ExportUserPresets", "GetAPIKeyStatus", "GetCurrentStatus", "GetLanguage",
            "GetModelHash", "GetMyUserData", "GetNewSession", "GetServerResourceInfo", "GetUserSettings",
            "ListBackends", "ListImages", "ListLoadedModels", "ListModels", "ListT2IParams", "Login", "Logout",
            "TestPromptFill",
        )
    ),
}  # fmt: skip


def test_what_changes_something_needs_more_than_to_read() -> None:
    found = {row.url for row in rows() if row.scope == "read" and row.method not in ("GET", "WebSocket", "mount")}
    assert found == LOOKS_BY_POST


def test_nothing_but_this_is_there_for_strangers() -> None:
    found = {(row.method, row.url, row.strangers) for row in rows() if row.strangers != "nothing"}
    assert found == {
        ("GET", "/health", "a short answer"),
        ("GET", "/login", "a way in"),
        ("POST", "/auth/login", "a way in"),
        ("POST", "/auth/logout", "a way in"),
        ("GET", "/session", "a way in"),
        ("POST", "/session", "a way in"),
        ("DELETE", "/session", "a way in"),
        ("GET", "/", "the web page"),
        ("GET", "/ui", "everything"),
        ("GET", "/ui/<path:path>", "everything"),
        ("GET", "/v1/images/files/<ticket>/<job_id>/<name>", "a signed link"),
    }
