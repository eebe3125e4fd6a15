"""The shell around the Flask application: sockets, WebSockets, body bounds, thread pools, start and stop.

One ASGI application serves both ports. It lets in whom `access` lets in, reads bodies, and hands each request to the
thread pool its view belongs to, so that views which wait never keep the others from answering. Knows no route by name
except through the marks on its view.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

from a2wsgi import WSGIMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from werkzeug.exceptions import HTTPException

from sdcpp_rest.core.events import ServerStatus
from sdcpp_rest.errors import EngineUnavailable, NotFound, SdcppRestError
from sdcpp_rest.routes.dialects import render_error
from sdcpp_rest.routes.http.answers import DEPARTURE, Departure, internal_error, pool_of, shorten
from sdcpp_rest.routes.native.server import websocket as stream
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.jobs.event_bus import Subscription
from sdcpp_rest.web.access import Asking, check_key, check_source, origin_allowed
from sdcpp_rest.web.app import create_app
from sdcpp_rest.web.bodies import ClientLeft, StreamedBody, check_announced, read_body

log = logging.getLogger(__name__)

WEBSOCKET_MAX_BYTES = 64 * 1024 * 1024

_BODY = "sdcpp_rest.body"
_KNOWN = "sdcpp_rest.known"
ABORT = "sdcpp_rest.abort"
_TRANSFER_THREADS = 32
_UPLOAD_THREADS = 8
_DRAWING_THREADS = 2
_CHUNK_BYTES = 256 * 1024
_MAILBOX_EVENTS = 1000
_CLOSE_SECONDS = 2.0
_STREAM_SILENCE_SECONDS = 10.0


class Shell:
    """The ASGI application.

    ``start_error``: what kept the runtime from starting, for whoever runs the server. ``blocking_in_flight``: calls
    that are waiting in the large pool. ``uploads_in_flight``: bodies that are being read as they come in.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._config = runtime.config
        self._flask = create_app(runtime)
        self._urls = self._flask.url_map.bind("localhost")
        server = self._config.server
        threads = {
            "short": server.short_threads,
            "blocking": server.blocking_threads,
            "transfer": _TRANSFER_THREADS,
            "upload": _UPLOAD_THREADS,
            "drawing": _DRAWING_THREADS,
        }
        # Cast, because a2wsgi and starlette spell the same ASGI types differently.
        self._pools = {
            name: cast(_WsgiPool, WSGIMiddleware(cast(Any, self._wsgi), workers=count))
            for name, count in threads.items()
        }
        self.blocking_in_flight = 0
        self.uploads_in_flight = 0
        self._http_app: ASGIApp = _Cors(self._http, runtime)
        self.start_error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            check_source(self._config, Asking.of(scope))
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send)
            else:
                await self._http_app(scope, receive, send)
        except SdcppRestError as error:
            await _send_error(scope, send, error)

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
        await asyncio.to_thread(self._runtime.stop)
        for pool in self._pools.values():
            pool.executor.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _beat(self) -> None:
        """Publish server_status for whoever listens."""
        while True:
            await asyncio.sleep(self._config.events.heartbeat_seconds)
            if not self._runtime.bus.subscriber_count:
                continue
            try:
                status = await asyncio.to_thread(self._runtime.status)
                self._runtime.bus.publish(ServerStatus(status=status))
            except Exception:  # one failed look must not end all heartbeats
                log.exception("server_status could not be published")

    # --- HTTP -------------------------------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._dispatch(scope, receive, note_send)
        except SdcppRestError as error:
            await _send_error(scope, send, error)
        except ClientLeft:
            pass
        except asyncio.CancelledError:
            # The server's patience with this request ended while it stops (a body that does not come, say).
            if not started:
                await _send_error(scope, send, EngineUnavailable("The server is stopping"))
        except Exception as error:  # a fault of the shell's own; views' faults are answered by Flask
            fault = internal_error(error, f"{scope['method']} {scope['path']!r}")
            if started:
                # Too late for an answer: a cut connection is the only honest signal that the body is not whole.
                raise
            await _send_error(scope, send, fault)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = check_key(self._config, Asking.of(scope))
        view = self._view_for(scope)
        pool = pool_of(view)
        if pool == "upload":
            await self._upload({**scope, _KNOWN: known}, receive, send)
            return
        if pool in ("blocking", "stream"):
            self._refuse_when_full()
        body = await read_body(scope, receive, self._config.limits.body_bytes)
        pool = pool_of(view, body)
        inner = {**scope, "headers": _headers_for(scope, body), _BODY: body, _KNOWN: known}
        if pool not in ("blocking", "stream"):
            await self._pools[pool](inner, receive, send)
            return
        # Looked at again, because others may have come while the body was read; from here on nothing is awaited.
        self._refuse_when_full()
        self.blocking_in_flight += 1
        try:
            if pool == "stream":
                await _EventStream(receive, send).run(self._pools["blocking"], inner)
            else:
                await self._pools[pool](inner, receive, send)
        finally:
            self.blocking_in_flight -= 1

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A view that reads its body as it comes in, on a thread of its own: gigabytes fit into no memory."""
        limit, setting = self._config.limits.upload_bytes, "limits.upload_bytes"
        check_announced(scope, limit, setting)
        if self.uploads_in_flight >= _UPLOAD_THREADS:
            raise EngineUnavailable(f"{self.uploads_in_flight} uploads are coming in already; try again later")
        body = StreamedBody(receive, asyncio.get_running_loop(), limit, setting)
        self.uploads_in_flight += 1
        try:
            await self._pools["upload"]({**scope, _BODY: body}, receive, send)
        finally:
            self.uploads_in_flight -= 1

    def _view_for(self, scope: Scope) -> Callable[..., Any] | None:
        try:
            endpoint, _ = self._urls.match(scope["path"], method=scope["method"])
        except HTTPException:
            return None
        return self._flask.view_functions.get(endpoint)

    def _refuse_when_full(self) -> None:
        if self.blocking_in_flight >= self._config.server.blocking_threads:
            raise EngineUnavailable(
                f"{self.blocking_in_flight} calls are waiting already (server.blocking_threads); try again shortly"
            )

    def _wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["asgi.scope"][_BODY]
        environ["wsgi.input"] = io.BytesIO(body) if isinstance(body, bytes) else body
        # The body knows its own end: one that comes in chunks has not announced it.
        environ["wsgi.input_terminated"] = True
        environ["wsgi.errors"] = sys.stderr
        answer = self._flask.wsgi_app(environ, start_response)
        return answer if DEPARTURE in environ["asgi.scope"] else _in_chunks(answer)

    # --- WebSockets -------------------------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        check_key(self._config, Asking.of(scope))
        if scope["path"] not in stream.PATHS:
            raise NotFound(f"No WebSocket here: {shorten(scope['path'])}")
        socket_ = WebSocket(scope, receive, send)
        await socket_.accept()
        with self._runtime.bus.subscribe(_MAILBOX_EVENTS) as mailbox:
            client = _StreamClient(socket_, mailbox, scope.get("extensions", {}).get(ABORT))
            status = await asyncio.to_thread(self._runtime.status)
            await client.run(stream.message_text(ServerStatus(status=status)))


class _WsgiPool(Protocol):
    """What we use of `WSGIMiddleware`."""

    executor: ThreadPoolExecutor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class _EventStream:
    """One answer of server-sent events: says something when the view does not, and tells it when the client leaves."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._departure = Departure()
        # Two coroutines send: a comment must not stand inside of an event.
        self._turn = asyncio.Lock()
        self._is_open = False
        self._spoke = asyncio.Event()

    async def run(self, pool: _WsgiPool, scope: Scope) -> None:
        beside = [asyncio.create_task(self._watch()), asyncio.create_task(self._keep_alive())]
        try:
            await pool({**scope, DEPARTURE: self._departure}, self._receive, self._say)
        finally:
            for work in beside:
                work.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            # Also when the server's patience ends: the thread must not wait on for nobody.
            self._departure.leave()

    async def _say(self, message: Message) -> None:
        async with self._turn:
            if message["type"] == "http.response.start":
                # An error has a length, into which no comment fits.
                self._is_open = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
            elif not message.get("more_body"):
                self._is_open = False
            self._spoke.set()
            await self._send(message)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._departure.leave()

    async def _keep_alive(self) -> None:
        """A comment now and then while a model thinks: proxies and clients give up on silent connections."""
        while True:
            self._spoke.clear()
            try:
                await asyncio.wait_for(self._spoke.wait(), _STREAM_SILENCE_SECONDS)
            except asyncio.TimeoutError:
                async with self._turn:
                    if self._is_open:
                        await self._send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})


