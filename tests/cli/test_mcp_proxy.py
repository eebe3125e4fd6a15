"""Messages between standard input and output and a served house, in both protocols."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sdcpp_rest.cli.mcp_proxy import McpProxy
from sdcpp_rest.core.events import JobCancelled
from sdcpp_rest.services.jobs.event_bus import Subscription
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse
from tests.routes.mcp.agents import INITIALIZE, SMALL, stateless

pytestmark = pytest.mark.slow

INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Wire:
    """A client's end of the proxy."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1, "one message a line"
        self._got.put_nowait(json.loads(line))

    async def lines(self) -> AsyncIterator[bytes]:
        while (line := await self._sent.get()) is not None:
            yield line

    def send(self, message: object) -> None:
        self._sent.put_nowait(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    def end(self) -> None:
        self._sent.put_nowait(None)

    async def receive(self) -> dict[str, Any]:
        """The next message that is no notification."""
        while True:
            message = await asyncio.wait_for(self._got.get(), PATIENCE_SECONDS)
            if "id" in message:
                return message

    async def ask(self, message: object) -> dict[str, Any]:
        self.send(message)
        return await self.receive()


def converse(
    url: str, talk: Callable[[Wire, McpProxy], Any], find: Callable[[], Any] | None = None, key: str = ""
) -> None:
    """Hold a conversation through a proxy to ``url``, to its end."""

    async def find_nothing() -> str:
        raise OSError("nothing runs")

    async def run() -> None:
        wire = Wire()
        proxy = McpProxy(url, find or find_nothing, wire.write, key)
        running = asyncio.create_task(proxy.run(wire.lines()))
        try:
            await talk(wire, proxy)
        finally:
            wire.end()
            await asyncio.wait_for(running, PATIENCE_SECONDS)

    asyncio.run(run())


def _call(id: int, tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": id}}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def _stateless_call(id: int, tool: str, **arguments: Any) -> dict[str, Any]:
    message, _ = stateless("tools/call", {"name": tool, "arguments": arguments})
    return {**message, "id": id}


def test_a_client_with_a_handshake_draws(served: ServedHouse) -> None:
    async def talk(wire: Wire, proxy: McpProxy) -> None:
        hello = await wire.ask(INITIALIZE)
        assert hello["result"]["serverInfo"]["name"] == "sdcpp-rest"
        wire.send(INITIALIZED)
        drawn = await wire.ask(_call(5, "generate_image", **SMALL))
        assert drawn["id"] == 5
        assert drawn["result"]["structuredContent"]["status"] == "completed"

    converse(served.url, talk)


def test_a_client_without_a_handshake_draws_and_reads(served: ServedHouse) -> None:
    async def talk(wire: Wire, proxy: McpProxy) -> None:
        drawn = await wire.ask(_stateless_call(5, "generate_image", **SMALL))
        uri = drawn["result"]["structuredContent"]["images"][0]["resource"]
        message, _ = stateless("resources/read", {"uri": uri})
        read = await wire.ask(message)
        assert read["result"]["contents"][0]["mimeType"] == "image/png"

    converse(served.url, talk)


def test_junk_is_answered_and_what_follows_is_heard(served: ServedHouse) -> None:
    async def talk(wire: Wire, proxy: McpProxy) -> None:
        for junk in (b"{\n", b"[]\n", b"7\n"):
            assert (await wire.ask(junk))["error"]["code"] == -32700
        wire.send(b"\n")
        message, _ = stateless("no/such")
        assert (await wire.ask(message))["error"]["code"] == -32601
        odd, _ = stateless("tools/call", {"name": "gr\u00fc\u00dfe", "arguments": {}})
        assert "There is no tool" in (await wire.ask(odd))["error"]["message"]

    converse(served.url, talk)


def _next(mailbox: Subscription, kind: type[Any]) -> Any:
    while (event := mailbox.get(PATIENCE_SECONDS)) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came")


@pytest.mark.parametrize("has_handshake", [True, False])
@pytest.mark.parametrize("how", ["a cancel", "the end"])
def test_who_cancels_or_ends_takes_the_job_along(served: ServedHouse, has_handshake: bool, how: str) -> None:
    served.runtime.jobs.queue.pause()

    async def talk(wire: Wire, proxy: McpProxy) -> None:
        if has_handshake:
            await wire.ask(INITIALIZE)
            wire.send(INITIALIZED)
        wire.send((_call if has_handshake else _stateless_call)(5, "generate_image", **SMALL))
        while not served.runtime.jobs.queue.list():
            await asyncio.to_thread(mailbox.get, 0.01)
        if how == "a cancel":
            wire.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
            await asyncio.to_thread(_next, mailbox, JobCancelled)
            message, _ = stateless("tools/list")
            wire.send(message)
            while (await wire.receive())["id"] != message["id"]:
                """With a handshake, the call is answered with an error. All else goes on."""

    with served.runtime.jobs.bus.subscribe() as mailbox:
        converse(served.url, talk)
        if how == "the end":
            _next(mailbox, JobCancelled)
    assert [job.status for job in served.runtime.jobs.queue.list()] == ["cancelled"]


def test_a_session_that_was_ended_is_begun_anew(served: ServedHouse) -> None:
    import requests

    async def talk(wire: Wire, proxy: McpProxy) -> None:
        await wire.ask(INITIALIZE)
        wire.send(INITIALIZED)
        assert "result" in await wire.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        headers = {"Mcp-Session-Id": proxy._session}
        ended = await asyncio.to_thread(requests.delete, f"{served.url}/mcp", headers=headers, timeout=PATIENCE_SECONDS)
        assert ended.status_code == 200
        assert "result" in await wire.ask({"jsonrpc": "2.0", "id": 3, "method": "tools/list"})

    converse(served.url, talk)


def test_another_server_is_found_when_the_first_is_gone(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served()

    async def find() -> str:
        return served.url

    async def talk(wire: Wire, proxy: McpProxy) -> None:
        assert "result" in await wire.ask(INITIALIZE)
        assert "result" in await wire.ask({"jsonrpc": "2.0", "id": 3, "method": "tools/list"})

    converse("http://127.0.0.1:9", talk, find)


def test_a_server_that_is_gone_is_told(served: ServedHouse) -> None:
    async def talk(wire: Wire, proxy: McpProxy) -> None:
        error = (await wire.ask(INITIALIZE))["error"]
        assert error["message"] == "The server at http://127.0.0.1:9 does not answer: nothing runs"

    converse("http://127.0.0.1:9", talk)


def test_keys_are_shown_and_refusals_told(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    message, _ = stateless("tools/list")

    async def talk(wire: Wire, proxy: McpProxy) -> None:
        answers.append(await wire.ask(message))

    answers: list[dict[str, Any]] = []
    converse(served.url, talk, key="secret")
    converse(served.url, talk)
    assert len(answers[0]["result"]["tools"]) == 9
    assert "key" in answers[1]["error"]["message"].lower()


def test_progress_comes_before_the_answer(served: ServedHouse) -> None:
    seen: list[str] = []
    is_done = threading.Event()

    async def talk(wire: Wire, proxy: McpProxy) -> None:
        await wire.ask(INITIALIZE)
        wire.send(INITIALIZED)
        wire.send(_call(5, "generate_image", **{**SMALL, "prompt": "fake:step=0.1"}))
        while not is_done.is_set():
            message = await asyncio.wait_for(wire._got.get(), PATIENCE_SECONDS)
            seen.append(message.get("params", {}).get("message") or "answer")
            if "id" in message:
                is_done.set()

    converse(served.url, talk)
    assert seen[-1] == "answer"
    assert any(words.startswith("step 3 of 3") for words in seen)


def test_an_answer_whose_stream_breaks_off_is_not_asked_for_again() -> None:
    """A server that dies right after it has answered."""
    asked: list[bytes] = []

    async def answer_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: one\r\n"
        event = json.dumps({"jsonrpc": "2.0", "id": INITIALIZE["id"], "result": {"protocolVersion": "2025-06-18"}})
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = f"data: {event}\n\n".encode()
        writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        await writer.drain()
        # Without the last chunk: the answer's end never comes.
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer_and_die, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire, found = Wire(), []

        async def find_again() -> str:
            found.append(port)
            return f"http://127.0.0.1:{port}"

        proxy = McpProxy(f"http://127.0.0.1:{port}", find_again, wire.write)
        running = asyncio.create_task(proxy.run(wire.lines()))
        assert "result" in await wire.ask(INITIALIZE)
        wire.end()
        await asyncio.wait_for(running, PATIENCE_SECONDS)
        server.close()
        await server.wait_closed()
        assert (found, wire._got.qsize()) == ([], 0)
        assert sum(request.startswith(b"POST") for request in asked) == 1

    asyncio.run(run())
