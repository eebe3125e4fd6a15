"""What ends on a cluster costs no job: engines, actors, machines, the gateway, the head, the server itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from tests.cluster.conftest import PATIENCE_SECONDS, Box, RayCluster
from tests.e2e.conftest import ServerProcess

pytestmark = pytest.mark.cluster

MakeCluster = Callable[..., RayCluster]
MakeServer = Callable[..., ServerProcess]
SLOW = "fake:step=0.1"
# How often a head is looked for that does not answer, once a second; 20 times by default.
QUICK_REFUSAL = ("RAY_NUM_REDIS_GET_RETRIES", "3")


def engines_of(server: ServerProcess) -> list[dict[str, Any]]:
    engines: list[dict[str, Any]] = server.get("/engines")["engines"]
    return engines


def wait_engines(server: ServerProcess, count: int) -> list[dict[str, Any]]:
    """Wait until so many engines could compute."""

    def are_there(engines: list[dict[str, Any]]) -> bool:
        return len(engines) == count and all(engine["is_available"] for engine in engines)

    found: list[dict[str, Any]] = server.until(lambda: engines_of(server), are_there)
    return found


def begin(server: ServerProcess, steps: int = 30) -> tuple[str, dict[str, Any]]:
    """Submit a job and wait for its first step: its id, and the engine that has it."""
    job_id = server.submit(SLOW, steps=steps, width=64, height=64)
    server.wait_running(job_id)
    engine = next(engine for engine in engines_of(server) if engine["job_id"] == job_id)
    return job_id, engine


def node_of(cluster: RayCluster, engine: dict[str, Any]) -> Box:
    """The box that an engine works on, by its name: ``node2:0``."""
    return cluster.nodes[int(engine["name"].removeprefix("node").partition(":")[0]) - 1]


def end_machine(box: Box) -> None:
    """Everything at once, as when the power goes."""
    for process in box.processes():
        process.kill()


def freeze(box: Box) -> list[psutil.Process]:
    """Stop a machine in the middle of whatever it does."""
    found = box.processes()
    for process in found:
        process.suspend()
    return found


def thaw(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def assert_drawn_once(server: ServerProcess, job_ids: list[str]) -> None:
    """Each job has one whole folder, and nothing else lies there."""
    jobs = [server.wait(job_id) for job_id in job_ids]
    assert Counter(job["status"] for job in jobs) == {"completed": len(job_ids)}
    output = server.folder / "output"
    assert sorted(path.name for path in output.iterdir() if not path.name.startswith(".")) == sorted(job_ids)
    assert all((output / job_id / "config.json").is_file() for job_id in job_ids)
    assert list((output / ".spool").iterdir()) == []


def test_a_dead_engine_fails_its_job_as_on_this_machine(cluster: RayCluster, make_server: MakeServer) -> None:
    server = make_server(cluster)
    wait_engines(server, 2)
    job_id, engine = begin(server)
    os.kill(engine["pid"], signal.SIGKILL)
    job = server.wait(job_id)
    assert (job["status"], job["error_code"]) == ("failed", "engine_crashed")
    assert "SIGKILL" in job["error"]
    wait_engines(server, 2)


def test_a_dead_host_of_an_engine_costs_no_job(cluster: RayCluster, make_server: MakeServer) -> None:
    server = make_server(cluster)
    wait_engines(server, 2)
    job_id, engine = begin(server)
    parent = psutil.Process(engine["pid"]).parent()
    assert parent is not None
    parent.kill()
    assert_drawn_once(server, [job_id])
    wait_engines(server, 2)


def test_a_dead_gateway_costs_no_job(cluster: RayCluster, make_server: MakeServer) -> None:
    server = make_server(cluster)
    wait_engines(server, 2)
    job_id, _ = begin(server)
    assert server.process is not None
    (gateway,) = (
        child for child in psutil.Process(server.process.pid).children() if "gateway_entry" in " ".join(child.cmdline())
    )
    gateway.kill()
    assert_drawn_once(server, [job_id])
    wait_engines(server, 2)
    assert server.get("/health")["status"] == "ok"


def test_a_machine_without_power_costs_no_job(make_cluster: MakeCluster, make_server: MakeServer) -> None:
    cluster = make_cluster(nodes=2)
    server = make_server(cluster)
    wait_engines(server, 2)
    job_id, engine = begin(server)
    end_machine(node_of(cluster, engine))
    assert_drawn_once(server, [job_id])
    job = server.job(job_id)
    assert job["engine"] != engine["name"]
    (left,) = wait_engines(server, 1)
    assert left["name"] == job["engine"]


def test_a_frozen_machine_is_waited_for_and_then_lost_for_good(
    make_cluster: MakeCluster, make_server: MakeServer
) -> None:
    cluster = make_cluster(nodes=2)
    server = make_server(cluster)
    wait_engines(server, 2)
    job_id, engine = begin(server, steps=60)
    frozen = freeze(node_of(cluster, engine))
    try:
        assert_drawn_once(server, [job_id])
        job = server.job(job_id)
        assert job["engine"] != engine["name"]
        picture = server.picture(job_id)
    finally:
        thaw(frozen)
    # Until its engine has ended, the thawed machine may still have sent something.
    psutil.wait_procs([one for one in frozen if one.pid == engine["pid"]], PATIENCE_SECONDS)
    assert_drawn_once(server, [job_id])
    assert server.picture(job_id) == picture


def test_a_server_that_is_killed_goes_on_where_it_was(cluster: RayCluster, make_server: MakeServer) -> None:
    server = make_server(cluster)
    old = {engine["pid"] for engine in wait_engines(server, 2)}
    job_ids = [server.submit(SLOW, steps=8, width=64, height=64, seed=seed) for seed in range(6)]
    server.wait_running(job_ids[0])
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    assert_drawn_once(server, job_ids)
    new = {engine["pid"] for engine in wait_engines(server, 2)}
    assert not old & new
    assert not [pid for pid in old if psutil.pid_exists(pid)], "the engines of the killed server are gone"


def test_machines_come_and_go_while_jobs_run(make_cluster: MakeCluster, make_server: MakeServer) -> None:
    cluster = make_cluster(nodes=1)
    server = make_server(cluster, "queue.max_requeues=10")
    wait_engines(server, 1)
    job_ids = [server.submit(SLOW, steps=5, width=64, height=64, seed=seed) for seed in range(60)]
    box = cluster.make_box()
    assert box.join(cluster.head, "--name", "node2", "--engines", "1").returncode == 0
    cluster.nodes.append(box)
    server.until(lambda: {server.job(job_id).get("engine") for job_id in job_ids}, lambda seen: "node2:0" in seen)
    end_machine(cluster.nodes[0])
    assert_drawn_once(server, job_ids)


def test_a_head_that_is_gone_is_told_and_another_one_is_joined(
    make_cluster: MakeCluster, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A minute by default, after which Ray ends the process that asks.
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    monkeypatch.setenv(*QUICK_REFUSAL)
    cluster = make_cluster(nodes=1)
    server = make_server(cluster)
    wait_engines(server, 1)
    job_id, _ = begin(server, steps=10)
    end_machine(cluster.head)
    server.until(lambda: server.get("/health"), lambda health: health["status"] == "degraded")
    later = server.submit("fake:step=0.01", steps=2, width=64, height=64)
    for box in cluster.nodes:
        end_machine(box)
    assert cluster.head.start().returncode == 0
    assert cluster.nodes[0].join(cluster.head, "--name", "node1", "--engines", "1").returncode == 0
    assert_drawn_once(server, [job_id, later])
    assert server.get("/health")["status"] == "ok"


def test_a_wrong_token_is_told(cluster: RayCluster, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*QUICK_REFUSAL)
    token = cluster.folder / "wrong.token"
    token.write_text("0" * 64)
    server = make_server(cluster, f"cluster.token_file={token}")
    shown = server.until(
        lambda: server.get("/engines")["cluster"],
        lambda shown: shown["trouble"] != "The cluster has not answered yet",
    )
    assert not shown["is_connected"]
    assert "cluster.token_file" in shown["trouble"]
    assert server.get("/health")["status"] == "degraded"


def give_model(server: ServerProcess) -> Path:
    """Give the server a model of its own, which it starts again with; where that lies, in its folder."""
    folder = Path("models") / "diffusion_models"
    (server.folder / folder).mkdir(parents=True, exist_ok=True)
    for suffix in (".gguf", ".json"):  # what goes with it is the demo's, which every machine has
        demo = (DEMO_ROOT / "diffusion_models" / DEMO_MODEL).with_suffix(suffix)
        shutil.copy(demo, server.folder / folder / f"mine{suffix}")
    server.stop()
    server.settings = (*server.settings, "models.default=mine.gguf")
    server.start()
    return folder / "mine.gguf"


def test_a_node_is_given_the_model_that_it_lacks(make_cluster: MakeCluster, make_server: MakeServer) -> None:
    cluster = make_cluster(nodes=1)
    server = make_server(cluster, "cluster.pull_models=true")
    mine = give_model(server)
    wait_engines(server, 1)
    job = server.wait(server.submit("a boat", steps=2, width=64, height=64))
    assert (job["status"], job["engine"]) == ("completed", "node1:0")
    assert (cluster.nodes[0].folder / mine).read_bytes() == (server.folder / mine).read_bytes()


@pytest.mark.native
def test_pictures_are_those_of_this_machine(make_cluster: MakeCluster, make_server: MakeServer) -> None:
    remote = make_server(make_cluster(nodes=1, runner="native"))
    local = make_server(RemoteNothing(), "engine.runner=native")
    for fields in (
        {"seed": 1}, {"seed": 2, "steps": 3}, {"seed": 3, "batch_count": 2}, {"seed": 4, "width": 96},
        {"seed": 5, "sampler": "heun"}, {"seed": 6, "scheduler": "karras"}, {"seed": 7, "cfg_scale": 4.0},
        {"seed": 8, "negative_prompt": "a square"}, {"seed": 9, "clip_skip": 1}, {"seed": 10, "height": 128},
    ):  # fmt: skip
        asked = {"width": 64, "height": 64, "steps": 2, **fields}
        drawn = []
        for server in (remote, local):
            job_id = server.submit("a red circle on a blue background", **asked)
            assert server.wait(job_id)["status"] == "completed"
            drawn.append([server.picture(job_id, index) for index in range(asked.get("batch_count", 1))])
        assert drawn[0] == drawn[1], fields


class RemoteNothing:
    """No cluster."""

    def server_settings(self) -> tuple[str, ...]:
        return ()
