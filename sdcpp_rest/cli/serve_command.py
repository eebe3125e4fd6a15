"""Implements ``sdcpp-rest serve``, which runs the server in the foreground.

Knows the configuration and logging; sockets and signals are the business of `web.serving`.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.command_options import config_options
from sdcpp_rest.cli.serve_devices import describe_backend, start_telling

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port for HTTP and /ws.")
@click.option("--ws-port", type=int, help="Second port, for WebSockets alone; 0 for none.")
@click.option(
    "--allow-public-without-auth", is_flag=True, default=None, help="Serve a public address without API keys."
)
@click.option(
    "--cluster", metavar="ADDRESS", help="Draw on the nodes of a Ray cluster, too: its head's HOST:PORT, or auto."
)
@click.option("-v", "--verbose", is_flag=True, help="Log every detail.")
@click.option("-q", "--quiet", is_flag=True, help="Log warnings and errors only; say nothing at the start.")
@config_options
def serve(config_file: Path | None, overrides: tuple[str, ...], verbose: bool, quiet: bool, **options: Any) -> None:
    """Run the server until Ctrl-C.

    At the start it says on standard error where its page, its documentation and its pictures are, which model it
    has and what the native library was built for; the log follows there, and names the devices.
    """
    with _without_collections():
        from sdcpp_rest.config import load_config
        from sdcpp_rest.engine.engine_process import early_process

    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet contradict each other.")
    config = load_config(config_file, overrides, **options)
    # The engine's interpreter starts while this one imports the server.
    with early_process(config.engines.devices != "none") as process:
        with _without_collections():
            from sdcpp_rest.runtime import Runtime
            from sdcpp_rest.web.listening import explain_failed_start, listen
            from sdcpp_rest.web.log_file import log_to_file, log_to_stderr

        log_to_stderr(logging.WARNING if quiet else logging.INFO)
        if verbose:
            logging.getLogger("sdcpp_rest").setLevel(logging.DEBUG)
        runtime = Runtime(config, process=process)
        # Only now is the data folder ours: another server's log is not written into.
        log_to_file(config)
        sockets = listen(config.server)
        signal.signal(signal.SIGTERM, _leave)
        try:
            # The engine loads its model while this process imports what answers requests.
            try:
                runtime.start()
            except Exception as error:
                raise explain_failed_start(error) from None
            with _without_collections():
                from sdcpp_rest.web.serving import serve as serve_runtime

            def tell_start(url: str) -> None:
                if not quiet:
                    click.echo(describe_start(runtime, url), err=True)
                if config.engine.runner == "native":
                    start_telling(runtime.engine.supervisor)

            code = serve_runtime(runtime, tell_start, sockets)
        finally:
            # Done already, unless it ended before it served.
            runtime.stop()
    # Everything is stopped and closed. Only a view that is stuck (a download nobody reads) may still hold its thread,
    # and the interpreter would wait for it for ever.
    logging.shutdown()
    os._exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """Until the server hears SIGTERM itself: what has begun is stopped in order, as after Ctrl-C."""
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Import inside: looking for garbage among modules, which stay, took a tenth of the start. None is looked for among
    them later either."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def describe_start(runtime: Runtime, url: str) -> str:
    """Say in some lines what a server that has just started serves, and where."""
    selected = runtime.models.slot.selected
    model = selected.model.name if selected is not None else "none; POST /models/load chooses one"
    lines = {
        "page": f"{url}/",
        "docs": f"{url}/docs",
        "output": f"{runtime.config.paths.output_dir.absolute()}  ({url}/output)",
        "models": str(runtime.config.paths.models_dir.absolute()),
        "model": model,
    }
    if runtime.config.engine.runner == "native" and runtime.config.engines.devices != "none":
        lines["backend"] = describe_backend()
    return "\n".join([f"sdcpp-rest {runtime.version} serves", *(f"  {name:7} {text}" for name, text in lines.items())])
