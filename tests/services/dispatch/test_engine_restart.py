"""A new engine because somebody asks: in order, at once, and out of trouble."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sdcpp_rest.core.events import EngineRestarted, JobStatusChanged, ModelLoaded, ModelLoadFailed, ModelUnloaded
from sdcpp_rest.errors import Conflict, EngineUnavailable
from sdcpp_rest.services.dispatch import engine_restart
from sdcpp_rest.services.dispatch.engine_restart import Restarted
from sdcpp_rest.services.models.load_specs import LoadRequest
from tests.services.conftest import Gate, House, copy_demo

PATIENCE_SECONDS = 20


@pytest.fixture(autouse=True)
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not stop is ended a moment after it was asked."""
    monkeypatch.setattr(engine_restart, "_STOP_SECONDS", 0.05)


def restart(house: House, *, force: bool = False, timeout_seconds: float = PATIENCE_SECONDS) -> Restarted:
    return house.runtime.upkeep.restart.restart(force=force, timeout_seconds=timeout_seconds)


def test_the_engine_is_another_one_and_has_the_selected_model(any_house: House) -> None:
    supervisor = any_house.runtime.engine.supervisor
    before = supervisor.client
    assert restart(any_house) == Restarted(is_ready=True, requeued=())
    assert supervisor.client is not before
    assert supervisor.client is not None
    assert supervisor.client.alive
    any_house.until(ModelUnloaded)
    event = any_house.until(EngineRestarted)
    assert (event.pid, event.restarts) == (supervisor.client.pid, 1)
    any_house.until(ModelLoaded)
    assert any_house.draw().status == "completed"


def test_a_job_that_runs_is_not_disturbed_unless_that_is_wanted(any_house: House) -> None:
    job_id = any_house.running()
    with pytest.raises(Conflict, match=f"A job runs: {job_id}; wait for it, cancel it, or give force"):
        restart(any_house)
    assert any_house.runtime.engine.supervisor.restarts == 0
    waiting = any_house.submit()
    assert restart(any_house, force=True) == Restarted(is_ready=True, requeued=(job_id,))
    any_house.until(JobStatusChanged, job_id=job_id, status="pending")
    any_house.until(JobStatusChanged, job_id=job_id, status="processing")
    any_house.runtime.jobs.queue.cancel(job_id)
    assert any_house.finished(job_id).status == "cancelled"
    assert any_house.finished(job_id).attempts == 1
    assert any_house.finished(waiting).status == "completed"


def test_what_does_not_stop_ends_with_the_engine(any_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_restart, "_GRACE_SECONDS", 0.05)
    job_id = any_house.running("fake:deaf")
    any_house.runtime.jobs.queue.pause()
    assert restart(any_house, force=True) == Restarted(is_ready=True, requeued=(job_id,))
    assert any_house.runtime.jobs.queue.get(job_id).status == "pending"
    assert any_house.runtime.engine.supervisor.restarts == 1


def test_a_load_that_hangs_ends_with_the_engine_and_is_not_held_against_the_model(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_restart, "_GRACE_SECONDS", 0.05)
    copy_demo(house.config, "mine.gguf")
    gates = [Gate() for _ in range(3)]
    house.at_load = gates[0]
    house.runtime.models.slot.begin_load(LoadRequest(model_name="mine.gguf"))
    # As often as would end all tries by itself, if the engine had died of it.
    for number, gate in enumerate(gates):
        gate.wait()
        house.at_load = gates[number + 1] if number < 2 else lambda spec: None
        assert restart(house, force=True).is_ready
        house.until(ModelLoadFailed)
        gate.open()
    assert house.until(ModelLoaded).model_name == "mine.gguf"


def test_nobody_waits_for_the_pause_after_an_engine_that_died(make_house: Callable[..., House]) -> None:
    house = make_house("engine.backoff_initial_seconds=600", "engine.backoff_max_seconds=600").start()
    assert house.draw("fake:die").error_code == "engine_crashed"
    assert restart(house).is_ready
    assert house.draw().status == "completed"


def test_who_asks_meanwhile_gets_the_same_restart(house: House) -> None:
    gate = Gate()
    house.at_load = gate
    copy_demo(house.config, "mine.gguf")
    house.runtime.models.slot.begin_load(LoadRequest(model_name="mine.gguf"))
    gate.wait()
    with ThreadPoolExecutor(2) as threads:
        asked: list[Future[Restarted]] = [threads.submit(restart, house) for _ in range(2)]
        house.at_load = lambda spec: None
        gate.open()
        assert [one.result(PATIENCE_SECONDS).is_ready for one in asked] == [True, True]


def test_a_restart_that_takes_too_long_goes_on(house: House) -> None:
    gate = Gate()
    house.at_load = gate
    copy_demo(house.config, "mine.gguf")
    house.runtime.models.slot.begin_load(LoadRequest(model_name="mine.gguf"))
    gate.wait()
    assert restart(house, timeout_seconds=0.01) == Restarted(is_ready=False, requeued=())
    house.at_load = lambda spec: None
    gate.open()
    house.until(EngineRestarted)


def test_only_the_engine_that_is_asked_for_is_restarted(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cpu").start()
    home, other = house.runtime.engine.pool.lanes
    job_id = house.running(spec=house.runtime.models.slot.selected)
    lanes = {lane.name: lane for lane in (home, other)}
    busy = lanes.pop(house.runtime.jobs.queue.get(job_id).engine or "")
    (idle,) = lanes.values()
    before = (busy.supervisor.client, idle.supervisor.client)
    done = house.runtime.upkeep.restart.restart(idle, force=False, timeout_seconds=PATIENCE_SECONDS)
    assert done == Restarted(is_ready=True, requeued=())
    assert busy.supervisor.client is before[0]
    assert idle.supervisor.client is not before[1]
    with pytest.raises(Conflict, match=job_id):
        house.runtime.upkeep.restart.restart(busy, force=False, timeout_seconds=PATIENCE_SECONDS)
    house.runtime.jobs.queue.cancel(job_id)
    house.finished(job_id)


def test_all_engines_are_restarted_where_none_is_named(make_house: Callable[..., House]) -> None:
    house = make_house("engines.devices=cpu,cpu").start()
    slot, lanes = house.runtime.models.slot, house.runtime.engine.pool.lanes
    assert slot.selected is not None
    everywhere = house.runtime.engine.everywhere
    assert everywhere.wait_elsewhere(everywhere.begin_elsewhere(slot.selected), PATIENCE_SECONDS) == []
    before = [lane.supervisor.client for lane in lanes]
    assert restart(house) == Restarted(is_ready=True, requeued=())
    assert all(lane.supervisor.client is not client for lane, client in zip(lanes, before, strict=True))
    assert [lane.supervisor.restarts for lane in lanes] == [1, 1]


def test_a_stopping_server_restarts_nothing(house: House) -> None:
    house.runtime.begin_stop()
    with pytest.raises(EngineUnavailable, match="The server is stopping"):
        restart(house)
