"""Asks the native library about this machine, in a process of its own: a library that cannot be loaded must not take
the command with it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdcpp_rest.config import Config
    from sdcpp_rest.engine.protocol import Ready

_PATIENCE_SECONDS = 60.0


def probe_engine(config: Config | None = None) -> Ready:
    """What an engine says when it starts: devices and features; the native library's, unless ``config`` says another.
    Raises EngineUnavailable."""
    from sdcpp_rest.engine.client import EngineClient
    from sdcpp_rest.engine.launchers import ProcessLauncher
    from sdcpp_rest.engine.worker_options import WorkerOptions

    runner = config.engine.runner if config is not None else "native"
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        log_path = str(Path(folder) / "engine.log")
        options = WorkerOptions(runner=runner, log_path=log_path, last_words_path=f"{folder}/words")
        client = EngineClient(ProcessLauncher(options))
        try:
            return client.wait_ready(_PATIENCE_SECONDS)
        finally:
            client.stop(5)
