"""Serves calls that came under an ``Idempotency-Key``: each is made once, and whoever sends it again gets its answer.

What is under way is known here, what has been answered by `KeptAnswers`. A view that waits is still a `WaitingCall`
of whoever listens; when they leave, the next client with the key takes their place. Knows no view.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdcpp_rest.errors import EngineUnavailable
from sdcpp_rest.routes.http.safe_retries import HEADER, REPLAYED, read_key
from sdcpp_rest.services.jobs.chance import Chance, leaving_to
from sdcpp_rest.services.jobs.departure import current_departure
from sdcpp_rest.services.jobs.kept_answers import KeptAnswer, KeptAnswers, reuse_of_key
from sdcpp_rest.web.same_request import KEYED, SentRequest

_MOST_WAITING = 16
_SMALL_BYTES = 1024 * 1024
"""Of an answer that is handed to those who wait for it, whatever is kept."""

Serve = Callable[[Callable[[ASGIApp], ASGIApp], Receive, Send], Awaitable[None]]
"""Serves the request as if it had no key, with its pool of threads wrapped."""


def call_name(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Under which name a request came: a digest of its caller and its key; ``None`` without a key. Raises
    InvalidRequest.

    The caller is known by the key of the server, and not by an address, which changes when a phone leaves the house.
    """
    key = read_key([value for name, value in headers if name == HEADER.lower().encode()])
    if key is None:
        return None
    shown = b"\0".join(value for name, value in headers if name == b"authorization")
    return hashlib.sha256(shown + b"\0\0" + key.encode()).hexdigest()


class KeyedCalls:
    """Makes each named call once, and answers those who send it again."""

    def __init__(self, answers: KeptAnswers) -> None:
        self._answers = answers
        self._under_way: dict[str, _Call] = {}

    async def serve(self, scope: Scope, body: bytes, receive: Receive, send: Send, serve: Serve) -> None:
        """Answer one request, whose name is in ``scope``. Raises KeyReused, EngineUnavailable, and what ``serve``
        raises."""
        name: str = scope[KEYED]
        digest = await asyncio.to_thread(SentRequest.of(scope, body).digest)
        while True:
            call = self._under_way.get(name)
            if call is None:
                call = self._under_way[name] = _Call(name, digest, self._answers, self._forget)
            if call.digest != digest:
                raise reuse_of_key()
            if not call.has_client:
                try:
                    await self._listen(call, receive, send, serve)
                    return
                except _Ended:
                    continue
            if not await call.wait(receive):
                return
            if call.answer is not None:
                await _replay(call.answer, send)
                return

    async def _listen(self, call: _Call, receive: Receive, send: Send, serve: Serve) -> None:
        """Be the client that hears the call's answer as it comes; begins the call where nobody has."""
        call.has_client = True
        try:
            kept = None if call.has_begun else await call.open()
            if kept is not None:
                call.answer = kept
                await _replay(kept, send)
            else:
                await serve(call.over, receive, send)
        finally:
            call.has_client = False
            if not call.is_running:
                if not call.has_begun:
                    await call.let_go()
                self._forget(call)
            call.changed.set()

    def _forget(self, call: _Call) -> None:
        if self._under_way.get(call.name) is call:
            del self._under_way[call.name]


class _Ended(Exception):
    """The call that was to be gone on with has ended without an answer."""


