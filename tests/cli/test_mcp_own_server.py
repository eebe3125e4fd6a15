"""When ``sdcpp-rest mcp`` believes that no server comes up. Clock, process and server are pretended."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from sdcpp_rest.cli import mcp_command
from tests.routes.conftest import make_config

URL = "http://127.0.0.1:8080"


class Machine:
    """A clock that moves when somebody sleeps, a server that answers from ``ready_at`` on, and a process of our own
    that ends at ``ended_at``."""

    def __init__(self, ready_at: float, ended_at: float = 1e9) -> None:
        self.now, self.ready_at, self.ended_at = 0.0, ready_at, ended_at
        self.suspended_for = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.suspended_for
        self.suspended_for = 0.0

    def running_server(self, config: Any) -> str | None:
        return URL if self.now >= self.ready_at else None

    def poll(self) -> int | None:
        return 1 if self.now >= self.ended_at else None

    def find(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(mcp_command, "time", self)
        monkeypatch.setattr(mcp_command, "running_server", self.running_server)
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: self)
        return mcp_command._OwnServer(make_config(folder), []).find()


def test_a_server_that_came_up_while_the_command_was_suspended_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(ready_at=2.0)
    machine.suspended_for = 600.0
    assert machine.find(tmp_path, monkeypatch) == URL


def test_a_server_of_another_command_is_waited_for_longer_on_a_busy_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Machine(ready_at=15.0, ended_at=6.0).find(tmp_path, monkeypatch) == URL


def test_a_server_that_cannot_start_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(ready_at=1e9, ended_at=0.5)
    with pytest.raises(click.ClickException, match="none could be started"):
        machine.find(tmp_path, monkeypatch)
    assert machine.now < 5


def test_a_server_that_never_answers_is_given_up_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(ready_at=1e9)
    with pytest.raises(click.ClickException, match="none could be started"):
        machine.find(tmp_path, monkeypatch)
    assert 60 <= machine.now < 61
