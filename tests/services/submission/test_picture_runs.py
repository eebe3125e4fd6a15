from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sdcpp_rest.core.events import JobStatusChanged
from sdcpp_rest.errors import Conflict, EngineDied, EngineUnavailable, GenerationFailed, InvalidRequest, QueueFull
from tests.services.conftest import PATIENCE_SECONDS, Gate, House

SMALL = {"prompt": "a cat", "width": 8, "height": 8, "steps": 2}


def test_runs_differ_in_their_seeds_alone(house: House) -> None:
    jobs = house.runtime.picture_runs.begin("txt2img", {**SMALL, "seed": 7}, 3, origin="test", owner="me")
    done = house.runtime.picture_runs.results(jobs)
    assert [job.params["seed"] for job in done] == [7, 8, 9]
    assert {(job.origin, job.owner, job.status) for job in done} == {("test", "me", "completed")}
    assert len({str({**job.params, "seed": 0}) for job in done}) == 1


def test_a_drawn_seed_counts_on(house: House) -> None:
    jobs = house.runtime.picture_runs.begin("txt2img", SMALL, 3, origin="test")
    first = jobs[0].params["seed"]
    assert [job.params["seed"] for job in jobs] == [first, first + 1, first + 2]


def test_all_are_taken_or_none(make_house: Callable[..., House]) -> None:
    house = make_house("limits.pending_jobs=2").start()
    gate = house.at_step = Gate()
    house.submit()
    gate.wait()
    with pytest.raises(QueueFull):
        house.runtime.picture_runs.begin("txt2img", SMALL, 3, origin="test")
    assert house.runtime.queue.counts()["pending"] == 0
    gate.open()
    with pytest.raises(InvalidRequest):
        house.runtime.picture_runs.begin("txt2img", {**SMALL, "steps": 0}, 3, origin="test")


@pytest.mark.parametrize(("prompt", "kind"), [("fake:fail", GenerationFailed), ("fake:die", EngineDied)])
def test_the_first_failure_ends_the_rest(house: House, prompt: str, kind: type[Exception]) -> None:
    jobs = house.runtime.picture_runs.begin("txt2img", {**SMALL, "prompt": prompt}, 3, origin="test")
    # Paused any earlier, the queue would never start the one that is to fail.
    house.until(JobStatusChanged, job_id=jobs[0].id, status="processing")
    house.runtime.queue.pause()
    with pytest.raises(kind):
        house.runtime.picture_runs.results(jobs)
    assert house.runtime.queue.counts()["pending"] == 0


def test_what_was_cancelled_is_left_out(house: House) -> None:
    gate = house.at_step = Gate()
    jobs = house.runtime.picture_runs.begin("txt2img", {**SMALL, "seed": 1}, 3, origin="test")
    gate.wait()
    house.runtime.queue.cancel(jobs[1].id)
    gate.open()
    assert [job.params["seed"] for job in house.runtime.picture_runs.results(jobs)] == [1, 3]


def test_nothing_left_is_a_conflict(house: House) -> None:
    house.runtime.queue.pause()
    jobs = house.runtime.picture_runs.begin("txt2img", SMALL, 2, origin="test")
    house.runtime.picture_runs.cancel(jobs)
    with pytest.raises(Conflict):
        house.runtime.picture_runs.results(jobs)


def test_a_server_that_stops_releases_who_waits_and_keeps_the_jobs(house: House) -> None:
    house.runtime.queue.pause()
    jobs = house.runtime.picture_runs.begin("txt2img", SMALL, 2, origin="test")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(house.runtime.picture_runs.results, jobs)
        house.runtime.queue.close()
        with pytest.raises(EngineUnavailable):
            waiting.result(PATIENCE_SECONDS)
    assert house.runtime.queue.counts()["pending"] == 2
