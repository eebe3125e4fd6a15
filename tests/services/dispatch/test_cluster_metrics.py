"""Metrics of a server with a cluster, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sdcpp_rest.core.events import JobStatusChanged
from tests.engine.remote import fake_cluster
from tests.services.dispatch.cluster_house import ClusterHouse
from tests.services.test_metrics import samples

pytestmark = pytest.mark.slow


def test_machines_and_their_jobs_are_told_also_when_they_have_left(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    metrics, gateway = house.runtime.metrics, house.services.gateway
    house.join("one")
    house.draw()
    found = samples(metrics)
    assert found["sdcpp_rest_node_engines node=one state=free"] == 1
    assert found["sdcpp_rest_engine_jobs_total engine=one:0 status=completed"] == 1
    job_id = house.submit("fake:hold", seed=1)
    house.begun(job_id)
    found = samples(metrics)
    assert found["sdcpp_rest_node_engines node=one state=busy"] == 1
    assert found["sdcpp_rest_engine_busy engine=one:0"] == 1
    assert found["sdcpp_rest_node_lost_engines_total node=one"] == 0
    seen = found["sdcpp_rest_node_last_seen_timestamp_seconds node=one"]
    (house.cluster / "one.node").unlink()
    fake_cluster.cut(house.cluster, "one")
    house.until(JobStatusChanged, job_id=job_id, status="pending")
    assert house.left("one:0")
    house.join("two")
    assert house.begun(job_id) == "two:0"
    found = samples(metrics)
    assert found["sdcpp_rest_engine_jobs_total engine=one:0 status=requeued"] == 1
    assert found["sdcpp_rest_node_lost_engines_total node=one"] == 1
    assert found["sdcpp_rest_node_last_seen_timestamp_seconds node=one"] >= seen
    assert not any(name.startswith("sdcpp_rest_node_engines node=one") for name in found)
    house.services.set_drained("two", True)
    assert samples(metrics)["sdcpp_rest_node_engines node=two state=draining"] == 1
    house.runtime.jobs.queue.cancel(job_id)
    house.finished(job_id)
    assert house.left("two:0")
    found = samples(metrics)
    assert found["sdcpp_rest_node_engines node=two state=draining"] == 1, "also when its engine has left"
    assert found["sdcpp_rest_engine_jobs_total engine=two:0 status=cancelled"] == 1
    assert gateway.seen_at > 0


def test_machines_are_seen_as_long_as_the_gateway_looks(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    gateway = house.services.gateway
    take = gateway._take

    def take_and_tell(header: dict[str, object], body: bytes) -> None:
        take(header, body)  # type: ignore[arg-type]
        house.tell()

    gateway._take = take_and_tell  # type: ignore[method-assign, assignment]
    house.join("one")
    house.draw()
    first = gateway.seen_at
    assert house.wait_for(lambda: gateway.seen_at > first)
    assert samples(house.runtime.metrics)["sdcpp_rest_cluster_up"] == 1
    (house.cluster / "closed").touch()
    (house.cluster / "gone").touch()
    assert house.wait_for(lambda: gateway.trouble == "the cluster is closed")
    assert samples(house.runtime.metrics)["sdcpp_rest_cluster_up"] == 0


def test_no_machine_has_lost_an_engine_where_the_way_to_the_cluster_breaks_off(
    make_cluster: Callable[..., ClusterHouse],
) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    (house.cluster / "closed").touch()
    (house.cluster / "gone").touch()
    assert house.left("one:0")
    assert samples(house.runtime.metrics)["sdcpp_rest_node_lost_engines_total node=one"] == 0
    assert not house.services.lanes.losses._lost
