"""An idle model is put to rest and comes back by itself; old jobs go, the newest never does."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from sdcpp_rest.config import HousekeepingConfig
from sdcpp_rest.core.events import ModelUnloaded
from sdcpp_rest.core.job import utc_now
from sdcpp_rest.errors import JobNotFound
from sdcpp_rest.services.housekeeping import Housekeeping
from sdcpp_rest.services.settings.user_settings import UserSettings
from tests.services.conftest import House


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def housekeeping(house: House, clock: Clock | None = None, days_ahead: float = 0.0, **settings: float) -> Housekeeping:
    config = HousekeepingConfig(**settings)
    return Housekeeping(
        config,
        house.runtime.jobs.queue,
        house.runtime.models.slot,
        UserSettings(house.runtime.settings.store, config),
        house.runtime.jobs.recycle_bin,
        upscalers=house.runtime.models.upscalers,
        clock=clock or Clock(),
        now=lambda: utc_now() + timedelta(days=days_ahead),
    )


def test_idle_model_rests_and_the_next_job_loads_it_again(house: House) -> None:
    models, clock = house.runtime.models.slot, Clock()
    keeper = housekeeping(house, clock, unload_after_idle_minutes=10)
    clock.seconds = 599
    keeper.run_once()
    assert models.resident is not None
    clock.seconds = 601
    keeper.run_once()
    assert models.resident is None
    assert models.selected is not None, "it is still the chosen one"
    assert house.runtime.status.health()["model_loaded"] is False
    assert house.draw().status == "completed"
    assert models.resident is not None


def test_what_users_chose_overrides_the_configuration_at_once(house: House) -> None:
    settings, clock = UserSettings(house.runtime.settings.store, HousekeepingConfig()), Clock()
    keeper = housekeeping(house, clock, unload_after_idle_minutes=1)
    settings.change_auto_unload({"main": {"enabled": False}})
    clock.seconds = 3600
    keeper.run_once()
    assert house.runtime.models.slot.resident is not None
    settings.change_auto_unload({"main": {"enabled": True, "timeout_minutes": 90}})
    keeper.run_once()
    assert house.runtime.models.slot.resident is not None
    clock.seconds = 5401
    keeper.run_once()
    assert house.runtime.models.slot.resident is None


def test_idle_upscaler_rests_by_its_own_rule(house: House) -> None:
    runtime, clock = house.runtime, Clock()
    keeper = housekeeping(house, clock)
    runtime.models.upscalers.load("esrgan_x2.safetensors")
    runtime.settings.user.change_auto_unload({"upscaler": {"enabled": True, "timeout_minutes": 10}})
    clock.seconds = 599
    keeper.run_once()
    assert runtime.models.upscalers.resident is not None
    clock.seconds = 601
    keeper.run_once()
    assert runtime.models.upscalers.resident is None
    assert runtime.models.upscalers.selected is not None, "it is still the chosen one"
    assert runtime.models.slot.resident is not None, "it has a rule of its own"


def test_a_paused_queue_does_not_keep_the_model(house: House) -> None:
    clock = Clock()
    keeper = housekeeping(house, clock, unload_after_idle_minutes=1)
    house.runtime.jobs.queue.pause()
    job_id = house.submit()
    clock.seconds = 61
    keeper.run_once()
    assert house.runtime.models.slot.resident is None
    house.runtime.jobs.queue.resume()
    assert house.finished(job_id).status == "completed"


def test_deleted_jobs_expire(house: House) -> None:
    job = house.draw()
    house.runtime.settings.user.change_recycle_bin({"retention_minutes": 1})
    house.runtime.jobs.recycle_bin.delete([job.id])
    keeper = housekeeping(house)
    keeper.run_once()
    assert house.runtime.jobs.recycle_bin.count() == 1
    house.runtime.jobs.recycle_bin._now = lambda: utc_now() + timedelta(minutes=2)
    keeper.run_once()
    assert house.runtime.jobs.recycle_bin.count() == 0


def test_the_bin_is_settled_when_housekeeping_starts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    settled = threading.Event()
    monkeypatch.setattr(house.runtime.jobs.recycle_bin, "settle", settled.set)
    keeper = housekeeping(house)
    keeper.start()
    assert settled.wait(20)
    keeper.stop()


def test_resting_model_is_not_loaded_by_itself(house: House) -> None:
    models = house.runtime.models.slot
    models.unload_keeping_selection()
    # A second call goes through the dispatcher's whole turn: had it restored the model, this would show it.
    models.unload_keeping_selection()
    assert models.resident is None


def test_running_job_is_not_idleness(house: House) -> None:
    clock = Clock()
    keeper = housekeeping(house, clock, unload_after_idle_minutes=1)
    job = house.running()
    clock.seconds = 3600
    keeper.run_once()
    assert house.runtime.models.slot.resident is not None
    house.runtime.jobs.queue.cancel(job)
    house.finished(job)
    clock.seconds = 3601
    keeper.run_once()
    assert house.runtime.models.slot.resident is not None, "the minutes count from the end of the work"


def test_old_jobs_go_with_their_files_and_the_newest_stays(house: House) -> None:
    jobs = [house.draw() for _ in range(3)]
    housekeeping(house, keep_jobs_days=7).run_once()
    assert len(house.runtime.jobs.queue.list()) == 3, "nothing is old yet"
    housekeeping(house, days_ahead=8, keep_jobs_days=7).run_once()
    assert [job.id for job in house.runtime.jobs.queue.list()] == [jobs[2].id]
    with pytest.raises(JobNotFound):
        house.runtime.jobs.queue.get(jobs[0].id)
    output = house.runtime.jobs.outputs.output_dir
    assert not (output / jobs[0].id).exists()
    assert (output / jobs[2].id / "image_0.png").exists()


def test_surplus_jobs_go_oldest_first(house: House) -> None:
    jobs = [house.draw() for _ in range(4)]
    housekeeping(house, keep_jobs_count=2).run_once()
    assert [job.id for job in house.runtime.jobs.queue.list()] == [jobs[3].id, jobs[2].id]


def test_nothing_is_removed_or_unloaded_by_default(house: House) -> None:
    house.draw()
    house.draw()
    clock = Clock()
    keeper = housekeeping(house, clock, days_ahead=10_000)
    clock.seconds = 10**9
    keeper.run_once()
    assert len(house.runtime.jobs.queue.list()) == 2
    assert house.runtime.models.slot.resident is not None


def test_forced_unload_frees_the_model_once_its_last_job_is_done(house: House) -> None:
    held, bound = house.running(), house.submit()
    called = threading.Event()
    house.runtime.engine.calls.wake_on_call(called.set)
    unloading = threading.Thread(target=house.runtime.models.slot.unload, kwargs={"force": True})
    unloading.start()
    assert called.wait(20)
    house.runtime.jobs.queue.cancel(held)
    unloading.join(20)
    house.until(ModelUnloaded)
    assert house.finished(bound).status == "completed"
    house.until(ModelUnloaded)
    assert house.runtime.models.slot.resident is None


def test_clock_that_jumps_and_comes_back_removes_nothing(house: House) -> None:
    clock, days, removed = Clock(), [0.0], list[float]()
    config = HousekeepingConfig(keep_jobs_days=1)
    keeper = Housekeeping(
        config,
        house.runtime.jobs.queue,
        house.runtime.models.slot,
        UserSettings(house.runtime.settings.store, config),
        house.runtime.jobs.recycle_bin,
        by_age=(lambda: removed.append(clock.seconds),),
        clock=clock,
        now=lambda: utc_now() + timedelta(days=days[0]),
    )
    first = house.draw().id
    house.draw()
    keeper.run_once()
    days[0] = 2.0
    for _ in range(3):
        keeper.run_once()
        clock.seconds += 199
    days[0] = 0.0
    keeper.run_once()
    clock.seconds += 599
    keeper.run_once()
    assert removed == [0.0]
    assert house.runtime.jobs.queue.get(first).status == "completed"
    # A clock that stays where it is, is right.
    days[0] = 2.0
    keeper.run_once()
    clock.seconds += 600
    keeper.run_once()
    assert len(removed) == 2
    with pytest.raises(JobNotFound):
        house.runtime.jobs.queue.get(first)
