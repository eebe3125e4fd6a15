"""Ray clusters on this machine, started by our own commands: each box has a loopback address and folders of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdcpp_rest.engine.remote.node_settings import SETTINGS_VARIABLE
from tests.e2e.conftest import ServerProcess

PATIENCE_SECONDS = 180.0
# Each of xdist's workers has a network of its own.
_NETWORK = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST_HOST = 30
_hosts = itertools.count(_FIRST_HOST)


def free_host() -> str:
    """A loopback address that no other box has."""
    return f"127.0.{_NETWORK}.{next(_hosts)}"


def free_port(host: str) -> int:
    with socket.socket() as trial:
        trial.bind((host, 0))
        return int(trial.getsockname()[1])


class Box:
    """A machine, as far as a cluster is concerned: an address, a data folder and a folder of models."""

    def __init__(self, folder: Path, runner: str = "fake") -> None:
        self.folder = folder
        self.host = free_host()
        self.runner = runner
        self.data = folder / "data"
        self.token = self.data / "cluster.token"

    def run(
        self, command: str, *arguments: str | Path, more: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``sdcpp-rest cluster`` with this box's folders; ``more``: for Ray's own command."""
        folders = [f"--{name}-dir={self.folder / name}" for name in ("data", "models", "output")]
        given = [
            *map(str, arguments),
            *folders,
            "--set",
            f"engine.runner={self.runner}",
            *(("--", *more) if more else ()),
        ]
        # To a file: what is started stays, and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            ran = subprocess.run(
                [sys.executable, "-m", "sdcpp_rest", "cluster", command, *given],
                env={**_own_environment(), **variables}, stdout=output, stderr=errors, timeout=PATIENCE_SECONDS,
                check=False,
            )  # fmt: skip
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(ran.args, ran.returncode, output.read(), errors.read())

    def join(
        self, head: Head, *arguments: str | Path, token: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        place = ("--host", self.host, "--token-file", token or head.token)
        return self.run("join", head.address, *place, *arguments, **variables)

    def processes(self) -> list[psutil.Process]:
        """Those that have this box's settings."""
        return find_processes(self.folder)


class Head(Box):
    """The box with a cluster's head."""

    def __init__(self, folder: Path, sessions: Path, runner: str = "fake") -> None:
        super().__init__(folder, runner)
        self.sessions = sessions
        self.port = free_port(self.host)
        self.address = f"{self.host}:{self.port}"

    def start(self, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """``more``: for Ray's own command."""
        place = ("--host", self.host, "--port", str(self.port))
        return self.run("start-head", *place, more=(f"--temp-dir={self.sessions}", *more), **variables)


class RayCluster:
    """Heads and nodes below one folder, which all end with it, however far their start has come."""

    def __init__(self, folder: Path, runner: str = "fake") -> None:
        self.folder = folder
        self.runner = runner
        # Sockets lie below, and their paths have to be short.
        self._sessions = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self._numbers = itertools.count(1)
        self.head = self.make_head()
        self.nodes: list[Box] = []

    def make_head(self) -> Head:
        return Head(self.folder / f"head{next(self._numbers)}", self._sessions, self.runner)

    def make_box(self) -> Box:
        return Box(self.folder / f"box{next(self._numbers)}", self.runner)

    def start(
        self,
        nodes: int,
        options: Callable[[Head], Sequence[str]] = lambda head: (),
        variables: Mapping[str, str] | None = None,
    ) -> RayCluster:
        """Start the head, and join so many nodes with one engine each, called ``node1`` and so on. ``options`` and
        ``variables``: for Ray's own command that starts the head."""
        ran = self.head.start(*options(self.head), **(variables or {}))
        assert ran.returncode == 0, ran.stderr
        self.nodes += [self.make_box() for _ in range(nodes)]

        def join(number: int) -> None:
            ran = self.nodes[number].join(self.head, "--name", f"node{number + 1}", "--engines", "1")
            assert ran.returncode == 0, ran.stderr

        # Beside each other: Ray's command mostly waits.
        with ThreadPoolExecutor(max_workers=max(1, nodes)) as starting:
            list(starting.map(join, range(nodes)))
        return self

    def server_settings(self) -> tuple[str, ...]:
        """The settings of a server that draws on this cluster alone."""
        return (
            f"cluster.address={self.head.address}", f"cluster.token_file={self.head.token}", "engines.devices=none",
            f"engine.runner={self.runner}",
        )  # fmt: skip

    def end(self) -> None:
        """End everything that has its settings from a folder of this cluster."""
        while left := find_processes(self.folder):
            for one in left:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            psutil.wait_procs(left, PATIENCE_SECONDS)
        shutil.rmtree(self._sessions, ignore_errors=True)


def find_processes(folder: Path) -> list[psutil.Process]:
    """The processes of nodes whose settings name a folder at or below ``folder``, and their children."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if f'"{folder}/' in process.environ().get(SETTINGS_VARIABLE, ""):
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    return list(found.values())


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """One head and two nodes, for all tests that end none of them."""
    made = RayCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made.start(nodes=2)
    finally:
        made.end()


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., RayCluster]]:
    """Make clusters that a test may do anything to: ``make_cluster(nodes=2, runner="native")``."""
    made: list[RayCluster] = []

    def make(nodes: int, runner: str = "fake", **head: Any) -> RayCluster:
        cluster = RayCluster(tmp_path / f"cluster{len(made)}", runner)
        made.append(cluster)
        return cluster.start(nodes, **head)

    yield make
    for cluster in made:
        cluster.end()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers that draw on a cluster: ``make_server(cluster, "key=value", ...)``."""
    servers: list[ServerProcess] = []

    def make(cluster: RayCluster, *settings: str) -> ServerProcess:
        server = ServerProcess(tmp_path / f"server{len(servers)}", *cluster.server_settings(), *settings)
        server.folder.mkdir()
        server.patience_seconds = PATIENCE_SECONDS
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop()
