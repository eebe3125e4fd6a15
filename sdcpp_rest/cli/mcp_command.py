"""Implements ``sdcpp-rest mcp``: the server's tools for AI agents that start a command and speak over its standard
input and output.

Finds the server of the data folder or starts one, which ends with this command. Nothing but the protocol goes to
standard output; `mcp_proxy` carries it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.command_options import config_options
from sdcpp_rest.cli.running_server import running_server

if TYPE_CHECKING:
    from sdcpp_rest.config import Config

_LOOK_SECONDS = 0.1
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LAST_LOOK_SECONDS, _LAST_LOOK_SHARE = 3.0, 3.0


@click.command()
@click.option("--url", help="Server to use; default: ours if it runs, else one of this command's own.")
@click.option("--api-key", envvar="SDCPP_REST_API_KEY", help="Key for a server that asks for one.")
@config_options
def mcp(
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    data_dir: Path | None,
    models_dir: Path | None,
    output_dir: Path | None,
) -> None:
    """Serve the tools for AI agents (MCP) on standard input and output, for clients that start a command.

    Clients that take an address need no command: it is http://127.0.0.1:8080/mcp.
    """
    # Here, because every command imports this module.
    import asyncio

    from sdcpp_rest.config import load_config

    folders = {"data_dir": data_dir, "models_dir": models_dir, "output_dir": output_dir}
    config = load_config(config_file, overrides, **folders)
    if url is None and not api_key:
        # Only for our own server: a secret of the configuration is not shown to any other.
        api_key = config.auth.own_key
    # Until there is a loop to hear it: a server that was started must not stay behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    own = _OwnServer(config, _serve_arguments(config_file, overrides, folders)) if url is None else None
    try:
        found = own.find() if own is not None else str(url).rstrip("/")
        asyncio.run(_forward(found, own, (api_key or "").rpartition(":")[2]))
    finally:
        if own is not None:
            own.stop()
    # The thread that reads standard input may still wait for a line, and nothing else is left to do.
    sys.stdout.flush()
    os._exit(0)


async def _forward(url: str, own: _OwnServer | None, key: str) -> None:
    import asyncio

    from sdcpp_rest.cli.mcp_proxy import McpProxy

    async def find() -> str:
        return url if own is None else await asyncio.to_thread(own.find)

    def write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    await McpProxy(url, find, write, key).run(_read_lines())


async def _read_lines() -> AsyncIterator[bytes]:
    """Lines of standard input until it ends, or until somebody asks this process to end."""
    import asyncio

    loop, waiting = asyncio.get_running_loop(), asyncio.Queue[bytes](maxsize=0)
    with contextlib.suppress(NotImplementedError):  # Windows
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, waiting.put_nowait, b"")

    def read() -> None:
        with contextlib.suppress(RuntimeError, ValueError, OSError):  # the loop or the stream is closed
            while True:
                line = sys.stdin.buffer.readline()
                loop.call_soon_threadsafe(waiting.put_nowait, line)
                if not line:
                    return

    # Not one of the loop's own threads: it would wait for this one to end.
    threading.Thread(target=read, name="stdin", daemon=True).start()
    while line := await waiting.get():
        yield line


class _OwnServer:
    """Finds the server of a data folder, and starts one where none runs."""

    def __init__(self, config: Config, arguments: Sequence[str]) -> None:
        self._config = config
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def find(self) -> str:
        """The URL of the server, once it answers. Raises ClickException where none can be started."""
        url = running_server(self._config)
        if url is not None:
            return url
        self.stop()
        command = [sys.executable, "-m", "sdcpp_rest", "serve", *self._arguments]
        # A group of its own: a Ctrl-C is for this command, which ends the server in order.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True
        )
        began = time.monotonic()
        until, ended = began + _START_SECONDS, False
        while True:
            # Before the look: this process may have been suspended, or got no time, while the server came up.
            is_late = time.monotonic() >= until
            url = running_server(self._config)
            if url is not None:
                return url
            if is_late:
                raise click.ClickException("no server runs, and none could be started; see above for the reason")
            if not ended and self._process.poll() is not None:
                # Perhaps another command was quicker, and has the folder: its server comes up, on a busy machine as
                # slowly as this one found that out.
                ended, now = True, time.monotonic()
                until = min(until, now + max(_LAST_LOOK_SECONDS, _LAST_LOOK_SHARE * (now - began)))
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End the server that was started here, if any. Idempotent."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serve_arguments(config_file: Path | None, overrides: Sequence[str], folders: dict[str, Any]) -> list[str]:
    """The options of `sdcpp-rest serve` that mean the same configuration."""
    found = [] if config_file is None else ["--config", str(config_file)]
    for override in overrides:
        found += ["--set", override]
    for name, folder in folders.items():
        if folder is not None:
            found += [f"--{name.replace('_', '-')}", str(folder)]
    return found
