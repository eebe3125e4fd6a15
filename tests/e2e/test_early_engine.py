"""The engine's process starts before the server knows whether it can: whatever becomes of that, none is left over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 60
_MARK = "SDCPP_TEST_MARK"


class Started:
    """A server's process, and all that it has started: they inherit a variable."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        folders = [part for name in ("data", "models", "output") for part in (f"--{name}-dir", str(folder / name))]
        settings = ["--set", "engine.runner=fake", "--set", "server.ws_port=0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sdcpp_rest", "serve", *folders, *settings, *arguments],
            env={**os.environ, _MARK: self.mark}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Its exit code and what it said, when it has ended."""
        _, said = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, said

    def left_over(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != self.process.pid and process.environ().get(_MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    all_started: list[Started] = []

    def make(*arguments: str) -> Started:
        all_started.append(Started(tmp_path, *arguments))
        return all_started[-1]

    yield make
    for started in all_started:
        if started.process.poll() is None:
            started.process.kill()
            started.process.communicate()


def test_port_that_is_taken_leaves_no_engine(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        started = start("--port", str(port))
        code, said = started.end()
    assert code == 1
    assert said.splitlines()[-1].startswith(
        f"sdcpp-rest: port {port} on 127.0.0.1 is in use by another program; choose"
    )
    assert started.left_over() == []


def test_setting_that_is_wrong_starts_no_engine(start: Start) -> None:
    started = start("--port", "0", "--set", "engine.n_threads=0.5")
    code, said = started.end()
    assert code == 1
    assert said.startswith("Error: "), said
    assert "engine.n_threads" in said
    assert started.left_over() == []


def test_folder_of_another_server_is_left_alone(start: Start, tmp_path: Path) -> None:
    first = start("--port", "0")
    assert first.process.stderr is not None
    for line in first.process.stderr:
        if "serves" in line:
            break
    logs = {path: path.stat().st_size for path in (tmp_path / "data" / "logs").iterdir()}
    second = start("--port", "0")
    code, said = second.end()
    assert code == 1
    assert "Another sdcpp-rest server is using the data folder" in said
    assert second.left_over() == []
    assert {path: path.stat().st_size for path in (tmp_path / "data" / "logs").iterdir()} == logs
    first.process.send_signal(signal.SIGTERM)
    assert first.end()[0] == 0
    assert first.left_over() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_server_that_is_ended_while_it_starts_leaves_no_engine(start: Start, number: signal.Signals) -> None:
    started = start("--port", "0")
    while not (engines := started.left_over()):
        assert started.process.poll() is None
    started.process.send_signal(number)
    started.end()
    psutil.wait_procs(engines, PATIENCE_SECONDS)
    assert started.left_over() == []


def test_server_without_engines_starts_none(start: Start) -> None:
    started = start("--port", "0", "--set", "engines.devices=none")
    assert started.process.stderr is not None
    for line in started.process.stderr:
        if "serves" in line:
            break
    assert started.left_over() == []
    started.process.send_signal(signal.SIGTERM)
    assert started.end()[0] == 0
