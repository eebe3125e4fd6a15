"""Serves the API to one command from a runtime in this process, without sockets, on a data folder that is thrown away.

The model folders are the real ones: what is converted stays.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from sdcpp_rest.cli.server_access import ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.config import Config
    from sdcpp_rest.runtime import Runtime

_LOOK_SECONDS = 0.1


class Interrupts:
    """Keeps Ctrl-C until the command looks at its job again.

    The runtime works in this very thread. A KeyboardInterrupt that is raised wherever the signal comes may fall into a
    destructor, where Python swallows it and the command waits for ever, or between a job and its id. Whoever presses
    it twice gets it at once.
    """

    def __init__(self) -> None:
        self._is_kept = False

    @contextlib.contextmanager
    def keep(self) -> Iterator[Interrupts]:
        """Keep them inside; only where Python would raise them."""
        is_raised_here = threading.current_thread() is threading.main_thread()
        if not is_raised_here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield self
            return
        signal.signal(signal.SIGINT, self._remember)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._is_kept:
            raise KeyboardInterrupt
        self._is_kept = True

    def look(self) -> None:
        """Raise KeyboardInterrupt if there was one, once."""
        if self._is_kept:
            self._is_kept = False
            raise KeyboardInterrupt


class OwnEngine(ServerAccess):
    """Calls the API of a started runtime in this process."""

    def __init__(self, runtime: Runtime, interrupts: Interrupts) -> None:
        import httpx

        from sdcpp_rest.client import Client
        from sdcpp_rest.web.app import create_app

        super().__init__(Client(transport=httpx.WSGITransport(app=create_app(runtime))))
        self._runtime = runtime
        self._interrupts = interrupts
        self.default_model = runtime.default_model or None

    def kept_at(self, name: str) -> str:
        return ""

    def pause(self, job_id: str) -> None:
        from sdcpp_rest.errors import WaitTimeout

        with contextlib.suppress(WaitTimeout):
            self._runtime.jobs.queue.wait(job_id, _LOOK_SECONDS)
        self._interrupts.look()


@contextlib.contextmanager
def own_engine(config: Config) -> Iterator[OwnEngine]:
    """Start a runtime for one command, and stop it in the end."""
    from sdcpp_rest.runtime import Runtime

    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        paths = config.paths.model_copy(
            update={"data_dir": Path(folder), "output_dir": Path(folder) / "output", "log_dir": Path(folder) / "logs"}
        )
        runtime = Runtime(config.model_copy(update={"paths": paths}), is_server=False)
        with Interrupts().keep() as interrupts:
            runtime.start()
            try:
                click.echo("starting an engine of its own (no server is running here)", err=True)
                yield OwnEngine(runtime, interrupts)
            finally:
                runtime.stop()
