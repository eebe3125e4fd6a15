"""Runs the ASGI shell: sockets that are bound beforehand, one uvicorn server over both, signals, server.json.

Knows uvicorn; knows nothing of what a request means.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from sdcpp_rest.core.job import utc_now
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.web.asgi import WEBSOCKET_MAX_BYTES, Shell
from sdcpp_rest.web.half_closed import PEER, BegunAnswer, Peer
from sdcpp_rest.web.listening import BACKLOG, explain_failed_start, listen

log = logging.getLogger(__name__)

SERVER_FILE = "server.json"
# asyncio accepts this many connections in a row before it looks at any, and does so several times before the surplus
# ones are closed again: that must fit into the reserve.
_ACCEPTED_AT_ONCE = 32
_SILENCE_SECONDS = 30.0
# Files, pipes and the database need some, whoever is connected; so do connections that are about to be refused.
_RESERVED_FILES = 300


class _JsonHttp(H11Protocol):
    """Refuses in JSON the HTTP that is too broken for any application to see; who says nothing, or is one too many, is
    hung up on. Who has closed its half of the connection gets its answer, if it is there to read it."""

    max_connections = 1000
    """Below the process's limit of open files: without one left, it could not even accept, and would answer nobody."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = Peer(self.loop)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._silence = self.loop.call_later(_SILENCE_SECONDS, self._hang_up_on_silence)

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "_silence"):
            self._silence.cancel()
        self._peer.close()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        scope = cast(dict[str, Any] | None, self.scope)
        if scope is not None:
            # Its application is called by the next turn of the loop.
            scope.setdefault("extensions", {})[PEER] = self._peer

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection while its request waits for the answer. Once that has begun, the end means what it mostly
        means, or a silent stream of events would notice it too late."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.more_body or cycle.response_started:
            return False
        if not isinstance(cycle.transport, BegunAnswer):
            cycle.keep_alive = False
            begun = BegunAnswer(self.transport)
            cycle.transport = cast(asyncio.Transport, begun)
            self._peer.begin_doubt(begun)
        return True

    def _hang_up_on_silence(self) -> None:
        """A connection that has not brought a whole request head by now never will; later ones have keep-alive's."""
        cycle: object | None = self.cycle
        # A WebSocket has taken the connection over: it is somebody else's now, and may be silent for days.
        is_ours = self.transport.get_protocol() is self
        if cycle is None and is_ours:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        import h11

        body = json_text({"error": msg, "code": "invalid_request"}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"date", formatdate(usegmt=True).encode()),
        ]
        try:
            parts = [
                self.conn.send(h11.Response(status_code=400, headers=[*headers, (b"connection", b"close")])),
                self.conn.send(h11.Data(data=body)),
                self.conn.send(h11.EndOfMessage()),
            ]
            self.transport.write(b"".join(part for part in parts if part))
        except h11.LocalProtocolError:
            # The rest of a request whose answer has begun is broken: nothing can be said on this connection any more.
            pass
        self.transport.close()


def _make_websocket(*args: Any, **more: Any) -> Any:
    """The protocol of one WebSocket, which few servers' first client speaks: its library is imported by that."""
    from sdcpp_rest.web.websocket_protocol import AbortableWebSocket

    return AbortableWebSocket(*args, **more)


