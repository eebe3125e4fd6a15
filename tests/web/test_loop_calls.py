"""What a thread asks of the event loop: answered, or ended with the request, and never left waiting."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from sdcpp_rest.web.loop_calls import LoopCalls, RequestEnded


def test_what_the_loop_answers_or_raises_reaches_the_thread() -> None:
    async def add(left: int, right: int) -> int:
        return left + right

    async def fail() -> None:
        raise OSError("gone")

    async def main() -> None:
        calls = LoopCalls(asyncio.get_running_loop())
        assert await asyncio.to_thread(calls.run, add, 2, 3) == 5
        with pytest.raises(OSError, match="gone"):
            await asyncio.to_thread(calls.run, fail)

    asyncio.run(main())


def test_the_end_of_the_request_ends_what_its_thread_waits_for() -> None:
    async def main() -> None:
        began = asyncio.Event()
        cancelled = asyncio.Event()

        async def wait_for_ever() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        calls = LoopCalls(asyncio.get_running_loop())
        waiting = asyncio.create_task(asyncio.to_thread(calls.run, wait_for_ever))
        await began.wait()
        calls.end()
        with pytest.raises(RequestEnded):
            await waiting
        await cancelled.wait()

    asyncio.run(main())


def test_after_the_end_nothing_is_made_for_a_loop_that_is_closed() -> None:
    """A coroutine that is made and never awaited would be a warning, and warnings are errors in these tests."""
    made: list[int] = []

    async def note() -> None:
        made.append(1)

    async def main() -> LoopCalls:
        calls = LoopCalls(asyncio.get_running_loop())
        calls.end()
        return calls

    calls = asyncio.run(main())
    with pytest.raises(RequestEnded):
        calls.run(note)
    assert made == []


def test_a_thread_that_calls_and_calls_is_let_go_wherever_it_is() -> None:
    """The end may come at any moment between making the coroutine and waiting for it; afterwards the loop is closed."""
    ends: list[Any] = []

    async def nothing() -> None:
        pass

    def call_for_ever(calls: LoopCalls, running: threading.Event) -> None:
        try:
            while True:
                calls.run(nothing)
                running.set()
        except BaseException as error:
            ends.append(type(error))

    async def main() -> threading.Thread:
        calls, running = LoopCalls(asyncio.get_running_loop()), threading.Event()
        thread = threading.Thread(target=call_for_ever, args=(calls, running))
        thread.start()
        await asyncio.to_thread(running.wait, 20)
        calls.end()
        return thread

    for _ in range(50):
        asyncio.run(main()).join(20)
    assert ends == [RequestEnded] * 50
