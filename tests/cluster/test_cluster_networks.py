"""Cables between the machines of a cluster that are pulled, slow, or bad cost no job.

Needs root, and SDCPP_NETNS=1: the machines are network namespaces, joined by cables to a switch (`networks`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.conftest import PATIENCE_SECONDS, Box, Head, RayCluster
from tests.cluster.networks import Machine, Network
from tests.cluster.test_cluster_failures import assert_drawn_once, begin, node_of, wait_engines
from tests.e2e.conftest import ServerProcess

pytestmark = [
    pytest.mark.cluster,
    # They share a cluster.
    pytest.mark.xdist_group("networks"),
    pytest.mark.skipif(os.environ.get("SDCPP_NETNS") != "1", reason="SDCPP_NETNS=1 has these tests run"),
    pytest.mark.skipif(
        sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0,
        reason="making network namespaces needs Linux and root",
    ),
]

_HEALTH_SECONDS = 5.0
"""How long the head waits for a node's answer, before it is lost."""


class Site(RayCluster):
    """A cluster whose machines have networks of their own."""

    def __init__(self, folder: Path) -> None:
        self.network = Network()
        self._machines: dict[str, Machine] = {}
        super().__init__(folder)

    def machine_of(self, box: Box) -> Machine:
        return self._machines[box.host]

    def make_head(self) -> Head:
        head = super().make_head()
        self._place(head)
        head.port = 6379
        head.address = f"{head.host}:{head.port}"
        return head

    def make_box(self) -> Box:
        box = super().make_box()
        self._place(box)
        return box

    def _place(self, box: Box) -> None:
        machine = self.network.add()
        box.host, box.prefix = self.network.host_of(machine), machine.prefix
        self._machines[box.host] = machine

    def pull(self, box: Box) -> None:
        self.network.pull(self.machine_of(box))

    def plug(self, box: Box) -> None:
        self.network.plug(self.machine_of(box))

    def cut_until_felt(self, box: Box, times: int = 3) -> None:
        """Pull a machine's cable, and plug it in again when that machine has sent something so many times in vain."""
        machine = self.machine_of(box)
        before = machine.count_resent()
        self.pull(box)
        pulled_at = time.monotonic()
        while machine.count_resent() < before + times:
            assert time.monotonic() < pulled_at + PATIENCE_SECONDS
        self.plug(box)
        assert time.monotonic() < pulled_at + _HEALTH_SECONDS

    def end(self) -> None:
        self.network.end()
        super().end()


class Visited:
    """A server on one of the machines, whose network this thread is on as long as it is there."""

    def __init__(self, site: Site, box: Box, folder: Path, *settings: str) -> None:
        machine = site.machine_of(box)
        folder.mkdir()
        self.process = ServerProcess(folder, *site.server_settings(), *settings, prefix=machine.prefix)
        self.process.patience_seconds = PATIENCE_SECONDS
        self._entered = machine.entered()
        self._entered.__enter__()

    def leave(self) -> None:
        self._entered.__exit__(None, None, None)
        if self.process.process is not None:
            # What has started it on that machine passes no signals on.
            for one in psutil.Process(self.process.process.pid).children():
                one.terminate()
        self.process.stop()


