"""Calls the native API, and waits for what it answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from sdcpp_rest.client import steps as step_kinds
from sdcpp_rest.client.answers import check_status, read_answer
from sdcpp_rest.client.calls import Blocking
from sdcpp_rest.client.connection import Connection
from sdcpp_rest.client.faults import http_faults, opening_faults, stream_faults
from sdcpp_rest.client.jobs import SubmittedJob
from sdcpp_rest.client.native_calls import NativeCalls
from sdcpp_rest.client.partial_file import open_partial
from sdcpp_rest.client.steps import Request, Saving, Step, Steps, Tell, Telling, Walk

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self
    from websockets.sync.client import ClientConnection

T = TypeVar("T")


class Client(NativeCalls, Blocking):
    """Speaks to a server from a program that waits. May be used by several threads at once.

    Args:
        base_url: where the server is, with the path below which a proxy serves it, if it does.
        api_key: one of the server's keys, as ``key`` or ``user:key``.
        timeout: seconds until an answer that the server has at once. What waits for the engine or for another server
            may take as long as it takes.
        transport: what carries requests instead of sockets, such as httpx's ``WSGITransport``; without an event stream.
        reconnect_seconds: how long an event stream, or a job that is waited for, bears a server that does not answer.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        api_key: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout: float = 60.0,
        reconnect_seconds: float = 60.0,
    ) -> None:
        super().__init__(Connection(base_url, api_key, timeout, has_sockets=transport is None), reconnect_seconds)
        self._http = httpx.Client(
            headers=self.connection.encoded_headers, verify=self.connection.certificates, transport=transport
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def job(self, job_id: str) -> SubmittedJob:
        """A job that was submitted before, or by somebody else."""
        return SubmittedJob(self, {"job_id": job_id})

    def submit(self, steps: Steps[Any]) -> SubmittedJob:
        """Take steps that submit a job."""
        return SubmittedJob(self, self.run(steps))

    def run(self, steps: Steps[T]) -> T:
        """Take the steps, and return what they return."""
        walk = Walk(steps)
        for _ in self._take(walk):
            pass
        return cast(T, walk.value)

    def iterate(self, steps: Telling[T]) -> Generator[T, None, None]:
        """Take the steps, and yield what they tell."""
        return self._take(Walk(steps))

    def _take(self, walk: Walk[Any]) -> Generator[Any, None, None]:
        with contextlib.ExitStack() as opened:
            stage = _Stage(self.connection, self._http, opened)
            while not walk.is_over:
                with walk.carry_out() as outcome:
                    if not isinstance(walk.step, Tell):
                        outcome.append(stage.perform(walk.step))
                    else:
                        yield walk.step.told


class _Stage:
    """Carries steps out, with what is open meanwhile: a WebSocket, or an answer that is still coming."""

    def __init__(self, connection: Connection, http: httpx.Client, opened: contextlib.ExitStack) -> None:
        self._connection = connection
        self._http = http
        self._opened = opened
        self._socket: ClientConnection | None = None
        self._socket_open = contextlib.ExitStack()
        opened.callback(self._socket_open.close)
        self._lines: Iterator[str] = iter(())

    def perform(self, step: Step) -> Any:
        """Do it. Raises ClientError, TimeoutError (of `Receive`), OSError (of files)."""
        match step:
            case Request():
                return self._ask(step)
            case Saving():
                self._save(step)
            case step_kinds.OpenSocket(since):
                self._open_socket(since)
            case step_kinds.Receive():
                return self._receive(step.seconds)
            case step_kinds.Pause():
                time.sleep(step.seconds)
            case step_kinds.OpenLines():
                self._lines = self._begin(step.request).iter_lines()
            case step_kinds.ReadLine():
                with http_faults(self._connection):
                    return next(self._lines, None)
        return None

    def _ask(self, request: Request[T]) -> T:
        with http_faults(self._connection):
            answer = self._http.send(self._connection.build(self._http, request))
        return read_answer(request, answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    def _begin(self, request: Request[Any]) -> httpx.Response:
        """An answer whose body has not been read, unless it is a refusal."""
        with http_faults(self._connection):
            answer = self._http.send(self._connection.build(self._http, request), stream=True)
            self._opened.callback(answer.close)
            refusal = b"" if answer.is_success else answer.read()
        check_status(request, answer.status_code, answer.headers.get("Content-Type", ""), refusal)
        return answer

    def _save(self, saving: Saving) -> None:
        answer = self._begin(saving.request)
        with open_partial(saving.target) as file, http_faults(self._connection):
            for piece in answer.iter_bytes():
                file.write(piece)

    def _open_socket(self, since: tuple[int, str] | None) -> None:
        from websockets.sync.client import connect

        self._socket_open.close()
        with opening_faults(self._connection):
            opening = connect(self._connection.socket_url_behind(since), **self._connection.socket_options)
            self._socket = self._socket_open.enter_context(opening)

    def _receive(self, seconds: float) -> str | bytes:
        assert self._socket is not None
        with stream_faults(self._connection):
            return self._socket.recv(timeout=seconds)
