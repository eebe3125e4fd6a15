"""Commands as a user types them, on folders of their own: with a real server on a loopback port, or with none."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sdcpp_rest.cli import main, own_engine, running_server
from sdcpp_rest.cli.own_engine import OwnEngine
from sdcpp_rest.cli.running_server import RunningServer
from sdcpp_rest.cli.server_access import ServerAccess
from tests.routes.conftest import House, ServedHouse, make_config

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that wait for a job look for its end more often."""
    for module in (own_engine, running_server):
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def run() -> Run:
    """Run a command: its arguments to its result."""

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def alone(tmp_path: Path) -> tuple[str, ...]:
    """Options of a command that finds no server and has an engine that computes nothing."""
    folders = [f"--{name}-dir={tmp_path / 'alone' / name}" for name in ("data", "models", "output")]
    return ("--set", "engine.runner=fake", *folders)


@pytest.fixture
def make_served(tmp_path: Path) -> Iterator[Callable[..., ServedHouse]]:
    """Serve houses on loopback ports, with ``section={...}`` settings."""
    with contextlib.ExitStack() as opened:
        count = iter(range(1000))

        def make(**sections: dict[str, Any]) -> ServedHouse:
            house = House(make_config(tmp_path / f"house{next(count)}", **sections))
            opened.callback(house.close)
            served = ServedHouse(house)
            opened.callback(served.stop)
            return served.start()

        yield make


@pytest.fixture
def served(make_served: Callable[..., ServedHouse]) -> ServedHouse:
    return make_served()


def beside(served: ServedHouse) -> tuple[str, ...]:
    """Options of a command that finds that server by its data folder."""
    paths = served.runtime.config.paths
    return ("--data-dir", str(paths.data_dir), "--models-dir", str(paths.models_dir))


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Ctrl-C as soon as a command sees its job run. Yields the ids of the jobs that it was pressed at."""
    pressed: list[str] = []

    def with_ctrl_c(pause: Callable[[Any, str], None]) -> Callable[[ServerAccess, str], None]:
        def paused(server: ServerAccess, job_id: str) -> None:
            if server.client.show_job(job_id)["status"] == "processing":
                pressed.append(job_id)
                signal.raise_signal(signal.SIGINT)
            pause(server, job_id)

        return paused

    for kind in (OwnEngine, RunningServer):
        monkeypatch.setattr(kind, "pause", with_ctrl_c(kind.pause))
    # A shell has what it starts with & ignore the signal, and the command would wait for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield pressed
    signal.signal(signal.SIGINT, before)
