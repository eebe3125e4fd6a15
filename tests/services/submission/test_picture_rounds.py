from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sdcpp_rest.core.events import JobPreview, JobProgress, JobStatusChanged
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import Conflict, EngineDied, EngineUnavailable, GenerationFailed, InvalidRequest, QueueFull
from sdcpp_rest.services.submission.picture_rounds import PictureRequest, Round, RoundResult, select_completed
from tests.services.conftest import PATIENCE_SECONDS, Gate, House

ME = "client:me"
SMALL = {"prompt": "a cat", "width": 8, "height": 8, "steps": 2}


class Caller:
    """Somebody who draws a round on a thread of their own."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.rounds = house.runtime.submission.rounds
        self._pool = ThreadPoolExecutor(4)
        self.opened: Round | None = None

    def draw(self, *prompts: str, owner: str = ME, token: str | None = None) -> Future[list[RoundResult]]:
        is_open = threading.Event()

        def submit(k: int) -> Job:
            asked = {"prompt": prompts[k], "width": 8, "height": 8, "steps": 2, "seed": 10 + k}
            return self.house.runtime.submission.pictures.picture("txt2img", asked, owner=owner)[0]

        def work() -> list[RoundResult]:
            with self.rounds.open(owner, "txt2img", len(prompts), token) as opened:
                self.opened = opened
                is_open.set()
                self.rounds.submit(opened, submit)
                return self.rounds.take_all(opened)

        future = self._pool.submit(work)
        assert is_open.wait(PATIENCE_SECONDS)
        return future


@pytest.fixture
def caller(house: House) -> Caller:
    return Caller(house)


@contextlib.contextmanager
def series(house: House, count: int, owner: str | None = None, **asked: object) -> Iterator[Round]:
    """An open round of pictures that differ in their seeds, submitted."""
    with house.runtime.submission.rounds.open(owner, "txt2img", count) as opened:
        request = PictureRequest("txt2img", {**SMALL, **asked})
        house.runtime.submission.rounds.submit_series(opened, request, origin="test")
        yield opened


def ends(future: Future[list[RoundResult]]) -> list[str]:
    return [one.job.status for one in future.result(PATIENCE_SECONDS)]


def test_a_round_is_drawn_in_order(caller: Caller) -> None:
    drawn = caller.draw("a", "b", "c").result(PATIENCE_SECONDS)
    assert [(one.index, one.job.params["prompt"]) for one in drawn] == [(0, "a"), (1, "b"), (2, "c")]
    assert {one.job.status for one in drawn} == {"completed"}
    assert caller.rounds.progress_of(ME) is None


def test_interrupt_keeps_what_is_finished_and_the_last_preview(caller: Caller) -> None:
    future = caller.draw("a", "b fake:step=30", "c")
    first = caller.house.until(JobProgress, phase="conditioning").job_id
    # In either order: the first job's files are written beside the second one's compute.
    is_done = is_begun = False
    while not (is_done and is_begun):
        event = caller.house.mailbox.get(PATIENCE_SECONDS)
        assert event is not None, "the second job did not begin, or the first did not end"
        is_done |= isinstance(event, JobStatusChanged) and (event.job_id, event.status) == (first, "completed")
        is_begun |= isinstance(event, JobProgress) and event.job_id != first and event.phase == "conditioning"
    assert caller.rounds.interrupt(ME)
    drawn = future.result(PATIENCE_SECONDS)
    assert [one.job.status for one in drawn] == ["completed", "cancelled", "cancelled"]
    assert drawn[2].last_preview is None, "it never began"


def test_the_last_preview_of_an_interrupted_job_is_kept(caller: Caller) -> None:
    gate, at_second = threading.Event(), threading.Event()

    def at_step(command: object, step: int) -> None:
        if step == 2:
            at_second.set()
            assert gate.wait(PATIENCE_SECONDS)

    caller.house.at_step = at_step
    future = caller.draw("a")
    assert at_second.wait(PATIENCE_SECONDS)
    caller.house.until(JobPreview)
    assert caller.rounds.interrupt(ME)
    gate.set()
    (drawn,) = future.result(PATIENCE_SECONDS)
    assert drawn.job.status == "cancelled"
    assert drawn.last_preview is not None
    assert drawn.last_preview.startswith(b"\xff\xd8")


def test_jobs_that_need_the_one_before_are_drawn_one_by_one(house: House) -> None:
    rounds = house.runtime.submission.rounds
    with rounds.open(ME, "txt2img", 3) as opened:
        first = rounds.draw_next_picture(opened, PictureRequest("txt2img", {**SMALL, "seed": 5}), origin="test")
        assert first is not None
        progress = rounds.progress_of(ME)
        assert progress is not None
        assert progress.round is opened, "there is more to come, though the queue is empty"
        following = int(first.job.params["seed"]) + 1
        second = rounds.draw_next_picture(
            opened, PictureRequest("txt2img", {**SMALL, "seed": following}), origin="test"
        )
        assert second is not None
        assert (second.index, second.job.params["seed"], second.job.status) == (1, 6, "completed")
        rounds.submit_pictures(opened, lambda k: PictureRequest("txt2img", {**SMALL, "seed": 10 + k}), origin="test")
        assert [one.job.params["seed"] for one in rounds.take_all(opened)] == [5, 6, 12], "what is left of the count"
    assert rounds.progress_of(ME) is None


def test_an_interrupt_between_two_jobs_is_noticed_before_the_next(house: House) -> None:
    rounds = house.runtime.submission.rounds
    with rounds.open(ME, "txt2img", 2) as opened:
        request = PictureRequest("txt2img", SMALL)
        assert rounds.draw_next_picture(opened, request, origin="test") is not None
        assert rounds.interrupt(ME)
        assert rounds.draw_next_picture(opened, request, origin="test") is None
        assert len(opened.jobs) == 1


def test_an_interrupt_while_the_next_job_is_submitted_stops_it(house: House) -> None:
    rounds = house.runtime.submission.rounds

    def submit(k: int) -> Job:
        job = house.runtime.submission.pictures.picture("txt2img", {**SMALL, "prompt": "fake:hold"}, owner=ME)[0]
        assert rounds.interrupt(ME)
        return job

    with rounds.open(ME, "txt2img", 2) as opened:
        drawn = rounds.draw_next(opened, submit)
        assert drawn is not None
        assert drawn.job.status == "cancelled"


def test_skip_goes_on_with_the_next(caller: Caller) -> None:
    future = caller.draw("a fake:hold", "b")
    caller.house.until(JobProgress, phase="conditioning")
    assert caller.rounds.skip(ME)
    assert ends(future) == ["cancelled", "completed"]


def test_nobody_stops_the_work_of_another(caller: Caller) -> None:
    future = caller.draw("a fake:hold", owner="client:other")
    caller.house.until(JobProgress, phase="conditioning")
    assert not caller.rounds.interrupt(ME)
    assert not caller.rounds.skip(ME)
    assert caller.rounds.progress_of(ME) is None
    assert caller.rounds.interrupt(None), "unless anybody's work is meant"
    assert ends(future) == ["cancelled"]


def test_ones_own_work_that_waits_behind_another_is_stopped_before_it_begins(caller: Caller) -> None:
    held = caller.draw("fake:hold", owner="client:other")
    caller.house.until(JobProgress, phase="conditioning")
    mine = caller.draw("a", "b")
    found = caller.rounds.progress_of(ME)
    assert found is not None
    assert found.active is None
    assert caller.rounds.interrupt(ME)
    assert set(ends(mine)) == {"cancelled"}
    assert not held.done()
    caller.rounds.interrupt(None)
    assert ends(held) == ["cancelled"]


def test_a_job_that_nobody_waits_for_is_its_owners_too(caller: Caller) -> None:
    job_id = caller.house.running(owner=ME)
    found = caller.rounds.progress_of(ME)
    assert found is not None
    assert found.round is None
    assert caller.rounds.interrupt(ME)
    assert caller.house.finished(job_id).status == "cancelled"


def test_so_is_one_that_waits(caller: Caller) -> None:
    held = caller.house.running()
    job_id = caller.house.submit(owner=ME)
    assert caller.rounds.interrupt(ME)
    assert caller.house.finished(job_id).status == "cancelled"
    assert caller.house.runtime.jobs.queue.get(held).status == "processing"
    caller.house.runtime.jobs.queue.cancel(held)


def test_a_failure_ends_the_round_and_what_was_to_follow(caller: Caller) -> None:
    future = caller.draw("a", "fake:fail", "fake:hold")
    with pytest.raises(GenerationFailed, match="asked to fail"):
        future.result(PATIENCE_SECONDS)
    assert caller.house.runtime.jobs.queue.counts()["pending"] == 0


def test_a_refused_submission_takes_the_others_along(caller: Caller) -> None:
    held = caller.house.running()
    future = caller.draw("a", "b", "c (x:.)")
    with pytest.raises(InvalidRequest):
        future.result(PATIENCE_SECONDS)
    assert caller.house.runtime.jobs.queue.counts()["pending"] == 0
    caller.house.runtime.jobs.queue.cancel(held)


def test_a_round_is_found_by_its_token_while_it_lasts(caller: Caller) -> None:
    held = caller.house.running()
    future = caller.draw("fake:hold", token="mine")
    assert caller.rounds.waiting_tokens(None) == ["mine"]
    assert caller.rounds.waiting_tokens("client:other") == []
    found = caller.rounds.find("mine")
    assert found is not None
    assert found.active is None
    caller.house.runtime.jobs.queue.cancel(held)
    caller.house.until(JobProgress, phase="conditioning")
    found = caller.rounds.find("mine")
    assert found is not None
    assert found.active is not None
    assert caller.rounds.waiting_tokens(None) == []
    assert not caller.rounds.has_ended("mine")
    caller.rounds.interrupt(ME)
    assert ends(future) == ["cancelled"]
    assert caller.rounds.find("mine") is None
    assert caller.rounds.has_ended("mine")


def test_with_nothing_to_stop_nothing_happens(caller: Caller) -> None:
    assert not caller.rounds.interrupt(None)
    assert not caller.rounds.skip(None)


def test_a_picture_whose_file_is_being_written_is_not_thrown_away(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, make_house: Callable[..., House]
) -> None:
    outputs = caller.house.runtime.jobs.outputs
    publish, writing, go_on = outputs.publish, threading.Event(), threading.Event()

    def slow(*arguments: object) -> tuple[str, ...]:
        writing.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(outputs, "publish", slow)
    future = caller.draw("a")
    assert writing.wait(PATIENCE_SECONDS)
    caller.rounds.interrupt(ME)
    go_on.set()
    assert ends(future) == ["completed"]


# --- pictures that differ in their seeds ----------------------------------------------------------------------------


def test_runs_differ_in_their_seeds_alone(house: House) -> None:
    with series(house, 3, owner="me", seed=7) as opened:
        done = select_completed(house.runtime.submission.rounds.take_all(opened))
    assert [job.params["seed"] for job in done] == [7, 8, 9]
    assert {(job.origin, job.owner, job.status) for job in done} == {("test", "me", "completed")}
    assert len({str({**job.params, "seed": 0}) for job in done}) == 1


def test_a_drawn_seed_counts_on(house: House) -> None:
    with series(house, 3) as opened:
        first = opened.jobs[0].params["seed"]
        assert [job.params["seed"] for job in opened.jobs] == [first, first + 1, first + 2]


def test_all_are_taken_or_none(make_house: Callable[..., House]) -> None:
    house = make_house("limits.pending_jobs=2").start()
    gate = house.at_step = Gate()
    house.submit()
    gate.wait()
    with pytest.raises(QueueFull), series(house, 3):
        pass
    assert house.runtime.jobs.queue.counts()["pending"] == 0
    gate.open()
    with pytest.raises(InvalidRequest), series(house, 3, steps=0):
        pass


# --- when not all goes well -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prompt", "kind"), [("fake:fail", GenerationFailed), ("fake:die", EngineDied)])
def test_the_first_failure_ends_the_rest(house: House, prompt: str, kind: type[Exception]) -> None:
    with pytest.raises(kind), series(house, 3, prompt=prompt) as opened:  # noqa: PT012
        # Paused any earlier, the queue would never start the one that is to fail.
        house.until(JobStatusChanged, job_id=opened.jobs[0].id, status="processing")
        house.runtime.jobs.queue.pause()
        house.runtime.submission.rounds.take_all(opened)
    assert house.runtime.jobs.queue.counts()["pending"] == 0


def test_pictures_that_were_finished_before_a_failure_stay_in_the_queues_list(caller: Caller) -> None:
    future = caller.draw("a", "fake:fail")
    with pytest.raises(GenerationFailed):
        future.result(PATIENCE_SECONDS)
    (done,) = caller.house.runtime.jobs.queue.list(status={"completed"})
    assert caller.house.output(done).exists()


def test_what_was_cancelled_is_left_out(house: House) -> None:
    gate = house.at_step = Gate()
    with series(house, 3, seed=1) as opened:
        gate.wait()
        house.runtime.jobs.queue.cancel(opened.jobs[1].id)
        gate.open()
        done = select_completed(house.runtime.submission.rounds.take_all(opened))
    assert [job.params["seed"] for job in done] == [1, 3]


def test_nothing_left_is_a_conflict(house: House) -> None:
    house.runtime.jobs.queue.pause()
    with series(house, 2) as opened:
        for job in opened.jobs:
            house.runtime.jobs.queue.cancel(job.id)
        with pytest.raises(Conflict):
            select_completed(house.runtime.submission.rounds.take_all(opened))


def test_a_server_that_stops_releases_who_waits_and_keeps_the_jobs(house: House) -> None:
    house.runtime.jobs.queue.pause()

    def work() -> None:
        with series(house, 2) as opened:
            submitted.set()
            house.runtime.submission.rounds.take_all(opened)

    submitted = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work)
        assert submitted.wait(PATIENCE_SECONDS)
        house.runtime.jobs.queue.close()
        with pytest.raises(EngineUnavailable):
            waiting.result(PATIENCE_SECONDS)
    assert house.runtime.jobs.queue.counts()["pending"] == 2


def test_who_leaves_takes_what_is_not_finished_along(house: House) -> None:
    gate = house.at_step = Gate()
    with series(house, 3) as opened:
        gate.wait()
    gate.open()
    assert {house.finished(job_id).status for job_id in opened.job_ids} == {"cancelled"}


def test_who_leaves_while_the_others_are_submitted_leaves_none_behind(house: House) -> None:
    rounds, caller = house.runtime.submission.rounds, contextlib.ExitStack()

    def submit(k: int) -> Job:
        if k == 1:
            caller.close()
        return house.runtime.submission.pictures.picture("txt2img", {**SMALL, "prompt": "fake:hold"}, owner=ME)[0]

    opened = caller.enter_context(rounds.open(ME, "txt2img", 3))
    rounds.submit(opened, submit)
    assert len(opened.jobs) == 2
    assert {house.finished(job_id).status for job_id in opened.job_ids} == {"cancelled"}


def test_who_leaves_while_a_file_is_written_does_not_throw_the_picture_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, gate = house.runtime.jobs.outputs.publish, Gate()

    def slow(*arguments: object) -> tuple[str, ...]:
        gate()
        return publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(house.runtime.jobs.outputs, "publish", slow)
    with series(house, 1) as opened:
        gate.wait()
    gate.open()
    assert house.finished(opened.job_ids[0]).status == "completed"


def test_who_waits_for_other_things_too_is_told_of_an_end(house: House) -> None:
    with series(house, 2) as opened:
        rounds, is_over = house.runtime.submission.rounds, threading.Event()
        rounds.ending(opened, 1).add_done_callback(lambda _: is_over.set())
        assert is_over.wait(PATIENCE_SECONDS)
        assert rounds.take(opened, 1).job.status == "completed"
        assert opened.finished == 1, "the first has not been looked at"
