"""Jobs of a whole house: what is told of their end while they run, and what is learned from them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sdcpp_rest.core.events import JobProgress
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.job_work import Work
from sdcpp_rest.services.dispatch import job_timing, run_reports
from sdcpp_rest.services.dispatch.job_timing import work_of
from sdcpp_rest.services.models.speeds import Forecast
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest
from tests.services.conftest import Gate, House, png_text


def learned(house: House, job: Job) -> Forecast:
    """What another job like this one would take; asked for once all that have ended were learned from."""
    house.runtime.engine.finishing._thread.submit(lambda: None).result()
    speeds = house.runtime.estimates.speeds
    params = job_timing.params_of(job.kind, job.params)
    bound = speeds.bind(job.load_spec, job_timing.upscaler_of(params))
    return speeds.forecast(bound, work_of(params, job.inputs, job.load_spec), is_resident=False)


def test_a_completed_job_teaches_its_speed(house: House) -> None:
    job = house.finished(house.submit("fake:step=0.01", steps=4))
    found = learned(house, job)
    assert (found.jobs, found.is_exact) == (1, True)
    assert found.expected.step is not None
    assert 0.005 < found.expected.step < 5
    assert found.expected.load is not None, "the load at the start was one"
    house.finished(house.submit("fake:step=0.01", steps=4))
    assert learned(house, job).jobs == 2


@pytest.mark.parametrize("prompt", ["fake:fail", "fake:blank"])
def test_a_job_that_fails_teaches_nothing(house: House, prompt: str) -> None:
    assert learned(house, house.finished(house.submit(prompt, steps=4))).jobs == 0


def test_a_cancelled_job_teaches_nothing(house: House) -> None:
    gate = Gate()
    house.at_step = lambda command, step: gate() if step == 3 else None
    job_id = house.submit(steps=4)
    gate.wait()
    house.runtime.jobs.queue.cancel(job_id)
    gate.open()
    job = house.finished(job_id)
    assert job.status == "cancelled"
    assert learned(house, job).jobs == 0


def test_a_running_job_tells_its_pace_and_its_rest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_reports, "_PROGRESS_PAUSE_SECONDS", 0.0)
    gate = Gate()
    house.at_step = lambda command, step: gate() if step == 4 else None
    job_id = house.submit("fake:step=0.01", steps=6, batch_count=2)
    told = house.until(JobProgress, job_id=job_id, step=3)
    gate.wait()
    active = house.runtime.jobs.active.get(job_id)
    assert active is not None
    pace = active.pace
    gate.open()
    assert told.seconds_per_step is not None
    assert told.picture_eta_seconds is not None
    assert told.eta_seconds is not None
    assert told.seconds_per_step >= 0.01
    assert told.eta_seconds > told.picture_eta_seconds > 0
    assert pace.eta_seconds is not None


def test_the_second_job_knows_its_rest_before_its_first_step(house: House) -> None:
    learned(house, house.finished(house.submit("fake:step=0.01", steps=4)))
    gate = Gate()
    house.at_step = lambda command, step: gate()
    job_id = house.submit("fake:step=0.01", steps=4)
    gate.wait()
    active = house.runtime.jobs.active.get(job_id)
    assert active is not None
    assert active.pace.seconds_per_step is not None
    assert (active.pace.eta_seconds or 0) > 0
    gate.open()
    house.finished(job_id)


def test_upscaling_is_learned_too(house: House) -> None:
    house.runtime.models.upscalers.load("esrgan_x2", -1, 128)
    submitted, _ = house.runtime.submission.upscales.submit(
        UpscaleRequest(image_base64=png_text(8, 8), upscale_factor=4)
    )
    job = house.finished(submitted.id)
    assert job.status == "completed", job.error
    params = job_timing.params_of(job.kind, job.params)
    speeds = house.runtime.estimates.speeds
    house.runtime.engine.finishing._thread.submit(lambda: None).result()
    bound = speeds.bind(None, job_timing.upscaler_of(params))
    found = speeds.forecast(bound, Work(way="upscale", enlarged=6.4e-05 * 5), is_resident=True)
    assert found.jobs == 1


def test_trouble_with_timing_costs_no_job(house: House, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    speeds = house.runtime.estimates.speeds
    for name in ("bind", "note_job", "note_load"):
        monkeypatch.setattr(speeds, name, fail)
    with caplog.at_level(logging.ERROR):
        assert house.finished(house.submit()).status == "completed"
    assert "is not timed" in caplog.text
