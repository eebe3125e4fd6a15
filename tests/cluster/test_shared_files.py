"""With ``cluster.files = "shared"`` nothing is sent: a node writes beside the place where its server has the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.conftest import PATIENCE_SECONDS, RayCluster, raylet_of, small_disks
from tests.cluster.test_cluster_failures import assert_drawn_once, begin, node_of, wait_engines
from tests.cluster.test_full_machines import submit_with_picture
from tests.e2e.conftest import ServerProcess

pytestmark = pytest.mark.cluster

MakeCluster = Callable[..., RayCluster]
MakeServer = Callable[..., ServerProcess]
SHARED = "cluster.files=shared"


def test_pictures_are_those_that_are_sent_and_nothing_is_left(cluster: RayCluster, make_server: MakeServer) -> None:
    drawn = []
    for settings in ((), (SHARED,)):
        server = make_server(cluster, *settings)
        wait_engines(server, 2)
        asked: dict[str, Any] = {"seed": 5, "steps": 3, "batch_count": 2}
        job_ids = [server.submit("a boat", width=64, height=64, **asked), submit_with_picture(server, **asked)]
        assert_drawn_once(server, job_ids)
        drawn.append([server.picture(job_id, index) for job_id in job_ids for index in range(2)])
        server.stop()
    assert drawn[0] == drawn[1]
    assert [path.name for node in cluster.nodes for path in node.data.glob("engine-*/jobs/host-*/*")] == []


def test_a_node_that_ends_in_the_middle_leaves_one_picture(make_cluster: MakeCluster, make_server: MakeServer) -> None:
    cluster = make_cluster(nodes=2)
    server = make_server(cluster, SHARED)
    wait_engines(server, 2)
    job_id, engine = begin(server)
    there = psutil.Process(engine["pid"])
    psutil.Process(raylet_of(node_of(cluster, engine))).kill()
    job = server.wait(job_id)
    assert (job["status"], job["engine"] != engine["name"]) == ("completed", True), job
    psutil.wait_procs([there], PATIENCE_SECONDS)
    # What the engine has written since it was given up goes with the server's next start.
    server.stop()
    server.start()
    assert_drawn_once(server, [job_id])


def test_a_node_that_does_not_see_the_folder_says_so(
    make_cluster: MakeCluster, make_server: MakeServer, mounts: None, tmp_path: Path
) -> None:
    cluster = make_cluster(nodes=0)
    box = cluster.make_box()
    # Where the server has its pictures, this one has a disk of its own.
    box.prefix = small_disks({tmp_path / "server0" / "output": "1m"})
    cluster.join(box)
    server = make_server(cluster, SHARED)
    wait_engines(server, 1)
    for job_id in (server.submit("a boat", width=64, height=64, steps=1), submit_with_picture(server)):
        job = server.wait(job_id)
        assert (job["status"], job["engine"]) == ("failed", "node1:0")
        assert "as the engine's machine sees it: with cluster.files" in job["error"]
        assert not (server.folder / "output" / job_id).exists()
    assert list((server.folder / "output" / ".spool").iterdir()) == []
