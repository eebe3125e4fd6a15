"""A node whose engines end again and again while others work gets no jobs for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sdcpp_rest.services.dispatch.quarantine import Quarantine
from tests.services.dispatch.cluster_house import ClusterHouse

pytestmark = pytest.mark.slow


def test_a_node_whose_engines_do_not_start_while_others_work_is_left_alone(
    make_cluster: Callable[..., ClusterHouse],
) -> None:
    house = make_cluster("engine.backoff_initial_seconds=0.01")
    lanes, pool, now, ends = house.services.lanes, house.runtime.engine.pool, [1000.0], [0]
    lanes.quarantine = Quarantine(clock=lambda: now[0])
    note_end = lanes.note_end

    def note_and_tell(name: str, *, was_lost: bool, **more: Any) -> None:
        assert not was_lost, "it has never started"
        note_end(name, was_lost=was_lost, **more)
        ends[0] += 1
        house.tell()

    lanes.note_end = note_and_tell  # type: ignore[method-assign]
    house.join("well")
    house.draw()
    (house.cluster / "odd.broken").touch()
    house.join("odd")
    assert house.wait_for(lambda: ends[0] >= 4), "nobody else works"
    assert house.fault("odd") is None
    assert house.draw().engine == "well:0"
    assert house.left("odd:0")
    assert house.fault("odd") == "quarantined for 60 s: its engines ended 3 times in a row while others worked"
    (house.cluster / "odd.broken").unlink()
    now[0] += 60
    lanes.look_again()
    assert house.wait_for(lambda: "odd:0" in pool.names())
    assert house.fault("odd") is None
    asked = {"prompt": "a", "width": 8, "height": 8, "steps": 2}
    job, _ = house.runtime.submission.pictures.picture("txt2img", asked, device="odd:0")
    assert house.finished(job.id).status == "completed"
    assert [lanes.quarantine.note_end("odd") for _ in range(2)] == [None, None]
    lanes.quarantine.note_completed("well")
    assert lanes.quarantine.note_end("odd") == 60, "the completed job has forgiven the first one"


def test_an_engine_that_is_lost_while_it_starts_counts_once(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("engine.backoff_initial_seconds=0.01")
    lanes, told = house.services.lanes, list[tuple[str, int]]()

    def note(name: str, **more: Any) -> None:
        lane = house.runtime.engine.pool.find(f"{name}:0")
        told.append((name, lane.supervisor.restarts if lane else -1))
        house.tell()

    lanes.note_end = note  # type: ignore[method-assign]
    (house.cluster / "odd.broken").touch()
    house.join("odd")
    assert house.wait_for(lambda: len(told) >= 3)
    assert told[:3] == [("odd", 0), ("odd", 1), ("odd", 2)]


def test_a_completed_job_ends_a_quarantine_at_once(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    lanes = house.services.lanes
    house.join("one")
    house.draw()
    lanes.note_end("one", was_lost=True)
    lanes.note_completed("cpu:0")
    for _ in range(2):
        lanes.note_end("one", was_lost=False)
    assert (house.fault("one") or "").startswith("quarantined for 60 s")
    assert house.left("one:0")
    job_id = house.submit()
    lanes.note_completed("one:0")
    assert house.finished(job_id).engine == "one:0"
    assert house.fault("one") is None
