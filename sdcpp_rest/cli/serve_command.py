"""Implements ``sdcpp-rest serve``, which runs the server in the foreground.

Knows the configuration and logging; sockets and signals are the business of `web.serving`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from sdcpp_rest.cli.command_options import config_options


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port for HTTP and /ws.")
@click.option("--ws-port", type=int, help="Second port, for WebSockets alone; 0 for none.")
@click.option(
    "--allow-public-without-auth", is_flag=True, default=None, help="Serve a public address without API keys."
)
@config_options
def serve(config_file: Path | None, overrides: tuple[str, ...], **options: Any) -> None:
    """Run the server until Ctrl-C."""
    from sdcpp_rest.config import load_config
    from sdcpp_rest.runtime import Runtime
    from sdcpp_rest.web.log_file import log_to_file, log_to_stderr
    from sdcpp_rest.web.serving import serve as serve_runtime

    config = load_config(config_file, overrides, **options)
    log_to_stderr()
    runtime = Runtime(config)
    # Only now is the data folder ours: another server's log is not written into.
    log_to_file(config)
    code = serve_runtime(runtime)
    # Everything is stopped and closed. Only a view that is stuck (a download nobody reads) may still hold its thread,
    # and the interpreter would wait for it for ever.
    logging.shutdown()
    os._exit(code)