MakeSite = Callable[..., Site]
Visit = Callable[..., ServerProcess]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """``make_site(nodes=2)``"""
    made: list[Site] = []

    def make(nodes: int) -> Site:
        made.append(Site(tmp_path / f"site{len(made)}"))
        made[-1].start(nodes)
        return made[-1]

    yield make
    for site in made:
        site.end()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A head and two nodes, for the tests that lose none."""
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made.start(nodes=2)  # type: ignore[misc]
    finally:
        made.end()


@pytest.fixture
def visit(tmp_path: Path, make_site: MakeSite) -> Iterator[Visit]:
    """``visit(site, box)`` starts a server on that machine, by default the head."""
    made: list[Visited] = []

    def start(site: Site, box: Box | None = None, *settings: str) -> ServerProcess:
        made.append(Visited(site, box or site.head, tmp_path / f"server{len(made)}", *settings))
        return made[-1].process.start()

    yield start
    for one in made:
        one.leave()


def engine_processes(box: Box) -> list[psutil.Process]:
    """The engines on a machine."""
    return [one for one in box.processes() if "sdcpp_rest.engine.process_entry" in " ".join(one.cmdline())]


def join_again(site: Site, box: Box, name: str) -> None:
    """What its owner does with a machine that was lost."""
    assert box.run("stop").returncode == 0
    ran = box.join(site.head, "--name", name, "--engines", "1")
    assert ran.returncode == 0, ran.stderr


def test_short_cuts_cost_nothing(site: Site, visit: Visit) -> None:
    server = visit(site)
    wait_engines(server, 2)
    job_id, engine = begin(server, steps=60)
    for box in (node_of(site, engine), site.head, node_of(site, engine)):
        site.cut_until_felt(box)
    assert_drawn_once(server, [job_id])
    assert server.job(job_id)["engine"] == engine["name"]
    wait_engines(server, 2)


@pytest.mark.parametrize(
    "weather",
    ["netem delay 50ms 10ms loss 1%", "netem delay 200ms", "tbf rate 4mbit burst 32kbit latency 400ms"],
)
def test_slow_and_bad_cables_cost_only_time(site: Site, visit: Visit, weather: str) -> None:
    box = site.nodes[0]
    if why := site.network.shape(site.machine_of(box), *weather.split()):
        pytest.skip(f"this kernel has no {weather.split()[0]}: {why}")
    try:
        server = visit(site)
        wait_engines(server, 2)
        fields = {"width": 512, "height": 512, "steps": 4}
        jobs = {seed: server.submit("fake:step=0.05", seed=seed, **fields) for seed in range(8)}
        assert_drawn_once(server, list(jobs.values()))
        assert {server.job(job_id)["engine"] for job_id in jobs.values()} == {"node1:0", "node2:0"}
    finally:
        site.network.shape(site.machine_of(box), "pfifo")


def test_a_node_that_is_cut_off_for_good_is_replaced_and_its_work_lands_nowhere(
    make_site: MakeSite, visit: Visit
) -> None:
    site = make_site(nodes=2)
    server = visit(site)
    wait_engines(server, 2)
    job_id, engine = begin(server, steps=60)
    box = node_of(site, engine)
    (working,) = engine_processes(box)
    site.pull(box)
    assert_drawn_once(server, [job_id])
    assert server.job(job_id)["engine"] != engine["name"]
    picture = server.picture(job_id)
    wait_engines(server, 1)
    site.plug(box)
    # Until then it may still have sent something.
    psutil.wait_procs([working], PATIENCE_SECONDS)
    assert not working.is_running()
    assert_drawn_once(server, [job_id])
    assert server.picture(job_id) == picture
    join_again(site, box, engine["name"].partition(":")[0])
    wait_engines(server, 2)


def test_a_head_that_is_cut_off_blames_no_job(make_site: MakeSite, visit: Visit) -> None:
    site = make_site(nodes=2)
    server = visit(site, site.head, "queue.max_requeues=0")
    wait_engines(server, 2)
    job_id, _ = begin(server, steps=60)
    site.pull(site.head)
    wait_engines(server, 0)
    site.plug(site.head)
    for number, box in enumerate(site.nodes, 1):
        join_again(site, box, f"node{number}")
    assert_drawn_once(server, [job_id])
    wait_engines(server, 2)


def test_a_server_that_is_cut_off_from_the_head_goes_on_when_it_is_back(
    make_site: MakeSite, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A minute by default, after which Ray ends the process that asks.
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    site = make_site(nodes=2)
    own = site.nodes[0]
    server = visit(site, own)
    wait_engines(server, 2)
    assert server.post("/engines/nodes/node1/drain").ok
    (engine,) = wait_engines(server, 1)
    assert engine["name"] == "node2:0"
    job_id = server.submit("fake:step=0.1", steps=60, width=64, height=64)
    server.wait_running(job_id)
    site.cut_until_felt(own)
    assert server.wait_running(job_id)["status"] == "processing"
    site.pull(own)
    server.until(lambda: server.get("/health"), lambda health: health["status"] == "degraded")
    later = server.submit("fake:step=0.01", steps=2, width=64, height=64)
    site.plug(own)
    join_again(site, own, "node1")
    assert_drawn_once(server, [job_id, later])
    assert server.get("/health")["status"] == "ok"


def test_nothing_is_left_of_a_network() -> None:
    network = Network()
    machine = network.add()
    inside = machine.run("readlink", "/proc/self/ns/net")
    asleep = subprocess.Popen([*machine.prefix, "sleep", "infinity"])
    network.end()
    assert asleep.wait(PATIENCE_SECONDS)
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            left.append(os.readlink(f"/proc/{process.pid}/ns/net"))
    assert inside.strip() not in left
