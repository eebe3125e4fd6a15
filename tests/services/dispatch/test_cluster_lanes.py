"""Lanes come and go with the nodes of a cluster, and each is given what its node can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import ConfigError
from sdcpp_rest.core.events import JobStatusChanged
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.submission.engine_choice import EngineChoice
from tests.engine.remote import fake_cluster
from tests.engine.remote.fake_cluster import add_model
from tests.quick_runtime import quick_app
from tests.services.conftest import config_below
from tests.services.dispatch.cluster_house import ClusterHouse

PLACE = "a machine of the cluster, at the same place below its folder of models"
pytestmark = pytest.mark.slow


def test_without_a_token_only_a_loopback_address_is_used(tmp_path: Path) -> None:
    for address in ("auto", "192.168.1.10:6379"):
        with pytest.raises(ConfigError, match=r"cluster.token is not there.*loopback"):
            Runtime(config_below(tmp_path / address, f"cluster.address={address}"))
    runtime = Runtime(config_below(tmp_path / "ours", "cluster.address=127.0.0.10:6379"))
    runtime.stop()


def test_a_node_is_given_the_model_that_it_lacks(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("cluster.pull_models=true")
    house.join("one")
    job = house.draw(spec=house.spec("new.gguf"))
    assert (job.status, job.engine) == ("completed", "one:0")
    assert (house.cluster / "one.models" / "new.gguf").read_bytes() == b"model"
    add_model(house.cluster, "one", "other.gguf")
    (house.cluster / "one.models" / "other.gguf").write_bytes(b"another one")
    lane = house.runtime.engine.pool.find("one:0")
    assert lane is not None
    house.wait_for(lambda: "models/other.gguf" in house.services.gateway.nodes[0].files)
    assert lane.lacks is not None
    assert lane.lacks(house.spec("other.gguf")), "what is there under its name is not overwritten"


def test_a_job_waits_for_a_node_and_is_drawn_there(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    job_id = house.submit()
    house.join("one")
    job = house.finished(job_id)
    assert (job.status, job.engine) == ("completed", "one:0")
    shown = house.runtime.status.engines.describe()
    assert [engine["name"] for engine in shown["engines"]] == ["one:0"]
    (node,) = shown["cluster"]["nodes"]
    assert (node["name"], node["engines"], node["fault"]) == ("one", 1, None)
    assert shown["cluster"]["is_connected"]


def test_an_engine_is_only_given_models_that_its_node_has(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one", "common.gguf")
    assert house.draw(spec=house.spec("common.gguf")).engine == "one:0"
    rare = house.submit(spec=house.spec("rare.gguf"))
    common = house.draw(spec=house.spec("common.gguf"))
    assert (common.status, common.engine) == ("completed", "one:0"), "what cannot be done here holds up nobody"
    assert house.runtime.jobs.queue.get(rare).status == "pending"
    house.join("two", "common.gguf", "rare.gguf")
    assert house.finished(rare).engine == "two:0"


def test_a_job_that_no_engine_has_the_model_of_says_so(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    reasons, spec = house.runtime.waiting_reasons, house.spec("rare.gguf")
    assert reasons.find_lack("txt2img", None, spec) is None, "there is no engine that lacks anything"
    house.join("one", "common.gguf")
    house.draw(spec=house.spec("common.gguf"))
    assert reasons.find("txt2img", None, 3, spec) == f"No engine has rare.gguf: copy it to {PLACE}"
    assert reasons.find("txt2img", None, 3, house.spec("common.gguf")) == "2 jobs are before it"
    assert reasons.find("upscale", None, 3) == "2 jobs are before it"
    assert reasons.find("txt2img", "one:0", 1, spec) == (
        "Engine one:0, which it asked for, lacks rare.gguf: copy it to its machine, "
        "at the same place below its folder of models"
    )
    house.runtime.jobs.queue.pause()
    assert reasons.find("txt2img", None, 1, spec) == "The queue is paused"
    house.runtime.jobs.queue.resume()
    house.join("two", "rare.gguf")
    assert house.draw(spec=spec).engine == "two:0"
    assert reasons.find_lack("txt2img", None, spec) is None
    apart = LoadSpec(model=spec.model, kind="diffusion", components={"vae": house.spec("common.gguf").model})
    assert reasons.find("txt2img", None, 1, apart) == f"No engine has all files of rare.gguf: copy them to {PLACE}"


def test_who_submits_a_job_that_no_engine_has_the_model_of_is_warned(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one", "common.gguf")
    house.draw(spec=house.spec("common.gguf"))
    entry, params = house.runtime.submission.entry, ImageParams(prompt="a", width=16, height=8)
    job, _ = entry.enter(
        "txt2img", params, images={}, size=(16, 8), spec=house.spec("rare.gguf"), warnings=("It is late.",)
    )
    assert job.warnings == ("It is late.", f"No engine has rare.gguf: copy it to {PLACE}.")
    well, _ = entry.enter("txt2img", params, images={}, size=(16, 8), spec=house.spec("common.gguf"))
    assert well.warnings == ()
    client = quick_app(house.runtime).test_client()
    assert client.get(f"/queue/{job.id}").get_json()["why"] == f"No engine has rare.gguf: copy it to {PLACE}"
    house.finished(well.id)


def test_a_listing_tells_which_models_no_engine_has(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one", "common.gguf")
    held = house.running(spec=house.spec("common.gguf"))
    names = ["common.gguf", "rare.gguf", "other.gguf", "rare.gguf", "common.gguf"]
    jobs = [house.submit(spec=house.spec(name)) for name in names]
    listed = quick_app(house.runtime).test_client().get("/queue?status=pending").get_json()["items"]
    why = {job["job_id"]: job["why"] for job in listed}
    assert [why[job] for job in jobs] == [
        "The engine works on another job",
        f"No engine has rare.gguf: copy it to {PLACE}",
        f"No engine has other.gguf: copy it to {PLACE}",
        f"No engine has rare.gguf: copy it to {PLACE}",
        "4 jobs are before it",
    ]
    for job in (*jobs, held):
        house.runtime.jobs.queue.cancel(job)
    house.finished(held)


def test_a_job_begins_when_its_model_is_copied_to_the_node(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    job_id = house.submit(spec=house.spec("late.gguf"))
    house.draw()
    assert house.runtime.jobs.queue.get(job_id).status == "pending"
    add_model(house.cluster, "one", "late.gguf")
    assert house.finished(job_id).status == "completed"


def test_a_node_that_leaves_takes_its_lane_along_and_the_next_one_goes_on(
    make_cluster: Callable[..., ClusterHouse],
) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    (house.cluster / "one.node").unlink()
    house.join("two")
    pool = house.runtime.engine.pool
    assert house.wait_for(lambda: pool.names() == ("two:0",))
    assert house.draw().engine == "two:0"
    assert EngineChoice(pool).check(" two:0 ") == "two:0"
    with pytest.raises(InvalidRequest, match="one:0"):
        EngineChoice(pool).check("one:0")


def test_a_node_with_a_fault_is_shown_and_not_used(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("odd", fault="it has another version")
    house.join("well")
    assert house.draw().engine == "well:0"
    nodes = house.services.describe()["nodes"]
    assert {node["name"]: node["fault"] for node in nodes} == {"odd": "it has another version", "well": None}
    assert house.runtime.engine.pool.names() == ("well:0",)


def test_no_more_engines_are_used_than_allowed(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("cluster.max_engines=1")
    house.join("one")
    house.draw()
    house.join("two")
    held = house.submit("fake:hold")
    house.begun(held)
    assert len(house.runtime.engine.pool.names()) == 1
    house.runtime.jobs.queue.cancel(held)
    house.finished(held)


def test_a_drained_node_ends_its_job_and_takes_no_other(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    held = house.submit("fake:hold")
    assert house.begun(held) == "one:0"
    shown = house.services.set_drained("one", True)
    assert (shown["name"], shown["is_draining"]) == ("one", True)
    house.join("two")
    other = house.draw()
    assert (other.engine, other.status) == ("two:0", "completed")
    pool = house.runtime.engine.pool
    assert pool.names() == ("one:0", "two:0"), "what it runs goes on"
    assert house.runtime.jobs.queue.get(held).status == "processing"
    house.runtime.jobs.queue.cancel(held)
    assert house.finished(held).status == "cancelled"
    assert house.left("one:0")
    assert house.draw().engine == "two:0"


def test_a_job_of_a_drained_node_is_written_whole(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    job_id = house.submit("fake:step=0.02")
    house.begun(job_id)
    house.services.set_drained("one", True)
    job = house.finished(job_id)
    assert (job.status, job.engine) == ("completed", "one:0")
    assert house.left("one:0")


def test_a_resumed_node_takes_jobs_again(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    house.services.set_drained("one", True)
    assert house.left("one:0")
    job_id = house.submit()
    assert not house.services.set_drained("one", False)["is_draining"]
    job = house.finished(job_id)
    assert (job.status, job.engine) == ("completed", "one:0")


def test_a_node_that_is_resumed_before_its_job_has_ended_keeps_it(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    held = house.submit("fake:hold")
    house.begun(held)
    lane = house.runtime.engine.pool.find("one:0")
    house.services.set_drained("one", True)
    house.services.set_drained("one", False)
    assert house.runtime.engine.pool.find("one:0") is lane
    house.runtime.jobs.queue.cancel(held)
    assert house.finished(held).status == "cancelled"
    assert house.draw().engine == "one:0"
    assert house.runtime.engine.pool.find("one:0") is lane, "the same engine goes on"


def test_a_drained_node_stays_so_when_the_server_comes_back(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.join("two")
    house.draw()
    house.services.set_drained("one", True)
    house.stop()
    again = make_cluster()
    jobs = [again.submit(seed=seed) for seed in range(3)]
    assert {again.finished(job).engine for job in jobs} == {"two:0"}
    nodes = again.services.describe()["nodes"]
    assert {node["name"]: node["is_draining"] for node in nodes} == {"one": True, "two": False}


def test_a_node_that_is_not_there_is_refused_with_those_that_are(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    with pytest.raises(NotFound, match="it has none now"):
        house.services.set_drained("one", True)
    house.join("two")
    house.draw()
    with pytest.raises(NotFound, match="no node 'one'; there are: two"):
        house.services.set_drained("one", True)


def test_a_drained_node_that_is_away_can_be_resumed(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    house.services.set_drained("one", True)
    (house.cluster / "one.node").unlink()
    assert house.wait_for(lambda: house.services.lanes.nodes == ())
    with pytest.raises(NotFound, match="no node 'one'; it has none now") as refused:
        house.services.set_drained("one", True)
    assert refused.value.detail["allowed"] == []
    with pytest.raises(NotFound, match="no node 'two'; it has none now; drained and away: one") as refused:
        house.services.set_drained("two", False)
    assert refused.value.detail["allowed"] == ["one"]
    told = house.services.set_drained("one", False)
    assert (told["name"], told["address"], told["is_draining"]) == ("one", "", False)
    assert told["fault"] == "it is not there now; it is used again when it comes"
    with pytest.raises(NotFound):
        house.services.set_drained("one", False)
    house.join("one")
    assert house.draw().engine == "one:0"


def test_a_server_without_machines_says_what_it_waits_for(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    (house.cluster / "one.node").unlink()
    assert house.wait_for(lambda: house.services.lanes.nodes == ())
    why = (
        "This server has no engine of its own (engines.devices is none) and waits for machines of the cluster at auto, "
        "which has none yet. Each joins with: sdcpp-rest cluster join HOST:PORT --token-file FILE"
    )
    engines = house.runtime.status.engines
    assert engines.describe()["why"] == why
    assert house.runtime.waiting_reasons.find("txt2img", None, 1) == why
    house.join("odd", fault="it has another version")
    assert house.wait_for(lambda: len(house.services.lanes.nodes) == 1)
    assert (engines.describe()["why"] or "").endswith(
        "no machine of the cluster at auto is used: odd (it has another version)"
    )
    (house.cluster / "closed").touch()
    (house.cluster / "gone").touch()
    assert house.wait_for(lambda: house.services.gateway.trouble == "the cluster is closed")
    assert (engines.describe()["why"] or "").endswith(
        "and the cluster at auto cannot be reached: the cluster is closed"
    )


def test_a_cluster_out_of_reach_is_told_and_the_queue_accepts(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster()
    house.join("one")
    house.draw()
    assert house.runtime.status.health()["status"] == "ok"
    (house.cluster / "closed").touch()
    (house.cluster / "gone").touch()
    job_id = house.submit("fake:hold", seed=1)
    gone = house.services.gateway
    assert house.wait_for(lambda: gone.trouble == "the cluster is closed")
    assert house.runtime.status.health()["status"] == "degraded"
    house.runtime.jobs.queue.cancel(job_id)
    house.finished(job_id)
    later = house.submit()
    (house.cluster / "closed").unlink()
    assert house.finished(later).status == "completed"
    assert house.runtime.status.health()["status"] == "ok"


def test_a_job_is_not_blamed_where_the_way_to_the_cluster_breaks_off(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("queue.max_requeues=1")
    house.join("one")
    house.join("two")
    job_id = house.submit("fake:hold", seed=1)
    for _ in range(3):
        house.begun(job_id)
        (house.cluster / "gone").touch()
        house.until(JobStatusChanged, job_id=job_id, status="pending")
    house.begun(job_id)
    assert house.runtime.jobs.queue.get(job_id).attempts == 1
    house.runtime.jobs.queue.cancel(job_id)
    assert house.finished(job_id).status == "cancelled"


def test_a_job_is_not_blamed_where_most_machines_are_lost_at_once(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("queue.max_requeues=0")
    for name in ("one", "two", "three"):
        house.join(name)
    assert house.wait_for(lambda: len(house.runtime.engine.pool.names()) == 3)
    job_id = house.submit("fake:hold", seed=1)
    lost = house.begun(job_id)
    for name in ("one", "two", "three"):
        if f"{name}:0" != lost:
            house.services.lanes.note_end(name, was_lost=True)
    fake_cluster.cut(house.cluster, lost.partition(":")[0])
    house.until(JobStatusChanged, job_id=job_id, status="pending")
    house.begun(job_id)
    house.runtime.jobs.queue.cancel(job_id)
    assert house.finished(job_id).status == "cancelled"


def test_engines_that_do_not_start_are_no_lost_machines(make_cluster: Callable[..., ClusterHouse]) -> None:
    house = make_cluster("queue.max_requeues=0", "engine.backoff_initial_seconds=0.01")
    house.join("one")
    assert house.wait_for(lambda: house.runtime.engine.pool.names() == ("one:0",))
    job_id = house.submit("fake:hold", seed=1)
    assert house.begun(job_id) == "one:0"
    lanes, ended = house.services.lanes, set[str]()
    note_end = lanes.note_end

    def note_and_tell(name: str, **more: Any) -> None:
        note_end(name, **more)
        ended.add(name)
        house.tell()

    lanes.note_end = note_and_tell  # type: ignore[method-assign]
    for name in ("two", "three"):
        (house.cluster / f"{name}.broken").touch()
        house.join(name)
    assert house.wait_for(lambda: ended == {"two", "three"})
    assert not lanes.were_most_lost()
    fake_cluster.cut(house.cluster, "one")
    job = house.finished(job_id)
    assert (job.status, job.error_code) == ("failed", "engine_lost"), "it is the only one that was lost"
