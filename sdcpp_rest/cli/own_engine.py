"""Serves the API to one command from a runtime in this process, without sockets, on a data folder that is thrown away.

The model folders are the real ones: what is converted stays.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdcpp_rest.cli.server_access import ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.config import Config
    from sdcpp_rest.runtime import Runtime

_LOOK_SECONDS = 0.1


class OwnEngine(ServerAccess):
    """Calls the API of a started runtime in this process."""

    def __init__(self, runtime: Runtime) -> None:
        import httpx

        from sdcpp_rest.client import Client
        from sdcpp_rest.web.app import create_app

        super().__init__(Client(transport=httpx.WSGITransport(app=create_app(runtime))))
        self._runtime = runtime
        self.default_model = runtime.default_model or None

    def kept_at(self, name: str) -> str:
        return ""

    def pause(self, job_id: str) -> None:
        from sdcpp_rest.errors import WaitTimeout

        with contextlib.suppress(WaitTimeout):
            self._runtime.jobs.queue.wait(job_id, _LOOK_SECONDS)


@contextlib.contextmanager
def own_engine(config: Config) -> Iterator[OwnEngine]:
    """Start a runtime for one command, and stop it in the end."""
    from sdcpp_rest.runtime import Runtime

    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        paths = config.paths.model_copy(
            update={"data_dir": Path(folder), "output_dir": Path(folder) / "output", "log_dir": Path(folder) / "logs"}
        )
        runtime = Runtime(config.model_copy(update={"paths": paths}), is_server=False)
        runtime.start()
        try:
            click.echo("starting an engine of its own (no server is running here)", err=True)
            yield OwnEngine(runtime)
        finally:
            runtime.stop()
