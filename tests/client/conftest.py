"""Both kinds of client before a real server with a fake engine: a test is written once, and tried with each."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from sdcpp_rest.client import AsyncClient, Client, SubmittedJob
from sdcpp_rest.client.calls import Awaiting
from tests.routes.conftest import House, ServedHouse, house, make_config, make_house, make_served, served

__all__ = ["house", "make_house", "make_served", "served"]

MakeClient = Callable[..., Client]
KINDS = ("waiting", "awaited")


class Awaited:
    """Awaits every call of what it stands for, so that a test reads as one of `Client`."""

    def __init__(self, one: Awaiting, loop: asyncio.AbstractEventLoop) -> None:
        self._one = one
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._one, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*arguments: Any, **named: Any) -> Any:
            answer = found(*arguments, **named)
            return self._iterate(answer) if inspect.isasyncgen(answer) else self._wait(answer)

        return call

    def _wait(self, answer: Any) -> Any:
        if inspect.isawaitable(answer):
            answer = self._loop.run_until_complete(answer)  # type: ignore[arg-type]
        return Awaited(answer, self._loop) if isinstance(answer, Awaiting) else answer

    def _iterate(self, told: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._loop.run_until_complete(anext(told))
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run_until_complete(told.aclose())


@pytest.fixture(params=KINDS)
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Make clients of one kind; they take the arguments of `Client`."""
    with contextlib.ExitStack() as opened:
        if request.param == "waiting":
            yield lambda *arguments, **named: opened.enter_context(Client(*arguments, **named))
            return
        loop = asyncio.new_event_loop()
        opened.callback(loop.close)

        def make(*arguments: Any, **named: Any) -> Any:
            client = Awaited(AsyncClient(*arguments, **named), loop)
            opened.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient, served: ServedHouse) -> Client:
    return make_client(served.url)


@pytest.fixture(scope="module")
def shared_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    """One server for a module: for calls that leave nothing behind."""
    home = House(make_config(tmp_path_factory.mktemp("shared")))
    serving = ServedHouse(home).start()
    yield serving
    serving.stop()
    home.close()


@pytest.fixture
def shared_client(make_client: MakeClient, shared_served: ServedHouse) -> Client:
    return make_client(shared_served.url)


@pytest.fixture
def draw(client: Client) -> Callable[..., SubmittedJob]:
    """Submit a small picture."""
    return lambda **fields: client.txt2img(
        **{"prompt": "a red circle", "steps": 2, "width": 64, "height": 64, **fields}
    )


@pytest.fixture
def answering(make_client: MakeClient) -> Callable[[httpx.Response | Exception], Client]:
    """A client of a server that says one thing, whatever it is asked."""

    def make(answer: httpx.Response | Exception) -> Client:
        def respond(request: httpx.Request) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

        return make_client("http://elsewhere:80", transport=httpx.MockTransport(respond))

    return make