class Server(uvicorn.Server):
    """Runs one uvicorn server for both sockets, with our one signal handler.

    The first SIGINT or SIGTERM stops in order: blocked callers are released, answers in progress are finished, then the
    runtime stops. The second one leaves at once; the queue survives that, too.
    """

    def __init__(self, shell: Shell, runtime: Runtime) -> None:
        server = runtime.config.server
        super().__init__(
            uvicorn.Config(
                shell,
                host=server.host,
                port=server.port,
                loop="asyncio",
                http=_JsonHttp,
                ws=cast(Any, _make_websocket),
                ws_max_size=WEBSOCKET_MAX_BYTES,
                # Previews are JPEGs: compressing them again costs time that the engine could use.
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # The shell sees to it that there is one: uvicorn's would come beside those of the views.
                date_header=False,
                backlog=_ACCEPTED_AT_ONCE,
                timeout_keep_alive=server.keep_alive_seconds,
                timeout_graceful_shutdown=max(1, int(runtime.config.engine.stop_timeout_seconds)),
            )
        )
        self._shell = shell
        self._runtime = runtime
        self._server_file: Path | None = None
        self.on_listening: Callable[[str], None] = lambda url: None
        """Called with the URL as soon as it is answered at."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            for bound in sockets:
                # uvicorn has set the kernel's queue to what asyncio may accept at once; people may still queue up.
                bound.listen(BACKLOG)
            self._server_file = self._tell_where(sockets)
            log.info("listening on %s", ", ".join(_url(bound) for bound in sockets))
            self.on_listening(_url(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.remove_server_file()
        # First of all: whoever waits for a job or a model would keep its connection, and so the shutdown, waiting.
        await asyncio.to_thread(self._runtime.begin_stop)
        await self._shell.mounts.stop()
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.remove_server_file()
            os._exit(128 + sig)
        # No more than a flag: this code interrupts the main thread anywhere, maybe while it holds a lock we would need.
        self.should_exit = True

    def _tell_where(self, sockets: list[socket.socket]) -> Path | None:
        try:
            return _write_server_file(self._runtime, sockets)
        except OSError as error:
            log.warning("%s could not be written: %s", SERVER_FILE, error)
            return None

    def remove_server_file(self) -> None:
        if self._server_file is not None:
            self._server_file.unlink(missing_ok=True)


def serve(
    runtime: Runtime,
    on_listening: Callable[[str], None] | None = None,
    sockets: list[socket.socket] | None = None,
) -> int:
    """Answer on the configured ports until told to stop; the process's exit code. Call it on the main thread.
    ``on_listening`` is called once, with the server's URL. ``sockets``: those of `listen`, if there are any yet.

    Raises SystemExit with one sentence when a port is taken or the runtime cannot start.
    """
    if sockets is None:
        sockets = listen(runtime.config.server)
    _JsonHttp.max_connections = max(50, _raise_file_limit() - _RESERVED_FILES)
    shell = Shell(runtime)
    server = Server(shell, runtime)
    if on_listening is not None:
        server.on_listening = on_listening
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.addFilter(_without_start_noise)
    try:
        server.run(sockets=sockets)
    except SystemExit:
        if shell.start_error is None:
            raise
        raise explain_failed_start(shell.start_error) from None
    finally:
        uvicorn_log.removeFilter(_without_start_noise)
        for bound in sockets:
            bound.close()
    return 0


def _raise_file_limit() -> int:
    """How many files this process may have open, after asking for as many as it may have."""
    if sys.platform == "win32":
        return 8192
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def _write_server_file(runtime: Runtime, sockets: list[socket.socket]) -> Path:
    """Tell command-line tools of this machine where the server of this data folder listens."""
    # The same ports on another address are nothing to tell.
    own = sockets[0].getsockname()[0]
    ports = [bound.getsockname()[1] for bound in sockets if bound.getsockname()[0] == own]
    path = runtime.config.paths.data_dir / SERVER_FILE
    temporary = path.with_suffix(".json.part")
    record = {
        "pid": os.getpid(),
        "host": runtime.config.server.host,
        "port": ports[0],
        "ws_port": ports[1] if len(ports) > 1 else None,
        "url": _url(sockets[0]),
        "version": runtime.version,
        "started_at": utc_now().isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def _url(bound: socket.socket) -> str:
    """How this machine reaches a socket of ours."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _without_start_noise(record: logging.LogRecord) -> bool:
    # The reason is told in one sentence when the server ends; this line would only stand in front of it.
    return "startup failed" not in record.getMessage()
