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
from tests.e2e.conftest import TIMEOUT, ServerProcess

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
    """A machine, as far as a cluster is concerned: an address, folders of data and of models, and one of Ray's own."""

    prefix: tuple[str, ...] = ()
    """What its commands begin with, where they do not run on this machine's own network."""

    def __init__(self, folder: Path, runner: str = "fake", sessions: Path | None = None) -> None:
        self.folder = folder
        self.sessions = sessions
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
                [*self.prefix, sys.executable, "-m", "sdcpp_rest", "cluster", command, *given],
                env={**_own_environment(), **variables}, stdout=output, stderr=errors, timeout=PATIENCE_SECONDS,
                check=False,
            )  # fmt: skip
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(ran.args, ran.returncode, output.read(), errors.read())

    def join(
        self,
        head: Head,
        *arguments: str | Path,
        token: Path | None = None,
        more: tuple[str, ...] = (),
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """``more``: for Ray's own command."""
        place = ("--host", self.host, "--token-file", token or head.token)
        if self.sessions is not None:
            more = (f"--temp-dir={self.sessions}", *more)
        return self.run("join", head.address, *place, *arguments, more=more, **variables)

    def processes(self) -> list[psutil.Process]:
        """Those that have this box's settings."""
        return find_processes(self.folder)


class Head(Box):
    """The box with a cluster's head."""

    def __init__(self, folder: Path, sessions: Path, runner: str = "fake") -> None:
        super().__init__(folder, runner, sessions)
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
        number = next(self._numbers)
        return Head(self.folder / f"head{number}", self._sessions / f"{number}", self.runner)

    def make_box(self) -> Box:
        number = next(self._numbers)
        return Box(self.folder / f"box{number}", self.runner, self._sessions / f"{number}")

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
        self.join(*(self.make_box() for _ in range(nodes)))
        return self

    def join(self, *boxes: Box, more: tuple[str, ...] = ()) -> None:
        """Have boxes join as the next nodes; ``more``: for Ray's own command."""

        def join_one(name: str, box: Box) -> None:
            ran = box.join(self.head, "--name", name, "--engines", "1", more=more)
            assert ran.returncode == 0, ran.stderr

        self.nodes += boxes
        names = [f"node{self.nodes.index(box) + 1}" for box in boxes]
        # Beside each other: Ray's command mostly waits.
        with ThreadPoolExecutor(max_workers=max(1, len(boxes))) as joining:
            list(joining.map(join_one, names, boxes))

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


def raylet_of(box: Box) -> int:
    return next(one.pid for one in box.processes() if one.name() == "raylet")


def small_disks(sizes: dict[Path, str]) -> tuple[str, ...]:
    """A prefix: a command, and what it starts, sees each of the folders on a disk of its own, of this size."""
    script = "".join(
        f"mkdir -p {folder}; mount -t tmpfs -o size={size} tmpfs {folder}; " for folder, size in sizes.items()
    )
    return ("unshare", "--mount", "sh", "-e", "-c", f'{script}exec "$@"', "sh")


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one of xdist's workers do all that shares a cluster: another one would start that again."""
    for item in items:
        for shared in ("cluster", "small"):
            if shared in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(shared))


@pytest.fixture(scope="session")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    prefix = small_disks({tmp_path_factory.mktemp("mount"): "1m"})
    try:
        ran = subprocess.run([*prefix, "true"], capture_output=True, timeout=TIMEOUT, check=False).returncode
    except OSError:
        ran = 1
    if ran and not os.environ.get("SDCPP_REST_NO_SKIPS"):
        pytest.skip("disks of a size cannot be made here: that needs root")


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
    """Make clusters that a test may do anything to: ``make_cluster(nodes=2, runner="native")``; none: not started."""
    made: list[RayCluster] = []

    def make(nodes: int | None = None, runner: str = "fake", **head: Any) -> RayCluster:
        cluster = RayCluster(tmp_path / f"cluster{len(made)}", runner)
        made.append(cluster)
        return cluster if nodes is None else cluster.start(nodes, **head)

    yield make
    for cluster in made:
        cluster.end()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers that draw on a cluster: ``make_server(cluster, "key=value", ...)``."""
    servers: list[ServerProcess] = []

    def make(cluster: RayCluster, *settings: str, prefix: tuple[str, ...] = ()) -> ServerProcess:
        folder = tmp_path / f"server{len(servers)}"
        server = ServerProcess(folder, *cluster.server_settings(), *settings, prefix=prefix)
        server.folder.mkdir(exist_ok=True)
        server.patience_seconds = PATIENCE_SECONDS
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop()
