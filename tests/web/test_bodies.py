"""Bodies that are read as they come in: whole, or an error that says why not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sdcpp_rest.errors import EngineUnavailable, InvalidRequest, PayloadTooLarge
from sdcpp_rest.web import bodies
from sdcpp_rest.web.bodies import StreamedBody, check_announced

Messages = list[dict[str, Any]]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs on a thread of its own, as the server's does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


def body(loop: asyncio.AbstractEventLoop, messages: Messages, limit: int = 1_000_000) -> StreamedBody:
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        for message in waiting:
            return message
        return await asyncio.Future()

    return StreamedBody(receive, loop, limit, "limits.upload_bytes")


def part(content: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


@pytest.mark.parametrize("size", [1, 3, 100, -1])
def test_parts_come_out_as_one_stream(loop: asyncio.AbstractEventLoop, size: int) -> None:
    stream = body(loop, [part(b"abc"), part(b""), part(b"de"), part(b"f"), part(b"", more=False)])
    read = b""
    while found := stream.read(size):
        read += found
    assert read == b"abcdef"
    assert stream.read(size) == b""


def test_a_client_that_leaves_is_an_error_not_an_end(loop: asyncio.AbstractEventLoop) -> None:
    stream = body(loop, [part(b"abc"), {"type": "http.disconnect"}])
    assert stream.read(3) == b"abc"
    with pytest.raises(InvalidRequest, match="closed before"):
        stream.read(1)


def test_a_body_beyond_the_limit_is_refused_where_it_passes_it(loop: asyncio.AbstractEventLoop) -> None:
    stream = body(loop, [part(b"abc"), part(b"def", more=False)], limit=5)
    assert stream.read(3) == b"abc"
    with pytest.raises(PayloadTooLarge, match=r"5 bytes \(limits\.upload_bytes\)"):
        stream.read(3)
    assert body(loop, [part(b"abc"), part(b"de", more=False)], limit=5).read() == b"abcde"


def test_a_client_that_falls_silent_is_not_waited_for(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SILENCE_SECONDS", 0.01)
    with pytest.raises(InvalidRequest, match="did not go on"):
        body(loop, []).read(1)


def test_a_loop_that_ends_ends_the_reading(loop: asyncio.AbstractEventLoop) -> None:
    began = threading.Event()

    async def receive() -> dict[str, Any]:
        began.set()
        return await asyncio.Future()

    stream = StreamedBody(receive, loop, 10, "x")
    caught: list[BaseException] = []

    def read() -> None:
        try:
            stream.read(1)
        except EngineUnavailable as error:
            caught.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert began.wait(20)

    def cancel_all() -> None:
        for one in asyncio.all_tasks(loop):
            one.cancel()

    loop.call_soon_threadsafe(cancel_all)
    reader.join(20)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("announced", "error"), [(b"11", PayloadTooLarge), (b"x", InvalidRequest), (b"-1", InvalidRequest)]
)
def test_an_announced_length_is_looked_at_first(announced: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_announced({"headers": [(b"content-length", announced)]}, 10, "x")
    check_announced({"headers": [(b"content-length", b"10")]}, 10, "x")
