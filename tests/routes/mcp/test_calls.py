"""Who may read paths of this machine, and how a caller sees the server."""

from __future__ import annotations

from typing import Any

from sdcpp_rest.routes.mcp.calls import AgentCaller
from tests.cases import for_each_case


def _scope(client: str = "127.0.0.1", host: str = "127.0.0.1:8080", **more: Any) -> dict[str, Any]:
    headers = [(b"host", host.encode()), *more.pop("headers", [])]
    return {"scheme": "http", "client": (client, 5), "headers": headers, **more}


def test_links_are_as_the_caller_sees_the_server() -> None:
    scope = _scope(scheme="https", host="pictures.example", root_path="/sd")
    assert AgentCaller.of(scope).root_url == "https://pictures.example/sd"


@for_each_case(
    "scope, is_local",
    [
        (_scope(), True),
        (_scope("::1", "[::1]:8080"), True),
        (_scope(host="localhost"), True),
        (_scope(client="192.0.2.1"), False),
        (_scope(host="pictures.example"), False),
        (_scope(headers=[(b"x-forwarded-for", b"127.0.0.1")]), False),
        (_scope(headers=[(b"forwarded", b"for=127.0.0.1")]), False),
        ({**_scope(), "client": None}, False),
        ({**_scope(), "client": ("", 0)}, False),
    ],
)
def test_only_callers_on_this_machine_are_local(scope: dict[str, Any], is_local: bool) -> None:
    assert AgentCaller.of(scope).is_local is is_local
