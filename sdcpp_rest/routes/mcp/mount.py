"""Mounts the protocol below /mcp: starts what answers at the first request, ends it with the server, bounds its
sessions.

What the SDK runs must be entered and left in one task, which is this module's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING

from starlette.types import Message, Receive, Scope, Send

from sdcpp_rest.errors import EngineUnavailable, NotFound
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.mcp.calls import AgentThreads
from sdcpp_rest.routes.mcp.parts import ServerParts

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

log = logging.getLogger(__name__)

MOST_SESSIONS = 50
"""Of the protocol with a handshake, at a time."""

PATH = "/mcp"

Headers = Iterable[tuple[bytes, bytes]]
_SESSION = b"mcp-session-id"
_VERSION = b"mcp-protocol-version"
_LAST_WORDS_SECONDS = 2.0


class McpMount:
    """Serves /mcp, as the shell mounts it. For one event loop, and once: after `stop` it answers 503."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._threads: AgentThreads | None = None
        self._serving: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._stopping = asyncio.Event()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._sessions = _SessionUse()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises NotFound for what is below /mcp, EngineUnavailable while the server stops."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path not in (PATH, PATH + "/"):
            raise NotFound(f"Unknown URL: {shorten(path)}; MCP is at {PATH}")
        manager = await self._open()
        is_call = scope["method"] == "POST"
        if is_call:
            self._calls += 1
            self._idle.clear()
        try:
            async with self._sessions.use(manager, scope, _send_one_answer(send)) as watched:
                await manager.handle_request(scope, receive, watched)
        finally:
            self._calls -= is_call
            if not self._calls:
                self._idle.set()

    async def stop(self) -> None:
        """End everything, on the same loop. Idempotent. Calls that wait have been released by then, and get a moment
        for their last words."""
        self._stopping.set()
        self._parts.fetching.close()
        if self._serving is not None and not self._serving.done():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _LAST_WORDS_SECONDS)
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        if self._threads is not None:
            self._threads.close()

    async def _open(self) -> StreamableHTTPSessionManager:
        if self._stopping.is_set():
            raise EngineUnavailable("The server is stopping")
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._threads = AgentThreads()
            self._serving = asyncio.create_task(self._serve(self._threads, self._opened))
        return await asyncio.shield(self._opened)

    async def _serve(self, threads: AgentThreads, opened: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        """The one task in which the sessions live."""
        try:
            manager = await threads.run(_build, self._parts, threads)
            async with manager.run():
                opened.set_result(manager)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            _refuse(opened, EngineUnavailable("The server is stopping"))
            raise
        except Exception as error:  # whoever waits for it tells the client, with a number for the log
            if opened.done():
                log.exception("MCP has ended by itself; the next call starts it anew")
                self._opened = None
                threads.close()
            _refuse(opened, error)


def _refuse(opened: asyncio.Future[StreamableHTTPSessionManager], error: Exception) -> None:
    """Tell whoever waits that nothing will be opened."""
    if not opened.done():
        opened.set_exception(error)
        opened.exception()  # perhaps nobody waits any more: that is no fault


class _SessionUse:
    """Remembers which sessions are in use, to end the one that was idle the longest when there are too many."""

    def __init__(self) -> None:
        self._uses: OrderedDict[bytes, int] = OrderedDict()
        self._opening = 0

    @contextlib.asynccontextmanager
    async def use(self, manager: StreamableHTTPSessionManager, scope: Scope, send: Send) -> AsyncIterator[Send]:
        """Count a request as its session's while the block lasts; for one that may begin a session, make room first.
        Yields a ``send`` that notices new sessions."""
        session = _session_of(scope["headers"])
        if session is not None:
            with self._in_use(session, is_last=scope["method"] == "DELETE"):
                yield send
        elif scope["method"] == "POST" and _may_begin_session(scope["headers"]):
            self._opening += 1
            try:
                await self._make_room(manager, scope)
                yield self._watch(send)
            finally:
                self._opening -= 1
        else:
            yield send

    @contextlib.contextmanager
    def _in_use(self, session: bytes, *, is_last: bool) -> Iterator[None]:
        if session in self._uses:
            self._uses[session] += 1
            self._uses.move_to_end(session)
        try:
            yield
        finally:
            if is_last:
                self._uses.pop(session, None)
            elif session in self._uses:
                self._uses[session] -= 1

    def _watch(self, send: Send) -> Send:
        async def note_session(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                made = _session_of(message.get("headers", ()))
                if made is not None:
                    self._uses[made] = 0
            await send(message)

        return note_session

    async def _make_room(self, manager: StreamableHTTPSessionManager, scope: Scope) -> None:
        """End sessions that nobody uses until there may be one more; where all are in use, the SDK refuses."""
        while len(self._uses) + self._opening > MOST_SESSIONS:
            oldest = next((one for one, uses in self._uses.items() if not uses), None)
            if oldest is None:
                return
            del self._uses[oldest]
            await _end_session(manager, scope, oldest)


async def _end_session(manager: StreamableHTTPSessionManager, scope: Scope, session: bytes) -> None:
    """As its client would: by a DELETE."""
    headers = [(b"host", b"localhost"), (b"accept", b"application/json, text/event-stream"), (_SESSION, session)]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            log.debug("a session was gone already")

    await manager.handle_request({**scope, "method": "DELETE", "headers": headers}, receive, send)


def _send_one_answer(send: Send) -> Send:
    """A ``send`` that lets one answer through, whole: the SDK begins another when a session ends under a request."""
    is_begun = is_whole = False

    async def send_first(message: Message) -> None:
        nonlocal is_begun, is_whole
        if is_whole:
            return
        if message["type"] == "http.response.start":
            if is_begun:
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            is_begun = True
        is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    return send_first


def _session_of(headers: Headers) -> bytes | None:
    return _header(headers, _SESSION)


def _may_begin_session(headers: Headers) -> bool:
    """Requests of the protocol without a handshake always name its version, and never begin a session."""
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    version = _header(headers, _VERSION)
    return version is None or version.decode("latin-1") in HANDSHAKE_PROTOCOL_VERSIONS


def _header(headers: Headers, wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name.lower() == wanted), None)


def _build(parts: ServerParts, threads: AgentThreads) -> StreamableHTTPSessionManager:
    from sdcpp_rest.routes.mcp.server import build_sessions

    return build_sessions(parts, threads, MOST_SESSIONS)
