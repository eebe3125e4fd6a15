"""Serves the Flask application over ASGI: sockets, WebSockets, body bounds, thread pools, start and stop.

One ASGI application serves both ports. It lets in whom `access` lets in, reads bodies, and hands each request to the
thread pool its view belongs to, so that views which wait never keep the others from answering. What is behind it sees
each request as its caller sent it, whatever proxies are between. Knows no route by name, only its view's marks.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdcpp_rest.config.auth_section import ANYBODY, ApiKey
from sdcpp_rest.config.auth_section import Scope as KeyScope
from sdcpp_rest.core.changes import begin_noting
from sdcpp_rest.core.events import ServerStatus
from sdcpp_rest.errors import (
    EngineUnavailable,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    SdcppRestError,
    TooManyAttempts,
    TooManyRequests,
)
from sdcpp_rest.routes.http.answers import KNOWN, internal_error, shorten
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect
from sdcpp_rest.routes.http.open_views import is_open
from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.routes.http.safe_retries import takes_key
from sdcpp_rest.routes.http.scopes import scope_of
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.web.access import AccessRequest, check_source
from sdcpp_rest.web.app import DIALECTS
from sdcpp_rest.web.applications import Applications
from sdcpp_rest.web.bodies import ClientLeft, StreamedBody, check_announced, read_body
from sdcpp_rest.web.caller import CALLER, Caller, apply_caller, see_caller
from sdcpp_rest.web.dated_answer import DatedAnswer
from sdcpp_rest.web.doorkeeper import Doorkeeper
from sdcpp_rest.web.encodings import ACCEPTED, decompressor_for
from sdcpp_rest.web.keyed_calls import KeyedCalls, call_name
from sdcpp_rest.web.mounts import Mounts
from sdcpp_rest.web.own_answers import answer_for_all, redirect_to_slash
from sdcpp_rest.web.request_log import AccessLog, RefusalLog
from sdcpp_rest.web.same_request import KEYED
from sdcpp_rest.web.waiting_calls import WaitingCalls
from sdcpp_rest.web.wsgi_pool import WsgiPool

log = logging.getLogger(__name__)

WEBSOCKET_MAX_BYTES = 64 * 1024 * 1024

_APPLICATION = "sdcpp_rest.application"
_BODY = "sdcpp_rest.body"
_STREAMS = "sdcpp_rest.streams"
_TRANSFER_THREADS = 32
_UPLOAD_THREADS = 8
_DRAWING_THREADS = 2
_CHUNK_BYTES = 256 * 1024


class Shell:
    """Answers ASGI calls: lets requests in, reads their bodies, hands them to the thread pool of their view.

    ``start_error``: what kept the runtime from starting, for whoever runs the server. ``uploads_in_flight``: bodies
    that are being read as they come in.
    """

    def __init__(self, runtime: Runtime, dialects: Sequence[Dialect | LateDialect] = DIALECTS) -> None:
        self._runtime = runtime
        self._config = runtime.config
        self._applications = Applications(runtime, dialects)
        server = self._config.server
        threads = {
            "short": server.short_threads,
            "blocking": server.blocking_threads,
            "transfer": _TRANSFER_THREADS,
            "upload": _UPLOAD_THREADS,
            "drawing": _DRAWING_THREADS,
        }
        self._pools = {name: WsgiPool(self._wsgi, count, _STREAMS) for name, count in threads.items()}
        self._calls = WaitingCalls(
            runtime.jobs.abandoned,
            limit=server.blocking_threads,
            early_seconds=server.blocking_keep_alive_seconds,
        )
        self._keyed = KeyedCalls(runtime.kept_answers)
        self._doorkeeper = Doorkeeper(runtime.config, runtime.logins)
        self.uploads_in_flight = 0
        self._cross_origin: ASGIApp | None = None
        self._refusals = RefusalLog()
        self._access_log = AccessLog() if server.access_log else None
        self.start_error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        began = time.perf_counter()
        answer, seen = DatedAnswer(send), scope
        try:
            caller = see_caller(self._config, scope)
            seen = apply_caller(scope, caller)
            application = await self._applications.at(seen["path"])
            spelled = application.dialects.spell_path(seen["path"])
            if spelled != seen["path"]:
                seen["path"], application = spelled, await self._applications.at(spelled)
            seen[_APPLICATION] = application
            check_source(self._config, AccessRequest.of(seen, caller))
            if scope["type"] == "websocket":
                await self._serve_socket(seen, receive, answer)
            else:
                await self._app_for(seen)(seen, receive, answer)
        except SdcppRestError as error:
            await self._send_error(seen, answer, error)
        finally:
            if self._access_log is not None:
                seconds = time.perf_counter() - began
                self._access_log.note(_method(seen), seen["path"], answer.status, seconds, _address(seen))

    @property
    def mounts(self) -> Mounts:
        """The applications that dialects mount."""
        return self._applications.mounts

    @property
    def blocking_in_flight(self) -> int:
        """How many calls wait in the large pool."""
        return self._calls.in_flight

    @property
    def listeners(self) -> int:
        """How many of those have a client that waits for the answer."""
        return self._calls.listeners

    # --- start and stop ---------------------------------------------------------------------------------------------

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.to_thread(self._runtime.start)
        except Exception as error:  # whoever started the server tells the user, in one sentence
            self.start_error = error
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        heartbeat = asyncio.create_task(self._beat())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        heartbeat.cancel()
        await self.mounts.stop()
        await asyncio.to_thread(self._runtime.stop)
        if self._access_log is not None:
            self._access_log.close()
        for pool in self._pools.values():
            pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _beat(self) -> None:
        """Publish server_status for whoever listens."""
        while True:
            await asyncio.sleep(self._config.events.heartbeat_seconds)
            if not self._runtime.jobs.bus.subscriber_count:
                continue
            try:
                status = await asyncio.to_thread(self._runtime.status.snapshot)
                self._runtime.jobs.bus.publish(ServerStatus(status=status))
            except Exception:  # one failed look must not end all heartbeats
                log.exception("server_status could not be published")

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def _app_for(self, scope: Scope) -> ASGIApp:
        if all(name != b"origin" for name, _ in scope["headers"]):
            return self._http
        if self._cross_origin is None:
            # Here, because only pages on other addresses need it.
            from sdcpp_rest.web.cross_origin import CrossOrigin

            self._cross_origin = CrossOrigin(self._http, self._config)
        return self._cross_origin

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._dispatch(scope, receive, note_send)
        except SdcppRestError as error:
            await self._send_error(scope, send, error)
        except ClientLeft:
            pass
        except asyncio.CancelledError:
            # The server's patience with this request ended while it stops (a body that does not come, say).
            if not started:
                await self._send_error(scope, send, EngineUnavailable("The server is stopping"))
        except Exception as error:  # a fault of the shell's own; views' faults are answered by Flask
            fault = internal_error(error, f"{scope['method']} {scope['path']!r}")
            if started:
                # Too late for an answer: a cut connection is the only honest signal that the body is not whole.
                raise
            await self._send_error(scope, send, fault)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller = scope[CALLER]
        if caller.is_bare_prefix and scope["method"] in ("GET", "HEAD") and _wants_html(scope):
            await redirect_to_slash(scope, send)
            return
        view = scope[_APPLICATION].view_at(scope["path"], scope["method"])
        needed = _scope_needed(scope, view) or self.mounts.scope_at(scope["path"]) or "read"
        known = self._admit(scope, needed, is_open(view, self._runtime.page, scope["headers"]))
        if scope["path"] == "*":
            await answer_for_all(scope, send)
            return
        mounted = self.mounts.app_at(scope["path"])
        if mounted is not None:
            body = await read_body(scope, receive, self._config.limits.body_bytes)
            await mounted(_below_prefix({**scope, KNOWN: known}, body), _replay(body, receive), send)
            return
        name = call_name(scope["headers"]) if takes_key(view) else None
        if name is not None:
            scope = {**scope, KEYED: name}
        pool = pool_of(view)
        if pool == "upload":
            await self._upload({**scope, KNOWN: known}, receive, send)
            return
        if pool in ("blocking", "stream"):
            self._calls.refuse_when_full(scope)
        body = await read_body(scope, receive, self._config.limits.body_bytes)
        pool = pool_of(view, body)
        inner = {**scope, "headers": _headers_for(scope, body), _BODY: body, KNOWN: known}
        inner[_STREAMS] = pool == "stream"
        serve = partial(self._serve_view, pool, inner, body)
        if name is None:
            await serve(lambda threads: threads, receive, send)
        else:
            await self._keyed.serve(inner, body, receive, send, serve)

    async def _serve_view(
        self, pool: str, scope: Scope, body: bytes, over: Callable[[ASGIApp], ASGIApp], receive: Receive, send: Send
    ) -> None:
        """Have the view called on the threads of ``pool``, which ``over`` may wrap."""
        if pool not in ("blocking", "stream"):
            await over(self._pools[pool])(scope, receive, send)
            return
        threads = over(self._pools["blocking"])
        await self._calls.serve(threads, scope, body, receive, send, may_stream=pool == "stream")

    def _admit(self, scope: Scope, needed: KeyScope, is_open_to_all: bool = False) -> ApiKey | None:
        if not self._config.auth.is_on:
            return ANYBODY
        cookie = scope[_APPLICATION].dialects.key_cookie_at(scope["path"])
        return self._doorkeeper.admit(AccessRequest.of(scope, scope[CALLER], cookie), needed, is_open_to_all)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A view that reads its body as it comes in, on a thread of its own: gigabytes fit into no memory."""
        limit, setting = self._config.limits.upload_bytes, "limits.upload_bytes"
        check_announced(scope, limit, setting)
        decompressor = decompressor_for(scope["headers"])
        if self.uploads_in_flight >= _UPLOAD_THREADS:
            raise EngineUnavailable(f"{self.uploads_in_flight} uploads are coming in already; try again later")
        body = StreamedBody(receive, asyncio.get_running_loop(), limit, setting, decompressor)
        if decompressor is not None:
            # Of the body that the view reads, nobody knows the length yet.
            scope = {**scope, "headers": _without(scope["headers"], b"content-length", b"content-encoding")}
        self.uploads_in_flight += 1
        try:
            await self._pools["upload"]({**scope, _BODY: body}, receive, send)
        finally:
            body.end()
            self.uploads_in_flight -= 1

    def _wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        scope = environ["asgi.scope"]
        body = scope[_BODY]
        environ["SCRIPT_NAME"] = scope[CALLER].prefix.encode("utf-8").decode("latin-1")
        environ["wsgi.input"] = io.BytesIO(body) if isinstance(body, bytes) else body
        # The body knows its own end: one that comes in chunks has not announced it.
        environ["wsgi.input_terminated"] = True
        environ["wsgi.errors"] = sys.stderr
        answer = scope[_APPLICATION].call(environ, start_response)
        return answer if scope.get(_STREAMS) else _in_chunks(answer)

    # --- WebSockets -------------------------------------------------------------------------------------------------

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = scope[_APPLICATION].dialects.socket_at(scope["path"].removesuffix("/") or "/")
        key = self._admit(scope, scope_of(handler) if handler is not None else "read")
        if handler is None:
            raise NotFound(f"No WebSocket here: {shorten(scope['path'])}")
        changes = begin_noting()
        try:
            await handler(self._runtime, scope, receive, send)
        finally:
            if changes:
                call = f"WebSocket {shorten(scope['path'])}"
                address = _address(scope)
                await asyncio.to_thread(self._runtime.audit.record, call, changes, key=key, address=address)

    # --- errors that Flask never sees --------------------------------------------------------------------------------

    async def _send_error(self, scope: Scope, send: Send, error: SdcppRestError) -> None:
        """An error that Flask never saw, in the same shape; to a WebSocket as the answer to its handshake."""
        if isinstance(error, NotAllowed | NotAuthenticated | TooManyAttempts | TooManyRequests):
            setting = " (auth.api_keys)" if isinstance(error, NotAuthenticated) else ""
            self._refusals.note(_method(scope), scope["path"], _address(scope), error.message + setting)
        dialects = await self._applications.dialects_at(scope["path"])
        status, named, body = dialects.render_error(scope["path"], error)
        headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in named]
        if status == 401 and _wants_html(scope):
            # Makes a browser ask for user and key; not offered to programs, or pages' own calls would pop that up too.
            headers.append((b"www-authenticate", b'Basic realm="sdcpp-rest", charset="UTF-8"'))
        if error.status == 415:
            headers.append((b"accept-encoding", ACCEPTED.encode()))
        headers.append((b"content-length", str(len(body)).encode()))
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await send({"type": f"{kind}.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else body})


def _headers_for(scope: Scope, body: bytes) -> list[tuple[bytes, bytes]]:
    """The request's headers for the body as it is now: of true length, and neither chunked nor compressed any more."""
    headers = _without(scope["headers"], b"content-length", b"transfer-encoding", b"content-encoding")
    return [*headers, (b"content-length", str(len(body)).encode())]


def _without(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in names]


def _below_prefix(scope: Scope, body: bytes) -> Scope:
    """``scope`` for an ASGI application below the caller's prefix: to ASGI, ``path`` has it, too."""
    prefix = scope[CALLER].prefix
    raw_path = quote(prefix).encode() + scope["raw_path"]
    path = prefix + scope["path"]
    return {**scope, "root_path": prefix, "path": path, "raw_path": raw_path, "headers": _headers_for(scope, body)}


def _scope_needed(scope: Scope, view: Callable[..., Any] | None) -> KeyScope | None:
    """What a key must be allowed to call ``view``; ``OPTIONS`` only asks."""
    return None if view is None or scope["method"] == "OPTIONS" else scope_of(view)


def _method(scope: Scope) -> str:
    return "WebSocket" if scope["type"] == "websocket" else str(scope["method"])


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that brings the whole body first, and then what the client does (that is, that it leaves)."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _in_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """``parts`` in pieces of a size that is worth a hop between threads. A small answer leaves its thread in one piece,
    so that a client that reads slowly does not hold it."""
    try:
        gathered = bytearray()
        for part in parts:
            if len(part) >= _CHUNK_BYTES and not gathered:
                yield part
                continue
            gathered += part
            if len(gathered) >= _CHUNK_BYTES:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)
    finally:
        getattr(parts, "close", lambda: None)()


def _wants_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
