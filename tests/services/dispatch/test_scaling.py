"""A queue that grows has the cluster asked for engines, and one that is worked off for none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sdcpp_rest.services.dispatch.scaling import Scaling
from tests.services.dispatch.cluster_house import ClusterHouse


@pytest.mark.parametrize(("waiting", "wanted"), [(0, 0), (4, 0), (5, 2), (8, 2), (9, 3), (1000, 10)])
def test_an_engine_is_wanted_for_each_so_many_waiting_jobs(waiting: int, wanted: int) -> None:
    asked: list[int] = []
    scaling = Scaling(lambda: waiting, asked.append, jobs_per_engine=4, most=10)
    scaling.look()
    scaling.look()
    assert asked == [wanted] * bool(wanted), "once"


def test_what_is_worked_off_is_asked_for_no_more() -> None:
    asked: list[int] = []
    waiting = iter((9, 3))
    scaling = Scaling(lambda: next(waiting), asked.append, jobs_per_engine=4, most=10)
    scaling.look()
    scaling.look()
    assert asked == [3, 0]


@pytest.mark.slow
def test_the_cluster_is_asked_also_by_the_next_gateway(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("cluster.scale_up_after_jobs=1")
    told = house.cluster / "wanted"
    jobs = [house.submit("fake:hold", seed=seed) for seed in range(3)]
    assert house.services.scaling is not None
    house.services.scaling.stop()  # of three jobs one waits no more when a machine has come
    assert house.wait_for(lambda: house.services.gateway.trouble is None)
    house.services.scaling.look()
    house.join("one")
    assert house.wait_for(lambda: told.exists() and told.read_text() == "3")
    told.unlink()
    (house.cluster / "gone").touch()
    assert house.wait_for(lambda: told.exists() and told.read_text() == "3")
    for job_id in jobs:
        house.runtime.jobs.queue.cancel(job_id)
