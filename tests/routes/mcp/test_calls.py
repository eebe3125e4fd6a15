"""Who may read paths of this machine, and how a caller sees the server."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from sdcpp_rest.errors import EngineUnavailable
from sdcpp_rest.routes.mcp.calls import AgentCaller, AgentThreads
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS


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


def test_what_comes_after_the_end_is_refused_and_what_runs_is_left_to_end() -> None:
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        may_end.wait(PATIENCE_SECONDS)
        ended.set()

    async def run() -> None:
        threads = AgentThreads(1)
        running = asyncio.create_task(threads.run(work))
        await asyncio.to_thread(began.wait, PATIENCE_SECONDS)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        threads.close()
        for run_one in (threads.run, threads.run_far):
            with pytest.raises(EngineUnavailable):
                await run_one(print)
        may_end.set()
        assert await asyncio.to_thread(ended.wait, PATIENCE_SECONDS)

    asyncio.run(run())


def test_calls_far_away_do_not_keep_the_others_waiting() -> None:
    is_done = threading.Event()

    async def run() -> None:
        threads = AgentThreads(1)
        far = asyncio.create_task(threads.run_far(is_done.wait, PATIENCE_SECONDS))
        await threads.run(is_done.set)
        assert await far
        threads.close()

    asyncio.run(run())
