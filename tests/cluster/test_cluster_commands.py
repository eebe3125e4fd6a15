"""``sdcpp-rest cluster`` with Ray itself: heads and nodes on loopback addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster.conftest import Box, RayCluster, free_host, free_port
from tests.e2e.conftest import ServerProcess

pytestmark = pytest.mark.cluster

# The interpreter that runs Ray's command believes it has another Ray.
_OTHER_RAY = """
import sys
if "ray.scripts.scripts" in sys.orig_argv:
    import ray
    ray.__version__ = "2.1.0"
"""


def test_head_has_a_token_that_only_its_owner_reads_and_nobody_is_told(cluster: RayCluster) -> None:
    token = cluster.head.token
    assert token.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())
    told = cluster.head.run("status").stdout
    assert f"here      head of {cluster.head.address}" in told
    assert token.read_text() not in told


def test_node_with_another_token_is_refused_in_one_sentence(cluster: RayCluster, tmp_path: Path) -> None:
    other = tmp_path / "token"
    other.write_text("0" * 64)
    box = cluster.make_box()
    ran = box.join(cluster.head, token=other)
    assert ran.returncode == 1
    assert ran.stderr == (
        "Error: The head does not let this machine in: --token-file names a copy of the head's cluster.token\n"
    )
    assert box.processes() == []
    assert not (box.data / "cluster.json").exists()


def test_node_without_a_head_is_refused_at_once(cluster: RayCluster) -> None:
    host = free_host()
    ran = cluster.make_box().run("join", f"{host}:{free_port(host)}")
    assert ran.returncode == 1
    assert "Error: No head answers at" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_node_with_another_ray_is_refused_with_both_versions(cluster: RayCluster, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_OTHER_RAY)
    box = cluster.make_box()
    ran = box.join(cluster.head, PYTHONPATH=str(tmp_path))
    assert ran.returncode == 1
    assert re.match(r"Error: The head runs Ray [\d.]+ on Python [\d.]+, this machine Ray 2\.1\.0 on", ran.stderr)
    assert box.processes() == []


def test_second_head_at_the_same_port_is_refused(cluster: RayCluster) -> None:
    box = cluster.make_box()
    ran = box.run("start-head", "--host", cluster.head.host, "--port", str(cluster.head.port))
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"Error: A head cannot listen on {cluster.head.host}")
    assert box.processes() == []


def test_machine_joins_once(cluster: RayCluster) -> None:
    before = pids(cluster.nodes[0])
    ran = cluster.nodes[0].join(cluster.head)
    assert ran.returncode == 1
    assert "part of the cluster at" in ran.stderr
    assert pids(cluster.nodes[0]) >= before


def test_stop_ends_this_machines_processes_and_leaves_others(cluster: RayCluster) -> None:
    others = [cluster.head, *cluster.nodes]
    before = [pids(other) for other in others]
    box = cluster.make_box()
    joined = box.join(cluster.head, "--name", "guest")
    assert joined.returncode == 0, joined.stderr
    assert joined.stdout.startswith(f"guest has joined {cluster.head.address} with 1 engine\n")
    assert json.loads(box.run("status", "--json").stdout)["here"]["is_running"]
    assert box.processes()
    left = box.run("stop")
    assert left.stdout.startswith(f"guest has left {cluster.head.address}")
    assert box.processes() == []
    assert box.run("stop").stdout == "Nothing to stop: this machine is part of no cluster\n"
    assert all(first <= pids(other) for first, other in zip(before, others, strict=True))


def test_stop_ends_a_head_that_has_lost_its_raylet(make_cluster: Callable[..., RayCluster]) -> None:
    head = make_cluster(nodes=0).head
    next(one for one in head.processes() if one.name() == "raylet").kill()
    assert head.run("stop").returncode == 0
    assert head.processes() == []


def test_server_draws_on_nodes_that_have_joined(cluster: RayCluster, make_server: Callable[..., ServerProcess]) -> None:
    server = make_server(cluster)
    engines = server.until(lambda: server.get("/engines")["engines"], lambda found: len(found) == 2)
    assert {engine["name"] for engine in engines} == {"node1:0", "node2:0"}
    job = server.wait(server.submit("a red circle", width=64, height=64, steps=1))
    assert job["status"] == "completed", job
    box = Box(server.folder)
    told: Any = box.run("status")
    assert told.returncode == 0, told.stderr
    assert "engine    node1:0:" in told.stdout
    check_what_is_shown(cluster, server, box, job["engine"])
    # What its end must not take along.
    nodes = [pids(node) for node in cluster.nodes]
    server.stop()
    assert all(first & pids(node) for first, node in zip(nodes, cluster.nodes, strict=True))


def check_what_is_shown(cluster: RayCluster, server: ServerProcess, box: Box, engine: str) -> None:
    """The log of ``engine`` on its node, and metrics of both nodes."""
    node = engine.partition(":")[0]
    data = next(one.data for number, one in enumerate(cluster.nodes, 1) if node == f"node{number}")
    with (data / "engine-0" / "engine.log").open("a") as file:
        file.write(f"reads {data}/x and {cluster.head.folder}\nlast\n")
    shown = server.get(f"/logs/engine?engine={engine}&tail=2")
    assert shown["lines"] == [f"reads x and {cluster.head.folder}", "last"]
    assert box.run("log", engine, "--tail", "1").stdout == "last\n"
    metrics = requests.get(f"{server.url}/metrics", timeout=60).text
    for name in ("node1", "node2"):
        assert f'sdcpp_rest_node_engines{{node="{name}",state="free"}} 1.0' in metrics
        assert re.search(rf'sdcpp_rest_node_info{{address="[\d.]+",node="{name}",python="3.*ray="2', metrics)
        assert f'sdcpp_rest_node_lost_engines_total{{node="{name}"}} 0.0' in metrics
    assert f'sdcpp_rest_engine_jobs_total{{engine="{engine}",status="completed"}} 1.0' in metrics


def pids(box: Box) -> set[int]:
    return {one.pid for one in box.processes()}
