"""Calls of the Flask application on threads: an end of the request, however it comes, lets the thread go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sdcpp_rest.web.loop_calls import LoopCalls, RequestEnded
from sdcpp_rest.web.wsgi_pool import WsgiPool

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "query_string": b"",
    "http_version": "1.1",
    "headers": [],
}


class Application:
    """Answers with parts until it is stopped, or for ever; ``closed`` is set when its answer is closed."""

    def __init__(self, parts: int | None = None) -> None:
        self.parts = parts
        self.closed = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self._answer()

    def _answer(self) -> Iterator[bytes]:
        number = 0
        try:
            while self.parts is None or number < self.parts:
                yield b"x"
                number += 1
        finally:
            self.closed.set()


async def receive_nothing() -> Any:
    return await asyncio.Event().wait()


def test_an_answer_comes_whole() -> None:
    async def main() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        pool = WsgiPool(Application(parts=100), 1)
        await pool(SCOPE, receive_nothing, send)
        pool.close()
        return sent

    sent = asyncio.run(main())
    assert sent[0] == {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
    assert b"".join(message["body"] for message in sent[1:]) == b"x" * 100
    assert sent[-1] == {"type": "http.response.body", "body": b""}


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 4, 9])
def test_the_messages_of_an_answer_come_in_order_whatever_its_length(parts: int) -> None:
    sent: list[Any] = []

    async def main() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        pool = WsgiPool(Application(parts), 1)
        await pool(SCOPE, receive_nothing, send)
        pool.close()

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * (parts + 1)]
    assert [message["body"] for message in sent[1:]] == [b"x"] * parts + [b""]


def test_the_thread_of_a_short_answer_asks_nothing_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that it does, it waits for a turn of the loop, however little there is to say."""
    asked: list[object] = []
    monkeypatch.setattr(LoopCalls, "run", lambda self, *call: asked.append(call))

    async def main() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        pool = WsgiPool(Application(parts=1), 1)
        await pool(SCOPE, receive_nothing, send)
        pool.close()
        return sent

    assert len(asyncio.run(main())) == 3
    assert asked == []


@pytest.mark.parametrize(("parts", "tasks"), [(1, 1), (9, 2)])
def test_a_short_answer_is_sent_by_the_task_of_its_request(parts: int, tasks: int) -> None:
    """Another one would have to be made, and waited for."""
    seen: set[int] = set()

    async def main() -> None:
        async def send(message: Any) -> None:
            seen.add(id(asyncio.current_task()))

        pool = WsgiPool(Application(parts), 1)
        await pool(SCOPE, receive_nothing, send)
        pool.close()
        seen.add(id(asyncio.current_task()))

    asyncio.run(main())
    assert len(seen) == tasks


def test_the_head_of_a_stream_is_sent_before_its_first_piece_is_there() -> None:
    """Who waits for a stream is told that it is one: then comments can be put in while the view is silent."""
    head_is_there, told = threading.Event(), []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        told.append(head_is_there.wait(20))
        yield b"x"

    async def main() -> None:
        async def send(message: Any) -> None:
            head_is_there.set()

        pool = WsgiPool(application, 1, stream_mark="streams")
        await pool({**SCOPE, "streams": True}, receive_nothing, send)
        pool.close()

    asyncio.run(main())
    assert told == [True]


def test_a_view_that_breaks_in_a_short_answer_has_said_nothing_yet() -> None:
    """So that the client can be told that it broke."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"
        raise OSError("the file is gone")

    async def main() -> None:
        async def send(message: Any) -> None:
            raise AssertionError("nothing is to be sent")

        pool = WsgiPool(application, 1)
        with pytest.raises(OSError, match="the file is gone"):
            await pool(SCOPE, receive_nothing, send)
        pool.close()

    asyncio.run(main())


def test_a_request_that_is_cancelled_ends_the_view_though_nobody_takes_what_it_says() -> None:
    application = Application()

    async def main() -> None:
        began = asyncio.Event()

        async def send_never(message: Any) -> None:
            began.set()
            await asyncio.Event().wait()

        pool = WsgiPool(application, 1)
        call = asyncio.create_task(pool(SCOPE, receive_nothing, send_never))
        await began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(application.closed.wait, 20)
        pool.close()

    asyncio.run(main())


def test_sending_that_fails_is_what_the_caller_hears_of() -> None:
    application = Application()

    async def main() -> None:
        async def fail(message: Any) -> None:
            if message.get("body"):
                raise OSError("the socket is gone")

        pool = WsgiPool(application, 1)
        with pytest.raises(OSError, match="the socket is gone"):
            await asyncio.wait_for(pool(SCOPE, receive_nothing, fail), 20)
        assert application.closed.wait(20)
        pool.close()

    asyncio.run(main())


def test_a_view_that_speaks_after_the_server_has_ended_says_it_to_nobody() -> None:
    """The loop is closed by then: neither a warning nor a thread that waits for ever."""
    loop_closed, ended = threading.Event(), threading.Event()
    heard: list[BaseException] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        began.set()
        assert loop_closed.wait(20)
        try:
            start_response("200 OK", [])
        except BaseException as error:
            heard.append(error)
            raise
        finally:
            ended.set()
        return iter(())

    began = threading.Event()

    async def main() -> None:
        async def send(message: Any) -> None:
            raise AssertionError("nobody is there to send to")

        pool = WsgiPool(application, 1)
        call = asyncio.create_task(pool(SCOPE, receive_nothing, send))
        assert await asyncio.to_thread(began.wait, 20)
        call.cancel()
        pool.close()

    asyncio.run(main())
    loop_closed.set()
    assert ended.wait(20)
    assert [type(error) for error in heard] == [RequestEnded]
