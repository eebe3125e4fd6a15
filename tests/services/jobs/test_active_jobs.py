"""The races between computing and cancelling, one lock at a time."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from sdcpp_rest.core.job import Job
from sdcpp_rest.engine.client import RunHandle
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from tests.services.conftest import PATIENCE_SECONDS


class Engine:
    def __init__(self) -> None:
        self.cancelled: list[int] = []

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)


def active_job() -> ActiveJob:
    return ActiveJob(Job(id="a", kind="txt2img", params={"steps": 4, "batch_count": 2}))


def handle() -> RunHandle:
    return RunHandle(7, Future(), Future())


def test_cancel_before_the_run_is_passed_on_when_there_is_one() -> None:
    active, engine = active_job(), Engine()
    assert active.request_cancel()
    assert engine.cancelled == []
    active.attach(engine, handle())  # type: ignore[arg-type]
    assert engine.cancelled == [7]


def test_cancel_during_the_run_names_the_run() -> None:
    active, engine = active_job(), Engine()
    active.attach(engine, handle())  # type: ignore[arg-type]
    assert active.request_cancel()
    assert engine.cancelled == [7]


def test_computed_and_cancelled_exclude_each_other() -> None:
    late, early = active_job(), active_job()
    assert late.mark_computed()
    assert not late.request_cancel()
    assert not late.cancel_requested
    assert early.request_cancel()
    assert not early.mark_computed()


def test_one_of_cancel_and_compute_wins_every_race() -> None:
    for _ in range(200):
        active, won, barrier = active_job(), [], threading.Barrier(2)

        def cancel(active: ActiveJob = active, won: list[str] = won, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if active.request_cancel():
                won.append("cancel")

        canceller = threading.Thread(target=cancel)
        canceller.start()
        barrier.wait()
        if active.mark_computed():
            won.append("compute")
        canceller.join()
        assert len(won) == 1


def test_users_cancel_outweighs_the_servers_stop() -> None:
    cancelled_first, stopped_first = active_job(), active_job()
    cancelled_first.request_cancel()
    cancelled_first.request_requeue()
    stopped_first.request_requeue()
    assert stopped_first.requeue_requested
    stopped_first.request_cancel()
    for active in (cancelled_first, stopped_first):
        assert active.cancel_requested
        assert not active.requeue_requested


def test_pixels_that_came_in_time_are_kept_when_the_server_stops() -> None:
    active = active_job()
    active.request_requeue()
    assert active.mark_computed(), "only a user may throw a picture away"


def test_wait_returns_when_the_run_is_computed() -> None:
    active, run = active_job(), handle()
    active.attach(Engine(), run)  # type: ignore[arg-type]
    result: list[bool] = []
    waiter = threading.Thread(target=lambda: result.append(active.wait_computed(run, lambda active: 0.0)))
    waiter.start()
    run.computed.set_result(None)  # type: ignore[arg-type]
    waiter.join(PATIENCE_SECONDS)
    assert result == [True]


def test_wait_gives_up_on_a_cancel_that_is_not_heard() -> None:
    active, run = active_job(), handle()
    active.attach(Engine(), run)  # type: ignore[arg-type]
    active.request_cancel()
    assert not active.wait_computed(run, lambda active: 0.01)


def test_phase_alone_does_not_touch_the_steps() -> None:
    active = active_job()
    active.advance(2, 4, 1, "sampling")
    progress = active.advance(0, 0, 1, "decoding")
    assert (progress.step, progress.total_steps, progress.current_image, progress.phase) == (2, 4, 1, "decoding")
    assert progress.percentage == 75.0


def test_cancelling_stays_visible_while_the_engine_goes_on() -> None:
    active = active_job()
    active.request_cancel()
    assert active.advance(1, 4, 0, "sampling").phase == "cancelling"
    assert active.engine_phase == "sampling"


def test_jobs_are_listed_until_they_are_removed() -> None:
    jobs = ActiveJobs()
    active = jobs.add(Job(id="a", kind="txt2img"))
    assert jobs.get("a") is active
    assert jobs.all() == [active]
    jobs.remove("a")
    jobs.remove("a")
    assert jobs.get("a") is None
    assert jobs.all() == []
