"""One call that waits, without sockets: nothing of it is left on the loop when it is over."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from sdcpp_rest.web.same_request import SentRequest
from sdcpp_rest.web.waiting_call import WaitingCall

PATIENCE_SECONDS = 20
SCOPE: Scope = {"type": "http", "method": "POST", "path": "/txt2img", "query_string": b"", "headers": []}
ANSWER: list[Message] = [
    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]},
    {"type": "http.response.body", "body": b"{}"},
]


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("is_left", [False, True])
def test_nothing_goes_on_behind_a_call_that_is_over(turns: int, is_left: bool) -> None:
    """``turns`` of the loop lie between a word of the view and the end, of the view or of the client."""
    answer = ANSWER[:1] if is_left else ANSWER
    said: list[Message] = []

    async def view(scope: Scope, receive: Receive, send: Send) -> None:
        for message in answer:
            # So that whoever fills the silence has heard of the word before, and waits for the next one.
            await pass_turns(10)
            await send(message)
        spoke.set()
        await pass_turns(turns)
        if is_left:
            await departed.wait()

    async def receive() -> Message:
        await (spoke if is_left else asyncio.Event()).wait()
        await pass_turns(turns)
        return {"type": "http.disconnect"}

    async def pass_turns(count: int) -> None:
        for _ in range(count):
            turn = asyncio.get_running_loop().create_future()
            turn.get_loop().call_soon(turn.set_result, None)
            await turn

    async def send(message: Message) -> None:
        said.append(message)

    async def run() -> None:
        call = WaitingCall(
            SentRequest("/txt2img", (), "application/json", b"{}"), may_stream=False, early_seconds=PATIENCE_SECONDS
        )
        call.begin(view, SCOPE, lambda: None)
        answering = asyncio.create_task(call.answer(SCOPE, receive, send))
        await asyncio.wait({answering}, timeout=PATIENCE_SECONDS)
        assert answering.done(), "the call is over, and its answer waits for something"
        assert await answering is not is_left
        departed.set()
        assert call._work is not None
        await call._work
        assert asyncio.all_tasks() == {asyncio.current_task()}

    spoke, departed = asyncio.Event(), asyncio.Event()
    asyncio.run(run())
    assert said == answer
