"""The mount at /mcp: who is let in, junk, sessions that never end, and a server that ends clean."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sdcpp_rest.core.events import JobAdded
from sdcpp_rest.routes.mcp.mount import MOST_SESSIONS
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.routes.mcp.agents import ERAS, INITIALIZE, SMALL, begin_session, call, facts_of, post, stateless, talk

pytestmark = pytest.mark.slow

LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def test_a_key_is_asked_for_as_a_bearer(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    message, headers = stateless("tools/list")
    refused = post(served.url, message, headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    assert post(served.url, message, {**headers, "Authorization": "Bearer wrong"}).status_code == 401
    shown = post(served.url, message, {**headers, "Authorization": "Bearer secret"})
    assert len(shown.json()["result"]["tools"]) == 9


def test_links_work_without_the_key_where_one_is_asked_for(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    message, headers = stateless("tools/call", {"name": "generate_image", "arguments": SMALL}, "generate_image")
    drawn = post(served.url, message, {**headers, "Authorization": "Bearer secret"}).json()["result"]
    picture = requests.get(drawn["structuredContent"]["images"][0]["url"], timeout=PATIENCE_SECONDS)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")


def test_pages_of_other_origins_may_call_where_they_are_allowed(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(server={"cors_origins": ["https://chat.example"]})
    answer = post(served.url, INITIALIZE, {"Origin": "https://chat.example"})
    assert answer.headers["Access-Control-Allow-Origin"] in ("https://chat.example", "*")
    assert "Mcp-Session-Id" in answer.headers["Access-Control-Expose-Headers"]
    asked = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "mcp-session-id, mcp-protocol-version"}  # fmt: skip
    allowed = requests.options(f"{served.url}/mcp", headers=asked, timeout=PATIENCE_SECONDS)
    assert allowed.status_code == 200
    assert "mcp-protocol-version" in allowed.headers["Access-Control-Allow-Headers"]
    assert post(served.url, INITIALIZE, {"Origin": "https://elsewhere.example"}).status_code == 403


def test_a_slash_at_the_end_changes_nothing_and_below_there_is_nothing(shared_house: ServedHouse) -> None:
    message, headers = stateless("tools/list")
    sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
    there = requests.post(f"{shared_house.url}/mcp/", json=message, headers=sent, timeout=PATIENCE_SECONDS)
    assert there.status_code == 200
    below = requests.post(f"{shared_house.url}/mcp/sse", json=message, headers=sent, timeout=PATIENCE_SECONDS)
    assert (below.status_code, below.json()["code"]) == (404, "not_found")


def test_links_hold_the_path_under_which_a_proxy_has_the_server(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(server={"public_url": "https://pictures.example/sd", "allowed_hosts": ["pictures.example"]})
    message, headers = stateless("tools/call", {"name": "generate_image", "arguments": SMALL}, "generate_image")
    (image,) = post(served.url, message, headers).json()["result"]["structuredContent"]["images"]
    assert image["url"].startswith("https://pictures.example/sd/output/")
    assert "file" not in image, "who calls by that name is not known to be here"


JUNK: list[tuple[str, bytes]] = [
    ("no JSON", b"{"),
    ("nothing", b" "),
    ("a list", b"[]"),
    ("a batch", json.dumps([LIST, LIST]).encode()),
    ("a number", b"7"),
    ("no method", b'{"jsonrpc":"2.0","id":1}'),
    ("a wrong id", b'{"jsonrpc":"2.0","id":{},"method":"ping"}'),
    ("deep", b"[" * 100_000),
    ("a huge number", b'{"jsonrpc":"2.0","id":' + b"9" * 6000 + b',"method":"ping"}'),
    ("no UTF-8", b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'),
]


@pytest.mark.parametrize("version", [None, "2025-06-18", "2026-07-28", "1999-01-01", "\u00ff"])
def test_junk_is_refused_by_both_protocols(shared_house: ServedHouse, version: str | None) -> None:
    headers = {} if version is None else {"MCP-Protocol-Version": version}
    for what, body in JUNK:
        answer = post(shared_house.url, None, headers, data=body)
        assert 400 <= answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:200]}"
    assert shared_house.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("has_session", [True, False])
def test_texts_that_are_no_unicode_are_refused_or_drawn(shared_house: ServedHouse, has_session: bool) -> None:
    session = {"Mcp-Session-Id": begin_session(shared_house.url)} if has_session else {}
    for tool, arguments in (
        ("generate_image", {**SMALL, "prompt": "half an emoji \ud83d"}),
        ("generate_image", {**SMALL, "model": "\udfff"}),
        ("edit_image", {"prompt": "x", "image": "http://\ud800.example/"}),
        ("list_models", {"search": "\ud800"}),
        ("list_images", {"search": "\ud800"}),
        ("job_status", {"job_id": "\ud800"}),
        ("generate_image", {**SMALL, "\ud800": 1}),
        ("generate_image", {**SMALL, "width": float("nan")}),
        ("generate_image", {**SMALL, "cfg_scale": float("inf")}),
    ):
        message, headers = stateless("tools/call", {"name": tool, "arguments": arguments}, tool)
        answer = post(shared_house.url, message, session or headers)
        assert answer.status_code in (200, 400), f"{tool} {arguments}: {answer.status_code}"
        assert "Internal" not in answer.text, f"{tool} {arguments}: {answer.text[:300]}"
    assert facts_of(call(shared_house.url, "list_images")) is not None


def test_unknown_methods_and_versions_are_errors_of_the_protocol(shared_house: ServedHouse) -> None:
    message, headers = stateless("no/such")
    unknown = post(shared_house.url, message, headers)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, -32601)
    message, headers = stateless("tools/list")
    strange = post(shared_house.url, message, {**headers, "MCP-Protocol-Version": "2099-01-01"})
    assert strange.status_code == 400
    session = {"Mcp-Session-Id": begin_session(shared_house.url)}
    answer = post(shared_house.url, {**LIST, "method": "no/such"}, session)
    assert "-32601" in answer.text


def test_wrong_content_types_and_methods_are_refused(shared_house: ServedHouse) -> None:
    assert post(shared_house.url, INITIALIZE, {"Accept": "application/json"}).status_code == 406
    assert post(shared_house.url, INITIALIZE, {"Content-Type": "text/plain"}).status_code in (400, 415)
    for method in ("PUT", "PATCH", "HEAD"):
        answer = requests.request(method, f"{shared_house.url}/mcp", timeout=PATIENCE_SECONDS)
        assert answer.status_code == 405, method
    gone = post(shared_house.url, LIST, {"Mcp-Session-Id": "no such"})
    assert gone.status_code == 404


def test_bodies_are_bounded(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(limits={"body_bytes": 4096})
    message, headers = stateless("tools/call", {"name": "edit_image", "arguments": {"image": "x" * 5000}}, "edit_image")
    assert post(served.url, message, headers).status_code == 413


def test_the_session_that_was_idle_the_longest_gives_way(served: ServedHouse) -> None:
    first, second = begin_session(served.url), begin_session(served.url)
    sessions = [first, second, *(begin_session(served.url) for _ in range(MOST_SESSIONS - 2))]
    assert len(set(sessions)) == MOST_SESSIONS
    assert post(served.url, LIST, {"Mcp-Session-Id": first}).status_code == 200, "used last now"
    begin_session(served.url)
    assert post(served.url, LIST, {"Mcp-Session-Id": second}).status_code == 404
    assert post(served.url, LIST, {"Mcp-Session-Id": first}).status_code == 200


def test_sessions_that_are_all_in_use_let_no_other_in_and_harm_nobody_else(served: ServedHouse) -> None:
    streams = []
    for _ in range(MOST_SESSIONS):
        headers = {"Mcp-Session-Id": begin_session(served.url), "Accept": "text/event-stream"}
        streams.append(requests.get(f"{served.url}/mcp", headers=headers, stream=True, timeout=PATIENCE_SECONDS))
        assert streams[-1].status_code == 200
    assert post(served.url, INITIALIZE).status_code == 503
    message, headers = stateless("tools/list")
    assert post(served.url, message, headers).status_code == 200, "no session is needed for this"
    ended = requests.delete(f"{served.url}/mcp", headers=streams[0].request.headers, timeout=PATIENCE_SECONDS)
    assert ended.status_code == 200
    assert post(served.url, INITIALIZE).status_code == 200
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("has_session", [True, False])
def test_a_server_ends_clean_while_tools_wait(
    make_house: Callable[..., House], caplog: pytest.LogCaptureFixture, has_session: bool
) -> None:
    before = set(threading.enumerate())
    for _ in range(2):
        served = ServedHouse(make_house()).start()
        served.runtime.jobs.queue.pause()
        # Bare requests: the official client would still end its session at a server that is gone.
        session = {"Mcp-Session-Id": begin_session(served.url)}
        listening = {**session, "Accept": "text/event-stream"}
        stream = requests.get(f"{served.url}/mcp", headers=listening, stream=True, timeout=PATIENCE_SECONDS)
        message, headers = stateless("tools/call", {"name": "generate_image", "arguments": SMALL}, "generate_image")
        if has_session:
            del message["params"]["_meta"]
        with ThreadPoolExecutor(1) as pool, served.runtime.jobs.bus.subscribe() as mailbox:
            calling = pool.submit(post, served.url, message, session if has_session else headers)
            while not isinstance(mailbox.get(PATIENCE_SECONDS), JobAdded):
                """Until its job waits."""
            served.stop()
            answer = calling.result(PATIENCE_SECONDS)
        stream.close()
        assert "The server is stopping; the job goes on when it is back" in answer.text
        served.house.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_SECONDS)
    assert set(threading.enumerate()) <= before
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_breaks_the_sdk_is_an_internal_error_and_breaks_nothing_else(
    make_served: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ImportError("no SDK")

    monkeypatch.setattr("sdcpp_rest.routes.mcp.mount._build", fail)
    served = make_served()
    for _ in range(2):
        answer = post(served.url, INITIALIZE)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert served.get("/health").status_code == 200


def test_what_never_calls_a_tool_never_loads_the_sdk() -> None:
    script = "import sys, sdcpp_rest.web.serving; sys.exit('mcp' in sys.modules or 'mcp_types' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_drawing_by_both_protocols_at_once(shared_house: ServedHouse) -> None:
    for era in ERAS:
        version = talk(shared_house.url, _version_of, era)
        assert version == {"legacy": "2025-11-25"}.get(era, era)
        assert facts_of(call(shared_house.url, "generate_image", era, **SMALL))["status"] == "completed"


async def _version_of(client: Any) -> str:
    return str(client.protocol_version)
