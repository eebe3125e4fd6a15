"""A server without a cluster has nothing of one, also when it has drawn and shown all of its engines."""

from __future__ import annotations

import pytest

from benchmarks.import_watch import WatchedStart, watch_start

pytestmark = pytest.mark.slow

MOST_MODULES = 960
"""As many as were needed when this was written, as before there were clusters, and a few."""
OF_CLUSTERS = (
    "ray",
    "sdcpp_rest.engine.remote",
    "sdcpp_rest.groups.cluster_group",
    *(
        f"sdcpp_rest.services.dispatch.{name}"
        for name in ("cluster_lanes", "loss_watch", "node_history", "quarantine", "scaling")
    ),
)
THREADS = {
    "MainThread", "WSGI_0", "asyncio_0", "device-report", "download-0", "download-1", "engine-reader", "finisher_0",
    "gallery", "housekeeping", "lane", "model-hash-2", "read-ahead", "watch",
}  # fmt: skip


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> WatchedStart:
    return watch_start(tmp_path_factory.mktemp("used"), is_used=True)


def test_nothing_of_a_cluster_is_imported(used: WatchedStart) -> None:
    assert "sdcpp_rest.services.engine_metrics" in used.names, "the watch has seen what is used"
    found = [name for name in used.names if name.startswith(tuple(f"{one}." for one in OF_CLUSTERS))]
    assert not found
    assert not used.names & set(OF_CLUSTERS)
    assert len(used.modules) <= MOST_MODULES


def test_its_threads_and_processes_are_those_of_one_machine(used: WatchedStart) -> None:
    assert {"lane", "engine-reader", "finisher_0"} <= set(used.threads), "the watch has seen it draw"
    assert {name for name in used.threads if not name.startswith("WSGI_")} <= THREADS
    assert used.threads.count("lane") == used.threads.count("engine-reader") == 1
    assert used.processes == 1, "its engine"
