from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.engine.remote.cluster import ClusterNode

TWO = {"devices": ("cpu", "cpu")}


@pytest.fixture
def two_engines(make_house: Any) -> Any:
    """A house with two engines that both hold the bundled model."""
    house = make_house(engines=TWO).start()
    everywhere = house.runtime.engine.everywhere
    assert everywhere.wait_elsewhere(everywhere.begin_elsewhere(house.runtime.models.slot.selected), 20) == []
    return house


def test_every_engine_is_shown_with_what_it_holds(two_engines: Any) -> None:
    shown = two_engines.client.get("/engines").get_json()
    home, other = shown["engines"]
    assert shown["why"] is None
    assert [(one["name"], one["is_home"], one["is_available"]) for one in (home, other)] == [
        ("cpu:0", True, True),
        ("cpu:1", False, True),
    ]
    assert [one["model_name"] for one in (home, other)] == ["demo_dit_q8_0.gguf"] * 2
    (kept,) = other["models"]
    assert (kept["name"], kept["is_current"]) == ("demo_dit_q8_0.gguf", True)
    assert other["counters"] == {"busy_seconds": 0.0, "loads": 1, "affinity_hits": 0}
    assert 0 < other["memory"]["free_bytes"] <= other["memory"]["total_bytes"]
    assert (home["restarts"], home["job_id"], home["upscaler_name"]) == (0, None, None)


def test_idle_engine_says_why(two_engines: Any) -> None:
    reasons = lambda: {one["why"] for one in two_engines.client.get("/engines").get_json()["engines"]}  # noqa: E731
    assert reasons() == {"No job waits"}
    two_engines.client.post("/queue/pause")
    assert reasons() == {"The queue is paused"}


def test_engine_that_leaves_a_job_to_another_one_says_so(two_engines: Any) -> None:
    two_engines.gate.clear()
    jobs = [two_engines.submit(device="cpu:1") for _ in range(2)]
    assert two_engines.running.wait(20)
    home, other = two_engines.client.get("/engines").get_json()["engines"]
    assert (home["why"], other["job_id"]) == ("No job waits that it may take now", jobs[0])
    waiting = two_engines.client.get(f"/queue/{jobs[1]}").get_json()
    assert waiting["why"] == "Engine cpu:1, which it asked for, works on another job"
    two_engines.gate.set()
    assert [two_engines.finished(job)["engine"] for job in jobs] == ["cpu:1", "cpu:1"]
    counters = two_engines.client.get("/engines").get_json()["engines"][1]["counters"]
    assert counters["affinity_hits"] == 2
    text = two_engines.client.get("/metrics").text
    assert 'sdcpp_rest_engine_affinity_hits_total{engine="cpu:1"} 2.0' in text
    assert 'sdcpp_rest_engine_available{engine="cpu:0"} 1.0' in text


def test_engine_that_computes_tells_its_job_and_no_reason(house: Any) -> None:
    house.gate.clear()
    job_id = house.submit()
    assert house.running.wait(20)
    (engine,) = house.client.get("/engines").get_json()["engines"]
    assert (engine["job_id"], engine["why"], engine["state"]) == (job_id, None, "running")
    house.gate.set()
    house.finished(job_id)


def test_engines_that_have_not_started_are_shown_too(make_house: Any) -> None:
    shown = make_house(engines=TWO).client.get("/engines").get_json()["engines"]
    assert [(one["name"], one["is_available"], one["why"]) for one in shown] == [
        ("cpu:0", False, "It waits for its engine to start"),
        ("cpu:1", False, "It waits for its engine to start"),
    ]
    assert shown[0]["device"] is shown[0]["memory"]["free_bytes"] is shown[0]["pid"] is None


def test_server_without_engines_says_so(make_house: Any) -> None:
    client = make_house(engines={"devices": "none"}).client
    shown = client.get("/engines").get_json()
    assert shown["engines"] == []
    assert "engines.devices is none" in shown["why"]
    assert client.get("/health").get_json()["engines"] == {"count": 0, "available": 0}


def test_health_counts_engines_and_names_what_they_keep(two_engines: Any) -> None:
    health = two_engines.client.get("/health").get_json()
    assert health["engines"] == {"count": 2, "available": 2}
    assert health["kept_models"] == ["demo_dit_q8_0.gguf"]


def test_model_is_told_with_every_engine_that_holds_it(two_engines: Any) -> None:
    (demo,) = two_engines.client.get("/models?type=diffusion").get_json()["diffusion_models"]
    assert (demo["is_loaded"], demo["kept_by"]) == (True, ["cpu:0", "cpu:1"])
    two_engines.client.get("/models")
    two_engines.client.post("/models/unload")
    (demo,) = two_engines.client.get("/models").get_json()["diffusion_models"]
    assert (demo["is_loaded"], demo["kept_by"]) == (False, [])


def test_memory_names_every_model_and_its_engine(two_engines: Any) -> None:
    memory = two_engines.client.get("/memory").get_json()
    assert [(model["name"], model["engine"]) for model in memory["models"]] == [
        ("demo_dit_q8_0.gguf", "cpu:0"),
        ("demo_dit_q8_0.gguf", "cpu:1"),
    ]
    assert len(memory["devices"]) == 1


def test_single_engine_is_called_by_its_device(client: FlaskClient) -> None:
    (engine,) = client.get("/engines").get_json()["engines"]
    assert (engine["name"], engine["is_home"]) == ("cpu:0", True)


@pytest.fixture
def with_nodes(make_house: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A house with a cluster that is never reached, and two nodes of it."""
    house = make_house(engines={"devices": "none"}, cluster={"address": "127.0.0.10:6379"})
    nodes = (ClusterNode("1", "box1", "10.0.0.2", 1, files={"a": 1}), ClusterNode("2", "box2", "10.0.0.3", 2, gpus=2))
    house.runtime.cluster.lanes.nodes = nodes
    monkeypatch.setattr(house.runtime.cluster.lanes, "_most", 0)
    return house


def test_node_is_drained_and_resumed(with_nodes: Any) -> None:
    client = with_nodes.client
    answer = client.post("/engines/nodes/box2/drain")
    assert (answer.status_code, answer.get_json()["name"], answer.get_json()["is_draining"]) == (200, "box2", True)
    shown = client.get("/engines").get_json()["cluster"]["nodes"]
    assert shown[1] == answer.get_json()
    assert [node["is_draining"] for node in shown] == [False, True]
    assert client.post("/engines/nodes/box2/drain").status_code == 200, "once more is no mistake"
    resumed = client.post("/engines/nodes/box2/resume").get_json()
    assert resumed == {**answer.get_json(), "is_draining": False}
    assert client.get("/engines").get_json()["cluster"]["nodes"][1] == resumed


@pytest.mark.parametrize("action", ["drain", "resume"])
def test_node_that_is_not_there_is_refused_with_the_names_there_are(with_nodes: Any, action: str) -> None:
    answer = with_nodes.client.post(f"/engines/nodes/box3/{action}")
    assert answer.status_code == 404
    told = answer.get_json()
    assert told["error"] == "The cluster has no node 'box3'; there are: box1, box2"
    assert told["allowed"] == ["box1", "box2"]


@pytest.mark.parametrize("action", ["drain", "resume"])
def test_server_without_a_cluster_has_no_nodes(client: FlaskClient, action: str) -> None:
    answer = client.post(f"/engines/nodes/box1/{action}")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "This server is part of no cluster (cluster.address is empty)"
