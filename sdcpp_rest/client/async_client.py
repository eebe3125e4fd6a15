"""Calls the native API from a program with an event loop; nothing here blocks it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from sdcpp_rest.client import steps as step_kinds
from sdcpp_rest.client.answers import check_status, read_answer
from sdcpp_rest.client.calls import Awaiting
from sdcpp_rest.client.connection import Connection
from sdcpp_rest.client.faults import http_faults, opening_faults, stream_faults
from sdcpp_rest.client.jobs import AsyncSubmittedJob
from sdcpp_rest.client.native_calls import NativeCalls
from sdcpp_rest.client.partial_file import open_partial
from sdcpp_rest.client.steps import Request, Saving, Step, Steps, Tell, Telling, Walk

if TYPE_CHECKING:
    from typing_extensions import Self
    from websockets.asyncio.client import ClientConnection

T = TypeVar("T")


class AsyncClient(NativeCalls, Awaiting):
    """Speaks to a server from an event loop. Arguments and calls are those of `Client`; the calls are awaited, and what
    iterates is iterated with ``async for``: leave that early within ``contextlib.aclosing``."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        api_key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = 60.0,
        reconnect_seconds: float = 60.0,
    ) -> None:
        super().__init__(Connection(base_url, api_key, timeout, has_sockets=transport is None), reconnect_seconds)
        self._http = httpx.AsyncClient(
            headers=self.connection.encoded_headers, verify=self.connection.certificates, transport=transport
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def job(self, job_id: str) -> AsyncSubmittedJob:
        """A job that was submitted before, or by somebody else."""
        return AsyncSubmittedJob(self, {"job_id": job_id})

    async def submit(self, steps: Steps[Any]) -> AsyncSubmittedJob:
        """Take steps that submit a job."""
        return AsyncSubmittedJob(self, await self.run(steps))

    async def run(self, steps: Steps[T]) -> T:
        """Take the steps, and return what they return."""
        walk = Walk(steps)
        async with contextlib.aclosing(self._take(walk)) as told:
            async for _ in told:
                pass
        return cast(T, walk.value)

    def iterate(self, steps: Telling[T]) -> AsyncGenerator[T, None]:
        """Take the steps, and yield what they tell."""
        return self._take(Walk(steps))

    async def _take(self, walk: Walk[Any]) -> AsyncGenerator[Any, None]:
        async with contextlib.AsyncExitStack() as opened:
            stage = _Stage(self.connection, self._http, opened)
            while not walk.is_over:
                with walk.carry_out() as outcome:
                    if not isinstance(walk.step, Tell):
                        outcome.append(await stage.perform(walk.step))
                    else:
                        yield walk.step.told


class _Stage:
    """Carries steps out, with what is open meanwhile: a WebSocket, or an answer that is still coming."""

    def __init__(self, connection: Connection, http: httpx.AsyncClient, opened: contextlib.AsyncExitStack) -> None:
        self._connection = connection
        self._http = http
        self._opened = opened
        self._socket: ClientConnection | None = None
        self._socket_open = contextlib.AsyncExitStack()
        opened.push_async_callback(self._socket_open.aclose)
        self._lines: AsyncIterator[str] | None = None

    async def perform(self, step: Step) -> Any:
        """Do it. Raises ClientError, TimeoutError (of `Receive`), OSError (of files)."""
        match step:
            case Request():
                return await self._ask(step)
            case Saving():
                await self._save(step)
            case step_kinds.OpenSocket(since):
                await self._open_socket(since)
            case step_kinds.Receive():
                return await self._receive(step.seconds)
            case step_kinds.Pause():
                await asyncio.sleep(step.seconds)
            case step_kinds.OpenLines():
                self._lines = (await self._begin(step.request)).aiter_lines()
            case step_kinds.ReadLine():
                assert self._lines is not None
                with http_faults(self._connection):
                    return await anext(self._lines, None)
        return None

    async def _ask(self, request: Request[T]) -> T:
        with http_faults(self._connection):
            answer = await self._http.send(self._connection.build(self._http, request))
        return read_answer(request, answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    async def _begin(self, request: Request[Any]) -> httpx.Response:
        """An answer whose body has not been read, unless it is a refusal."""
        with http_faults(self._connection):
            answer = await self._http.send(self._connection.build(self._http, request), stream=True)
            self._opened.push_async_callback(answer.aclose)
            refusal = b"" if answer.is_success else await answer.aread()
        check_status(request, answer.status_code, answer.headers.get("Content-Type", ""), refusal)
        return answer

    async def _save(self, saving: Saving) -> None:
        answer = await self._begin(saving.request)
        with open_partial(saving.target) as file, http_faults(self._connection):
            async for piece in answer.aiter_bytes():
                await asyncio.to_thread(file.write, piece)

    async def _open_socket(self, since: tuple[int, str] | None) -> None:
        from websockets.asyncio.client import connect

        await self._socket_open.aclose()
        with opening_faults(self._connection):
            opening = connect(self._connection.socket_url_behind(since), **self._connection.socket_options)
            self._socket = await self._socket_open.enter_async_context(opening)

    async def _receive(self, seconds: float) -> str | bytes:
        assert self._socket is not None
        with stream_faults(self._connection):
            try:
                return await asyncio.wait_for(self._socket.recv(), seconds)
            except asyncio.TimeoutError:
                raise TimeoutError from None  # two classes until Python 3.11
