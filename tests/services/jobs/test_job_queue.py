"""The queue over a whole house: order, events, what a finished job leaves behind, cancelling and waiting."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from PIL import Image

from sdcpp_rest.core.events import JobStatusChanged, QueuePaused, QueueResumed
from sdcpp_rest.core.infotext import parse
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import Conflict, EngineUnavailable, JobNotFound, QueueFull, WaitTimeout
from tests.services.conftest import PATIENCE_SECONDS, Gate, House, of_job, shown

# --- order ------------------------------------------------------------------------------------------------------------


def test_jobs_run_in_the_order_of_submission(any_house: House) -> None:
    first = any_house.running()
    others = [any_house.submit(f"number {k}") for k in range(4)]
    queue = any_house.runtime.jobs.queue
    assert queue.position(first) is None, "a running job has left the queue"
    assert [queue.position(job_id) for job_id in others] == [1, 2, 3, 4]
    queue.cancel(first)
    jobs = [any_house.finished(job_id) for job_id in others]
    started = [job.started_at for job in jobs]
    assert all(started)
    assert started == sorted(started)  # type: ignore[type-var]
    assert [job.status for job in jobs] == ["completed"] * 4


def test_a_submission_is_told_its_place(house: House) -> None:
    house.running()
    submission = house.runtime.submission.pictures
    places = [submission.picture("txt2img", {"prompt": "a", "width": 8, "height": 8})[1] for _ in range(3)]
    assert places == [1, 2, 3]


def test_who_takes_other_kinds_is_not_woken_by_a_submission(house: House) -> None:
    queue = house.runtime.jobs.queue
    woken: list[str] = []
    queue.wake_on_submit(lambda: woken.append("files"), {"model_hash"})
    queue.wake_on_submit(lambda: woken.append("pictures"), {"txt2img"})
    house.running()
    assert woken == ["pictures"]
    queue.submit("model_hash", {})
    assert woken == ["pictures", "files"]
    queue.pause()
    queue.resume()
    assert woken == ["pictures", "files", "files", "pictures"]


def test_cancelled_job_makes_room_in_the_queue(house: House) -> None:
    house.running()
    queue = house.runtime.jobs.queue
    first, second = house.submit(), house.submit()
    queue.cancel(first)
    assert queue.position(second) == 1


def test_a_job_that_finds_no_room_is_refused_and_leaves_nothing(make_house: Callable[..., House], png: str) -> None:
    house = make_house("limits.pending_jobs=2").start()
    house.running()
    house.submit()
    house.submit()
    with pytest.raises(QueueFull, match=r"2 jobs are pending and limits.pending_jobs is 2") as caught:
        house.submit(images={"init_image": png})
    assert caught.value.detail == {"limit": 2, "pending": 2}
    assert house.runtime.jobs.queue.counts()["total"] == 3
    assert list((house.config.paths.data_dir / "inputs").iterdir()) == []


def test_a_job_moved_to_the_front_is_the_next_one(house: House) -> None:
    running = house.running()
    first, second, third = house.submit(), house.submit(), house.submit()
    queue = house.runtime.jobs.queue
    assert queue.to_front(third).id == third
    assert queue.positions() == {third: 1, first: 2, second: 3}
    queue.cancel(running)
    started = [house.finished(job_id).started_at for job_id in (third, first, second)]
    assert started == sorted(started)  # type: ignore[type-var]


def test_only_a_waiting_job_can_be_moved_to_the_front(house: House) -> None:
    done, running = house.draw().id, house.running()
    for job_id, status in ((done, "completed"), (running, "processing")):
        with pytest.raises(Conflict, match=status):
            house.runtime.jobs.queue.to_front(job_id)
    with pytest.raises(JobNotFound):
        house.runtime.jobs.queue.to_front("nobody")


# --- pausing ----------------------------------------------------------------------------------------------------------


def test_a_paused_queue_finishes_what_runs_and_begins_nothing(house: House) -> None:
    gate, queue = Gate(), house.runtime.jobs.queue
    house.at_step = lambda command, step: gate() if step == 1 else None
    running, waiting = house.submit(), house.submit()
    gate.wait()
    assert queue.pause()
    assert not queue.pause(), "it was paused already"
    gate.open()
    assert house.finished(running).status == "completed"
    later = house.submit()
    # A call goes through the dispatcher's whole turn: had it taken a job, this would show it.
    house.runtime.models.slot.unload_keeping_selection()
    assert [queue.get(job_id).status for job_id in (waiting, later)] == ["pending", "pending"]
    assert queue.is_busy is False, "the model may rest while nothing is going to need it"
    assert queue.resume()
    assert not queue.resume()
    assert [house.finished(job_id).status for job_id in (waiting, later)] == ["completed", "completed"]


def test_a_pause_is_told_once_and_so_is_its_end(house: House) -> None:
    queue = house.runtime.jobs.queue
    for verb in (queue.pause, queue.pause, queue.resume, queue.resume):
        verb()
    told = [event.name for event in house.mailbox.drain() if isinstance(event, (QueuePaused, QueueResumed))]
    assert told == ["queue_paused", "queue_resumed"]


def test_a_pause_outlives_the_server(make_house: Callable[..., House]) -> None:
    house = make_house().start()
    house.runtime.jobs.queue.pause()
    job_id = house.submit()
    house.stop()
    again = make_house().start()
    assert again.runtime.jobs.queue.is_paused
    again.runtime.models.slot.unload_keeping_selection()
    assert again.runtime.jobs.queue.get(job_id).status == "pending"
    again.runtime.jobs.queue.resume()
    assert again.finished(job_id).status == "completed"
    again.stop()
    assert not make_house().runtime.jobs.queue.is_paused


def test_a_cancel_works_while_the_queue_is_paused(house: House) -> None:
    house.runtime.jobs.queue.pause()
    job_id = house.submit()
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelled"


# --- events -----------------------------------------------------------------------------------------------------------


def test_every_listener_hears_of_a_job_in_its_natural_order(any_house: House) -> None:
    bus = any_house.runtime.jobs.bus
    with bus.subscribe() as one, bus.subscribe() as two:
        job_ids = [any_house.submit(f"number {k}", steps=3) for k in range(3)]
        for job_id in job_ids:
            any_house.finished(job_id)
        any_house.draw("one more: the row comes before the event, which has been told now")
        heard = one.drain(), two.drain()
    assert [of_job(heard[0], job_id) for job_id in job_ids] == [of_job(heard[1], job_id) for job_id in job_ids]
    for job_id in job_ids:
        words = [shown(event) for event in of_job(heard[0], job_id)]
        assert words[:2] == ["added", "processing"]
        assert words[-1] == "completed"
        assert set(words[2:-1]) in ({"progress"}, {"progress", "preview"}), "a quick run's previews may be gone unread"


@pytest.mark.slow
def test_nothing_of_a_job_is_heard_after_its_end(any_house: House) -> None:
    """Twenty jobs that finish while the next one computes: a late progress event would show."""
    job_ids = [any_house.submit(f"number {k}", steps=3) for k in range(20)]
    any_house.finished(job_ids[-1])
    any_house.draw("one more, so that everything late has arrived")
    events = any_house.mailbox.drain()
    for job_id in job_ids:
        assert shown(of_job(events, job_id)[-1]) == "completed"


def test_files_are_there_when_the_end_is_told(any_house: House) -> None:
    found: list[bool] = []
    with any_house.runtime.jobs.bus.subscribe() as mailbox:

        def look() -> None:
            for event in mailbox.drain():
                if isinstance(event, JobStatusChanged) and event.status == "completed":
                    outputs = any_house.config.paths.output_dir
                    files = [outputs / path for path in event.outputs] + [outputs / event.job_id / "config.json"]
                    row = any_house.runtime.jobs.queue.get(event.job_id)
                    found.append(all(file.is_file() for file in files) and row.status == "completed")

        mailbox.on_ready(look)
        for _ in range(4):
            any_house.draw(batch_count=2)
    assert found[:3] == [True] * 3


def test_an_event_that_a_listener_chokes_on_does_not_stop_the_queue(house: House) -> None:
    def choke() -> None:
        raise RuntimeError("the event loop is closed")

    with house.runtime.jobs.bus.subscribe() as mailbox:
        mailbox.on_ready(choke)
        assert house.draw().status == "completed"


# --- what a finished job leaves behind --------------------------------------------------------------------------------


def test_record_is_enough_to_draw_the_picture_again(any_house: House) -> None:
    first = any_house.draw("a red circle", seed=-1, cfg_scale=1.5, negative_prompt="blue", title=" t", origin="test")
    record = json.loads((any_house.config.paths.output_dir / first.id / "config.json").read_text(encoding="utf-8"))
    assert record["job_id"] == first.id
    assert record["outputs"] == list(first.outputs) == [f"{first.id}/image_0.png"]
    assert record["type"] == "txt2img"
    assert (record["title"], record["origin"]) == (" t", "test")
    assert record["library_version"] == "fake"
    assert record["timings"]["native_seconds"] == first.timings.native_seconds
    spec, params = any_house.runtime.models.slot.selected, ImageParams.model_validate(record["params"])
    assert spec is not None
    assert record["model"]["model"] == {"name": spec.model.name}
    assert record["model"]["components"] == {role: {"name": file.name} for role, file in spec.components.items()}
    assert record["model"]["options"] == spec.options.model_dump(mode="json")
    assert str(any_house.config.paths.data_dir.parent) not in json.dumps(record), "it lies in a folder that is served"
    assert (params.cfg_scale, params.negative_prompt, params.sampler) == (1.5, "blue", "euler")
    again = any_house.draw(**params.model_dump(exclude={"loras"}), spec=spec)
    assert again.params == first.params
    assert any_house.output(again).read_bytes() == any_house.output(first).read_bytes()


def test_picture_carries_its_parameters(any_house: House) -> None:
    job = any_house.draw("a red circle", seed=41, batch_count=2)
    for k in range(2):
        with Image.open(any_house.output(job, k)) as picture:
            assert picture.size == (8, 8)
            words = parse(picture.text["parameters"])  # type: ignore[attr-defined]
        assert words["Prompt"] == "a red circle"
        assert words["Seed"] == str(41 + k), "picture k of a batch has seed + k"
        assert words["Model"] == "demo_dit_q8_0"
        assert (words["Steps"], words["Sampler"], words["Size-1"]) == ("2", "Euler", "8")


def test_pictures_of_a_batch_are_those_of_their_seeds(house: House) -> None:
    batch = house.draw(seed=7, batch_count=3)
    single = house.draw(seed=9)
    with Image.open(house.output(batch, 2)) as third, Image.open(house.output(single)) as alone:
        assert third.tobytes() == alone.tobytes()


def test_random_seed_is_drawn_by_the_server_and_kept(house: House) -> None:
    seeds = {int(house.draw(**asked).params["seed"]) for asked in ({}, {"seed": -1}, {"seed": -1})}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_finished_folder_holds_the_pictures_and_the_record_only(any_house: House) -> None:
    job = any_house.draw(steps=5)
    folder = any_house.config.paths.output_dir / job.id
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "image_0.png"]
    assert any_house.visible() == [job.id]


def test_timings_are_filled(any_house: House) -> None:
    job = any_house.draw("fake:step=0.01", steps=3)
    assert job.timings.native_seconds >= 0.03
    assert job.timings.encode_seconds > 0
    assert job.timings.queued_seconds >= 0
    assert job.timings.load_seconds == 0, "the model was there already"
    assert job.started_at
    assert job.completed_at
    assert job.created_at <= job.started_at <= job.completed_at


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_cancel_of_a_pending_job(house: House, png: str) -> None:
    house.running()
    job_id = house.submit(images={"init_image": png})
    inputs = house.runtime.jobs.outputs.inputs_of(job_id)
    assert inputs.is_dir()
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelled"
    assert house.runtime.jobs.queue.get(job_id).status == "cancelled"
    assert inputs.is_dir(), "it may be asked for again"
    words = [shown(event) for event in of_job(house.mailbox.drain(), job_id)]
    assert words == ["added", "cancelled", "cancelled_event"]
    house.runtime.jobs.recycle_bin.delete([job_id])
    house.runtime.jobs.recycle_bin.purge(job_id)
    assert not inputs.exists()


@pytest.mark.parametrize("prompt", ["a red circle", "fake:fail"])
def test_cancel_of_a_finished_job_is_refused(house: House, prompt: str) -> None:
    job = house.draw(prompt)
    with pytest.raises(Conflict, match="Cannot cancel job"):
        house.runtime.jobs.queue.cancel(job.id)
    assert house.runtime.jobs.queue.get(job.id) == job


def test_cancel_of_an_unknown_job_is_refused(house: House) -> None:
    with pytest.raises(Conflict, match="not found"):
        house.runtime.jobs.queue.cancel("nobody")


def test_second_cancel_is_refused(house: House) -> None:
    house.running()
    job_id = house.submit()
    house.runtime.jobs.queue.cancel(job_id)
    with pytest.raises(Conflict):
        house.runtime.jobs.queue.cancel(job_id)


# --- looking and waiting ----------------------------------------------------------------------------------------------


def test_progress_is_live_and_complete_at_the_end(house: House) -> None:
    gate = Gate()
    house.at_step = lambda command, step: gate() if step == 3 else None
    job_id = house.submit(steps=4)
    gate.wait()
    queue = house.runtime.jobs.queue
    late = threading.Event()
    for _ in range(PATIENCE_SECONDS * 100):
        progress = queue.progress(queue.get(job_id))
        if progress.step == 2:
            break
        late.wait(0.01)  # quick steps are not all published: there is no event to wait for
    assert (progress.step, progress.total_steps, progress.phase) == (2, 4, "sampling")
    assert queue.counts()["processing"] == 1
    gate.open()
    job = house.finished(job_id)
    assert queue.progress(job).percentage == 100.0
    assert queue.progress(job).phase == "done"
    assert queue.counts() == {
        "pending": 0, "processing": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1,
    }  # fmt: skip


def test_progress_of_a_failed_job_claims_nothing(house: House) -> None:
    job = house.draw("fake:fail")
    progress = house.runtime.jobs.queue.progress(job)
    assert (progress.step, progress.phase) == (0, "done")


def test_list_shows_active_jobs_first_and_can_be_filtered(house: House) -> None:
    done = house.draw("a red circle").id
    failed = house.draw("fake:fail").id
    running = house.running()
    waiting = house.submit()
    queue = house.runtime.jobs.queue
    assert [job.id for job in queue.list()] == [running, waiting, failed, done]
    assert [job.id for job in queue.list(status=["failed"])] == [failed]
    assert [job.id for job in queue.list(search="RED circle", status=["completed"])] == [done]


def test_wait_gives_up_in_time_and_the_job_goes_on(house: House) -> None:
    job_id = house.running()
    with pytest.raises(WaitTimeout, match=r"not finished within 0.05 s"):
        house.runtime.jobs.queue.wait(job_id, 0.05)
    assert house.runtime.jobs.queue.get(job_id).status == "processing"


def test_wait_for_an_unknown_job(house: House) -> None:
    with pytest.raises(JobNotFound):
        house.runtime.jobs.queue.wait("nobody", 1)


def test_everybody_who_waits_is_told(house: House) -> None:
    job_id = house.running()
    seen: list[str] = []
    waiters = [threading.Thread(target=lambda: seen.append(house.finished(job_id).status)) for _ in range(8)]
    for waiter in waiters:
        waiter.start()
    house.runtime.jobs.queue.cancel(job_id)
    for waiter in waiters:
        waiter.join(PATIENCE_SECONDS)
    assert seen == ["cancelled"] * 8


def test_nothing_is_taken_after_closing(house: House) -> None:
    done = house.draw()
    running = house.running()
    house.runtime.begin_stop()
    with pytest.raises(EngineUnavailable, match="takes no new jobs"):
        house.submit()
    with pytest.raises(EngineUnavailable, match="goes on when it is back"):
        house.runtime.jobs.queue.wait(running, PATIENCE_SECONDS)
    assert house.runtime.jobs.queue.wait(done.id, 0).status == "completed", "what is finished can still be had"


def test_recovered_job_releases_who_waits_for_it(house: House) -> None:
    """A client may reconnect and wait before the server has settled what its predecessor left behind."""
    job_id = house.running()
    waiting: list[str] = []
    waiter = threading.Thread(target=lambda: waiting.append(house.finished(job_id).status))
    waiter.start()
    queue = house.runtime.jobs.queue
    while not queue._waiters.is_waited_for(job_id):
        assert waiter.is_alive()
    queue.recover(lambda job: (f"{job.id}/image_0.png",))
    waiter.join(PATIENCE_SECONDS)
    assert waiting == ["completed"]


def test_an_ending_is_waited_for_beside_other_things(house: House) -> None:
    gate = house.at_step = Gate()
    job_id = house.submit()
    ending = house.runtime.jobs.queue.ending(job_id)
    gate.wait()
    assert not ending.done()
    gate.open()
    assert ending.result(PATIENCE_SECONDS).status == "completed"
    assert house.runtime.jobs.queue.ending(job_id).result(0).id == job_id
    with pytest.raises(JobNotFound):
        house.runtime.jobs.queue.ending("nobody")


def test_an_ending_that_nobody_will_see_is_an_error(house: House) -> None:
    house.runtime.jobs.queue.pause()
    ending = house.runtime.jobs.queue.ending(house.submit())
    house.runtime.jobs.queue.close()
    for one in (ending, house.runtime.jobs.queue.ending(house.runtime.jobs.queue.list(limit=1)[0].id)):
        with pytest.raises(EngineUnavailable):
            one.result(PATIENCE_SECONDS)


def test_an_ending_that_was_forgotten_is_not_kept(house: House) -> None:
    queue = house.runtime.jobs.queue
    queue.pause()
    job_id = house.submit()
    ending = queue.ending(job_id)
    queue.forget_ending(job_id, ending)
    queue.cancel(job_id)
    assert not ending.done()
    queue.forget_ending(job_id, ending)