class _Call:
    """Makes one call of a view. ``answer``: what it has answered, good or not, once that is whole. ``changed``: that,
    or it has no client any more."""

    def __init__(self, name: str, digest: str, answers: KeptAnswers, on_end: Callable[[_Call], None]) -> None:
        self.name = name
        self.digest = digest
        self.has_client = False
        self.has_begun = False
        self.is_running = False
        self.answer: KeptAnswer | None = None
        self.changed = asyncio.Event()
        self._answers = answers
        self._on_end = on_end
        self._chance: Chance | None = None
        self._waiting = 0

    async def open(self) -> KeptAnswer | None:
        """The answer that is kept; without one, the call may begin. Raises KeyReused."""
        found = await asyncio.to_thread(self._answers.open, self.name, self.digest)
        if isinstance(found, KeptAnswer):
            return found
        self._chance = Chance(found)
        return None

    async def let_go(self) -> None:
        if self._chance is not None:
            await asyncio.to_thread(self._answers.let_go, self.name, self._chance.job_ids)

    async def wait(self, receive: Receive) -> bool:
        """Wait until the call is answered, or without a client; false when the one who waits here has left."""
        if self._waiting >= _MOST_WAITING:
            raise EngineUnavailable(f"{self._waiting} requests with this {HEADER} are waiting already")
        self.changed.clear()
        watch = asyncio.create_task(_watch(receive))
        change = asyncio.create_task(self.changed.wait())
        self._waiting += 1
        try:
            await asyncio.wait({watch, change}, return_when=asyncio.FIRST_COMPLETED)
            return change.done()
        finally:
            self._waiting -= 1
            watch.cancel()
            change.cancel()

    def over(self, pool: ASGIApp) -> ASGIApp:
        """``pool``, as it serves this call: it is called once, and what it answers is kept."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if self.has_begun:
                # Somebody left, and the work was given up before this client could go on with it.
                while self.is_running:
                    self.changed.clear()
                    await self.changed.wait()
                raise _Ended
            assert self._chance is not None, "the call was not opened"
            self.has_begun = self.is_running = True
            try:
                with leaving_to(self._chance):
                    await pool(scope, receive, _Taking(self, send, self._answers.most_bytes))
            finally:
                self.is_running = False
                self.changed.set()
                if not self.has_client:
                    self._on_end(self)

        return serve

    async def settle(self, answer: KeptAnswer | None) -> None:
        """Keep the whole answer, or forget the call. ``None``: there is none that would do for anybody else."""
        if answer is not None and answer.is_good:
            await asyncio.to_thread(self._answers.keep, self.name, answer)
        else:
            await self.let_go()
        self.answer = answer
        # From now on who comes finds what is kept.
        self._on_end(self)
        self.changed.set()


class _Taking:
    """Hands an answer on, and settles the call with it before its last part goes out."""

    def __init__(self, call: _Call, send: Send, most_bytes: int) -> None:
        self._call = call
        self._send = send
        self._most_bytes = most_bytes
        self._status = 0
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body: bytearray | None = bytearray()
        self._to_come: int | None = None
        self._is_settled = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], _keep_headers(message["headers"])
            self._to_come = next((int(value) for name, value in message["headers"] if name == b"content-length"), None)
        elif message["type"] == "http.response.body" and not self._is_settled:
            await self._take(message.get("body", b""), is_last=not message.get("more_body"))
        await self._send(message)

    async def _take(self, part: bytes, is_last: bool) -> None:
        if self._body is not None:
            self._body += part
            if len(self._body) > max(self._most_bytes, _SMALL_BYTES):
                self._body = None
        if self._to_come is not None:
            self._to_come -= len(part)
        # A client that has all the bytes it was promised does not wait for the end.
        if is_last or self._to_come == 0:
            self._is_settled = True
            await self._call.settle(self._whole())

    def _whole(self) -> KeptAnswer | None:
        departure = current_departure()
        # Work that was given up has an answer that nobody asked for, such as no pictures.
        was_left = departure.is_given_up or (departure.has_left and departure.ends_with_connection)
        return None if was_left or self._body is None else KeptAnswer(self._status, self._headers, bytes(self._body))


async def _replay(answer: KeptAnswer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    headers += [(REPLAYED.lower().encode(), b"true"), (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _keep_headers(headers: list[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """The headers that are the answer's, and not those of its way to the client."""
    named = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    return tuple(one for one in named if one[0] not in ("date", "content-length", "transfer-encoding", "connection"))


async def _watch(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
