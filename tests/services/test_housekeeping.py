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
from tests.services.conftest import House


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def housekeeping(house: House, clock: Clock | None = None, days_ahead: float = 0.0, **settings: float) -> Housekeeping:
    return Housekeeping(
        HousekeepingConfig(**settings),
        house.runtime.queue,
        house.runtime.models,
        clock=clock or Clock(),
        now=lambda: utc_now() + timedelta(days=days_ahead),
    )


def test_idle_model_rests_and_the_next_job_loads_it_again(house: House) -> None:
    models, clock = house.runtime.models, Clock()
    keeper = housekeeping(house, clock, unload_after_idle_minutes=10)
    clock.seconds = 599
    keeper.look_around()
    assert models.resident is not None
    clock.seconds = 601
    keeper.look_around()
    assert models.resident is None
    assert models.selected is not None, "it is still the chosen one"
    assert house.runtime.health()["model_loaded"] is False
    assert house.draw().status == "completed"
    assert models.resident is not None


def test_resting_model_is_not_loaded_by_itself(house: House) -> None:
    models = house.runtime.models
    models.rest()
    # A second call goes through the dispatcher's whole turn: had it restored the model, this would show it.
    models.rest()
    assert models.resident is None


def test_running_job_is_not_idleness(house: House) -> None:
    clock = Clock()
    keeper = housekeeping(house, clock, unload_after_idle_minutes=1)
    job = house.running()
    clock.seconds = 3600
    keeper.look_around()
    assert house.runtime.models.resident is not None
    house.runtime.queue.cancel(job)
    house.finished(job)
    clock.seconds = 3601
    keeper.look_around()
    assert house.runtime.models.resident is not None, "the minutes count from the end of the work"


def test_old_jobs_go_with_their_files_and_the_newest_stays(house: House) -> None:
    jobs = [house.draw() for _ in range(3)]
    housekeeping(house, keep_jobs_days=7).look_around()
    assert len(house.runtime.queue.list()) == 3, "nothing is old yet"
    housekeeping(house, days_ahead=8, keep_jobs_days=7).look_around()
    assert [job.id for job in house.runtime.queue.list()] == [jobs[2].id]
    with pytest.raises(JobNotFound):
        house.runtime.queue.get(jobs[0].id)
    output = house.runtime.outputs.output_dir
    assert not (output / jobs[0].id).exists()
    assert (output / jobs[2].id / "image_0.png").exists()


def test_surplus_jobs_go_oldest_first(house: House) -> None:
    jobs = [house.draw() for _ in range(4)]
    housekeeping(house, keep_jobs_count=2).look_around()
    assert [job.id for job in house.runtime.queue.list()] == [jobs[3].id, jobs[2].id]


def test_nothing_is_removed_or_unloaded_by_default(house: House) -> None:
    house.draw()
    house.draw()
    clock = Clock()
    keeper = housekeeping(house, clock, days_ahead=10_000)
    clock.seconds = 10**9
    keeper.look_around()
    assert len(house.runtime.queue.list()) == 2
    assert house.runtime.models.resident is not None


def test_forced_unload_frees_the_model_once_its_last_job_is_done(house: House) -> None:
    held, bound = house.running(), house.submit()
    called = threading.Event()
    wake, house.runtime.models.on_call = house.runtime.models.on_call, lambda: (called.set(), wake())
    unloading = threading.Thread(target=house.runtime.models.unload, kwargs={"force": True})
    unloading.start()
    assert called.wait(20)
    house.runtime.queue.cancel(held)
    unloading.join(20)
    house.until(ModelUnloaded)
    assert house.finished(bound).status == "completed"
    house.until(ModelUnloaded)
    assert house.runtime.models.resident is None
