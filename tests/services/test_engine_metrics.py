"""Metrics of engines and machines: by their names, of which there are never too many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.job import Job, Timings
from sdcpp_rest.services import engine_metrics
from sdcpp_rest.services.dispatch.node_history import NodeHistory
from sdcpp_rest.services.metrics import Metrics
from tests.services.test_metrics import STATUS, samples

ENGINES_PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def engine(name: str | None, **told: Any) -> dict[str, Any]:
    counters = {"busy_seconds": 1.5, "loads": 2, "affinity_hits": 7}
    idle = {"is_available": True, "state": "idle", "job_id": None, "model_name": None, "counters": counters}
    return {"name": name, **idle, **told}


def node(name: str, engines: int, **told: Any) -> dict[str, Any]:
    versions = {"sdcpp-rest": "0.2.0", "ray": "2.60.0", "python": "3.11.7"}
    return {
        "name": name, "address": "10.0.0.2", "engines": engines, "versions": versions, "is_draining": False,
        "fault": None, **told,
    }  # fmt: skip


def cluster(*nodes: dict[str, Any], history: NodeHistory | None = None, is_connected: bool = True) -> dict[str, Any]:
    told = history.describe(1000.0) if history is not None else []
    return {"is_connected": is_connected, "nodes": nodes, "history": told}


def find(engines: list[dict[str, Any]], told: dict[str, Any] | None = None) -> dict[str, float]:
    return samples(Metrics("1", lambda: STATUS, lambda: 0, lambda: engines, lambda: told))


def ended(name: str | None, status: Any, number: int = 0) -> Job:
    return Job(id=str(number), kind="txt2img", status=status, timings=Timings(), engine=name)


def test_every_engine_is_told_by_its_name() -> None:
    engines = [
        engine("cuda:0", job_id="one", state="running", model_name="demo.gguf"),
        engine(
            "cuda:1", is_available=False, state="dead", counters={"busy_seconds": 0, "loads": 0, "affinity_hits": 0}
        ),
        engine(None),
    ]
    found = find(engines)
    assert found["sdcpp_rest_engine_busy_seconds_total engine=cuda:0"] == 1.5
    assert found["sdcpp_rest_engine_affinity_hits_total engine=cuda:0"] == 7
    for name, expected in {"loads_total": [2, 0], "available": [1, 0], "busy": [1, 0]}.items():
        assert [found[f"sdcpp_rest_engine_{name} engine=cuda:{number}"] for number in (0, 1)] == expected
    assert found["sdcpp_rest_engine_model_info engine=cuda:0 name=demo.gguf"] == 1
    assert sum("engine=" in name for name in found) == 11
    assert not any("node" in name or "cluster" in name for name in found)


def test_engines_of_a_machine_are_counted_by_what_they_do() -> None:
    engines = [
        engine("box1:0", job_id="one", state="running"),
        engine("box1:1", state="loading"),
        engine("box1:2"),
        engine("box1:3", is_available=False, state="starting"),
        engine("box10:0"),
        engine("cuda:0"),
        engine("box2:0", job_id="two"),
    ]
    told = cluster(node("box1", 5), node("box2", 2, is_draining=True), node("box3", 1, fault="it has another version"))
    found = find(engines, told)
    states = ("free", "busy", "draining", "faulty", "unavailable")
    counts = {
        name: [found[f"sdcpp_rest_node_engines node={name} state={state}"] for state in states]
        for name in ("box1", "box2", "box3")
    }
    assert counts == {"box1": [1, 2, 0, 0, 2], "box2": [0, 0, 2, 0, 0], "box3": [0, 0, 0, 1, 0]}
    assert found["sdcpp_rest_cluster_up"] == 1
    assert found[
        "sdcpp_rest_node_info address=10.0.0.2 node=box1 python=3.11.7 ray=2.60.0 sdcpp_rest=0.2.0"
    ] == 1  # fmt: skip
    assert find([], cluster(is_connected=False))["sdcpp_rest_cluster_up"] == 0


def test_a_machine_that_has_left_is_told_with_what_was_lost() -> None:
    now = [500.0]
    history = NodeHistory(lambda: now[0])
    history.take({"box1", "box2"})
    history.note_loss("box1")
    history.note_loss("box1")
    history.note_loss("nobody")
    history.take({"box2"})
    now[0] = 900.0
    history.take({"box2"})
    found = find([], cluster(node("box2", 1), history=history))
    assert found["sdcpp_rest_node_lost_engines_total node=box1"] == 2
    assert found["sdcpp_rest_node_lost_engines_total node=box2"] == 0
    assert found["sdcpp_rest_node_last_seen_timestamp_seconds node=box1"] == 500, "when it left"
    assert found["sdcpp_rest_node_last_seen_timestamp_seconds node=box2"] == 1000, "when it was last looked at"
    assert not any("nobody" in name for name in found)
    history.take({"box1"})
    assert {one["name"]: (one["last_seen"], one["lost_engines"]) for one in history.describe(7.0)} == {
        "box1": (7.0, 2),
        "box2": (900.0, 0),
    }


def test_machines_that_come_once_are_not_remembered_for_ever() -> None:
    history = NodeHistory()
    for number in range(1000):
        history.take({"stays", f"pod-{number}"})
    names = [one["name"] for one in history.describe(0.0)]
    assert len(names) == 66
    assert {"stays", "pod-999", "pod-998", "pod-935"} <= set(names)
    assert "pod-934" not in names
    history.take({f"box{number}" for number in range(200)})
    assert len(history.describe(0.0)) == 264, "all that are there"


def test_jobs_of_an_engine_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics("1", lambda: STATUS, lambda: 0)
    for number, status in enumerate(("completed", "completed", "failed", "cancelled")):
        metrics.count_job(ended("box1:0", status, number))
    metrics.count_requeue(ended("box1:0", "processing"))
    metrics.count_job(ended(None, "completed"))
    found = {name: value for name, value in samples(metrics).items() if "engine_jobs" in name}
    assert found == {
        "sdcpp_rest_engine_jobs_total engine=box1:0 status=completed": 2,
        "sdcpp_rest_engine_jobs_total engine=box1:0 status=failed": 1,
        "sdcpp_rest_engine_jobs_total engine=box1:0 status=cancelled": 1,
        "sdcpp_rest_engine_jobs_total engine=box1:0 status=requeued": 1,
    }


def test_engines_that_come_once_are_not_remembered_for_ever() -> None:
    metrics = Metrics("1", lambda: STATUS, lambda: 0)
    for number in range(2000):
        metrics.count_job(ended("cuda:0", "completed", number))
        metrics.count_job(ended(f"pod-{number}:0", "completed", number))
    found = {name: value for name, value in samples(metrics).items() if "engine_jobs" in name}
    assert len(found) == engine_metrics._MOST_ENGINES
    assert found["sdcpp_rest_engine_jobs_total engine=cuda:0 status=completed"] == 2000
    assert "sdcpp_rest_engine_jobs_total engine=pod-1999:0 status=completed" in found


@pytest.mark.parametrize("prefix", ["sdcpp_rest_engine_", "sdcpp_rest_node_", "sdcpp_rest_cluster_"])
def test_the_page_has_each_metric(prefix: str) -> None:
    history = NodeHistory()
    history.take({"box1"})
    told = cluster(node("box1", 1), history=history)
    metrics = Metrics("1", lambda: STATUS, lambda: 0, lambda: [engine("box1:0", model_name="x")], lambda: told)
    metrics.count_job(ended("box1:0", "completed"))
    given = {name.partition(" ")[0] for name in samples(metrics) if name.startswith(prefix)}
    rows = re.findall(r"^\| `(sdcpp_rest_\w+)", ENGINES_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name in rows if name.startswith(prefix)} == given
