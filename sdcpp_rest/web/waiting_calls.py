"""Serves calls of views that wait: a bounded number of them, each for the client that made it, or for the same client
when it asks again after having left.

Knows which connections are lost. What becomes of a call without a client is decided by `AbandonedCalls`.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from sdcpp_rest.errors import CallerGone, EngineUnavailable
from sdcpp_rest.services.jobs.abandoned_calls import AbandonedCalls
from sdcpp_rest.web.same_request import SentRequest
from sdcpp_rest.web.waiting_call import WaitingCall


class WaitingCalls:
    """Begins calls, joins clients that come back with theirs, and lets go of those whose clients are gone.

    Args:
        abandoned: who keeps those that nobody listens to.
        limit: how many may be in flight, with and without a client.
        early_seconds: see `WaitingCall`.
    """

    def __init__(self, abandoned: AbandonedCalls[WaitingCall], *, limit: int, early_seconds: float) -> None:
        self._abandoned = abandoned
        self._limit = limit
        self._early_seconds = early_seconds
        self._calls: set[WaitingCall] = set()

    @property
    def in_flight(self) -> int:
        """How many views are at work."""
        return len(self._calls)

    @property
    def listeners(self) -> int:
        """How many of them have a client."""
        return sum(call.is_listened_to for call in [*self._calls])

    def refuse_when_full(self, scope: Scope) -> None:
        """Raise EngineUnavailable if the request of ``scope`` cannot be served now. One that may go on with a call that
        is in flight needs no room."""
        if not self._has_room() and not self._abandoned.has_any(SentRequest.of(scope, b"").place):
            raise self._refusal()

    async def serve(
        self, pool: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send, *, may_stream: bool
    ) -> None:
        """Answer one request, or note that its client has left. Raises EngineUnavailable, and what the view's call has
        raised."""
        request = SentRequest.of(scope, body)
        call = await self._take_over(request) if scope["method"] == "POST" else None
        if call is None:
            call = self._begin(request, pool, scope, may_stream)
        if not await call.answer(scope, receive, send):
            await self._let_go(call, may_come_back=scope["method"] == "POST")

    def _has_room(self) -> bool:
        return self.in_flight < self._limit

    def _refusal(self) -> EngineUnavailable:
        text = f"{self.in_flight} calls are waiting already (server.blocking_threads); try again shortly"
        return EngineUnavailable(text)

    def _begin(self, request: SentRequest, pool: ASGIApp, scope: Scope, may_stream: bool) -> WaitingCall:
        """Begin a call; nothing is awaited between the look whether there is room and the beginning."""
        if not self._has_room():
            raise self._refusal()
        call = WaitingCall(request, may_stream=may_stream, early_seconds=self._early_seconds)
        self._calls.add(call)
        call.begin(pool, scope, on_end=lambda: self._note_end(call))
        return call

    async def _take_over(self, request: SentRequest) -> WaitingCall | None:
        """The call of a client that has left and sends the same request again."""
        for call in [one for one in self._calls if one.place == request.place]:
            await call.settle()
        if not self._abandoned.has_any(request.place):
            return None
        # On a thread: bodies of pictures are long.
        return await asyncio.to_thread(
            self._abandoned.take_over, request.place, lambda call: call.request.is_same(request)
        )

    async def _let_go(self, call: WaitingCall, *, may_come_back: bool) -> None:
        """Keep a call that nobody listens to for a client that comes back, or end its work."""
        is_whole = may_come_back and call.may_be_kept and not call.departure.ends_with_connection
        # At once: whoever waits for the connection's fate looks among the kept calls next.
        if not (is_whole and self._abandoned.keep(call)):
            await asyncio.to_thread(call.departure.give_up, CallerGone("The caller hung up"))

    def _note_end(self, call: WaitingCall) -> None:
        self._calls.discard(call)
        self._abandoned.note_end(call)