class _StreamClient:
    """One listener of the native stream: a task that sends, one that hears, and a watch over the mailbox."""

    def __init__(self, socket_: WebSocket, mailbox: Subscription, abort: Callable[[], None] | None) -> None:
        self._socket = socket_
        self._mailbox = mailbox
        self._abort = abort
        self._arrived = asyncio.Event()
        self._overflowed = asyncio.Event()

    async def run(self, greeting: str) -> None:
        """Until the client leaves, or is too slow for events it must not miss."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # The loop may be closed already: the server stops, and the publisher must not suffer for it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._look)

        self._mailbox.on_ready(wake)
        works = [
            asyncio.create_task(self._send_events(greeting)),
            asyncio.create_task(self._hear()),
            asyncio.create_task(self._overflowed.wait()),
        ]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            results = await asyncio.gather(*works, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, (WebSocketDisconnect, OSError)):
                log.error("a WebSocket failed", exc_info=result)
        if self._mailbox.overflowed:
            await self._hang_up()

    def _look(self) -> None:
        self._arrived.set()
        if self._mailbox.overflowed:
            self._overflowed.set()

    async def _send_events(self, greeting: str) -> None:
        await self._socket.send_text(greeting)
        while True:
            self._arrived.clear()
            # One at a time, not all at once: what is still in the mailbox may be replaced by something newer.
            while (event := self._mailbox.get(0)) is not None:
                await self._socket.send_text(stream.message_text(event))
            await self._arrived.wait()

    async def _hear(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            reply = stream.answer_to(message.get("text") or "")
            if reply is not None:
                await self._socket.send_text(reply)

    async def _hang_up(self) -> None:
        """Say why; a client that does not even read that is cut off."""
        try:
            await asyncio.wait_for(
                self._socket.close(stream.TRY_AGAIN_LATER, "too slow for the events"), _CLOSE_SECONDS
            )
        except (asyncio.TimeoutError, RuntimeError, OSError):
            if self._abort is not None:
                self._abort()


class _Cors(CORSMiddleware):
    """CORS answers for the origins that `access` has let through."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        super().__init__(
            app,
            allow_methods=("*",),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=("Content-Disposition", "ETag", "Retry-After"),
        )
        self._config = runtime.config

    def is_allowed_origin(self, origin: str) -> bool:
        return origin_allowed(self._config, origin)


def _headers_for(scope: Scope, body: bytes) -> list[tuple[bytes, bytes]]:
    """The request's headers with the true length: a chunked body is not chunked any more."""
    headers = [
        (name, value) for name, value in scope["headers"] if name not in (b"content-length", b"transfer-encoding")
    ]
    return [*headers, (b"content-length", str(len(body)).encode())]


def _in_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """``parts`` in pieces of a size that is worth a hop between threads. A small answer leaves its thread in one piece,
    so that a client that reads slowly does not hold it."""
    try:
        gathered = bytearray()
        for part in parts:
            gathered += part
            if len(gathered) >= _CHUNK_BYTES:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()


async def _send_error(scope: Scope, send: Send, error: SdcppRestError) -> None:
    """An error that Flask never saw, in the same shape; to a WebSocket as the answer to its handshake."""
    status, named, body = render_error(scope["path"], error)
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in named]
    if status == 401 and _wants_html(scope):
        # Makes a browser ask for user and key; not offered to programs, or pages' own calls would pop that up too.
        headers.append((b"www-authenticate", b'Basic realm="sdcpp-rest", charset="UTF-8"'))
    headers.append((b"content-length", str(len(body)).encode()))
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else body})


def _wants_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
