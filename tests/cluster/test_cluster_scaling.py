"""A queue that grows has Ray's autoscaler add machines: its own, with a provider that starts them as processes here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sdcpp_rest.engine.remote.node_settings import ENGINE_RESOURCE, NAME_LABEL, VERSION_LABEL, our_version
from tests.cluster.conftest import Head, RayCluster
from tests.e2e.conftest import ServerProcess

pytestmark = pytest.mark.cluster

# What the provider calls the head, and what the head has to be called for it to be known again.
_HEAD_ID = f"{'f' * 51}00000"
_VARIABLES = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_FAKE_CLUSTER": "1",
    "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD_ID,
}


def write_settings(head: Head) -> list[str]:
    """The option that tells the autoscaler of a kind of machine, of which there may be two."""
    box = {
        "resources": {"CPU": 1, ENGINE_RESOURCE: 1},
        "labels": {VERSION_LABEL: our_version(), NAME_LABEL: "added"},
        "node_config": {},
        "min_workers": 0,
        "max_workers": 2,
    }
    settings: dict[str, Any] = {
        "cluster_name": "pretended",
        "max_workers": 2,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": head.address,
            "head_node_id": _HEAD_ID,
            "disable_node_updaters": True,
        },
        "head_node_type": "head",
        "available_node_types": {"head": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}, "box": box},
    }
    commands = ("setup", "initialization", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    settings |= {f"{one}_commands": [] for one in commands}
    settings |= {"auth": {}, "file_mounts": {}, "cluster_synced_files": [], "idle_timeout_minutes": 5}
    head.data.mkdir(parents=True)
    (head.data / "autoscaler.json").write_text(json.dumps(settings))
    return [f"--autoscaling-config={head.data / 'autoscaler.json'}"]


def test_jobs_that_wait_bring_machines(
    make_cluster: Callable[..., RayCluster], make_server: Callable[..., ServerProcess]
) -> None:
    cluster = make_cluster(nodes=0, options=write_settings, variables=_VARIABLES)
    server = make_server(cluster, "cluster.scale_up_after_jobs=1")
    assert server.get("/engines")["cluster"]["nodes"] == []
    jobs = [server.submit("fake:step=0.05", seed=seed) for seed in range(6)]
    assert {server.wait(job_id)["status"] for job_id in jobs} == {"completed"}
    nodes = server.get("/engines")["cluster"]["nodes"]
    assert 1 <= len({node["name"] for node in nodes}) == len(nodes) <= 2
    assert all(node["name"].startswith("added") and node["fault"] is None for node in nodes)
