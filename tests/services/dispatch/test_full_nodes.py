"""A node that has no room for a job leaves it to an engine that can do it, if there is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.services.dispatch.cluster_house import ClusterHouse

pytestmark = pytest.mark.slow

MakeCluster = Callable[..., ClusterHouse]


def submit_to(house: ClusterHouse, engine: str, prompt: str) -> str:
    asked = {"prompt": prompt, "width": 8, "height": 8, "steps": 2}
    return house.runtime.submission.pictures.picture("txt2img", asked, device=engine)[0].id


def join_full(house: ClusterHouse) -> None:
    (house.cluster / "full.full").touch()
    house.join("full")
    assert house.wait_for(lambda: "full:0" in house.runtime.engine.pool.names())


def test_a_full_node_alone_fails_its_jobs_in_words(make_cluster: MakeCluster) -> None:
    house = make_cluster()
    join_full(house)
    for _ in range(2):
        job = house.draw()
        assert (job.status, job.error_code) == ("failed", "machine_full")
        assert "machine has no room" in (job.error or "")
    assert house.fault("full") is None, "it is all that there is"


def test_a_full_node_leaves_its_job_to_another_one(make_cluster: MakeCluster) -> None:
    house = make_cluster()
    house.join("well")
    held = submit_to(house, "well:0", "fake:hold")
    assert house.begun(held) == "well:0"
    join_full(house)
    moved = house.submit()
    assert house.left("full:0")
    assert house.fault("full") == "quarantined for 60 s: it has no room for jobs' files"
    house.runtime.jobs.queue.cancel(held)
    job = house.finished(moved)
    assert (job.status, job.engine, job.attempts) == ("completed", "well:0", 2)


def test_a_job_that_asks_for_a_full_node_fails_there(make_cluster: MakeCluster) -> None:
    house = make_cluster()
    house.join("well")
    house.draw()
    join_full(house)
    job = house.finished(submit_to(house, "full:0", "a"))
    assert (job.status, job.error_code) == ("failed", "machine_full")
    assert house.fault("full") is None


def test_a_node_without_the_model_is_not_left_the_job(make_cluster: MakeCluster) -> None:
    house = make_cluster()
    spec = house.spec("m.gguf")
    house.join("well")
    (house.cluster / "full.full").touch()
    house.join("full", "m.gguf")
    assert house.wait_for(lambda: "full:0" in house.runtime.engine.pool.names())
    job = house.finished(house.submit(spec=spec))
    assert (job.status, job.engine, job.error_code) == ("failed", "full:0", "machine_full")
