"""Jobs meet misfortune: cancels in every window, failures, deaths of the engine. The queue goes on after all of it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from sdcpp_rest.core.events import JobProgress, JobStatusChanged, ModelLoaded, ModelLoading
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.engine import spool
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.engine.runner import Report, RunCancelled, RunResult
from sdcpp_rest.errors import Conflict
from sdcpp_rest.store.database import DatabaseUnusable
from tests.services.conftest import PATIENCE_SECONDS, Gate, House, of_job, shown, spec_named


def assert_cancelled_without_a_trace(house: House, job_id: str) -> Job:
    job = house.finished(job_id)
    house.draw()  # the row comes before the events: now they have all been told
    assert (job.status, job.error, job.outputs) == ("cancelled", None, ())
    assert job_id not in "".join(house.visible())
    words = [shown(event) for event in of_job(house.mailbox.drain(), job_id)]
    assert words[-2:] == ["cancelled", "cancelled_event"]
    assert words.count("cancelled") == 1
    return job


# --- cancelling a running job -----------------------------------------------------------------------------------------


def test_cancel_of_a_running_job_keeps_the_model_loaded(any_house: House) -> None:
    job_id = any_house.running()
    assert any_house.runtime.jobs.queue.cancel(job_id) == "cancelling"
    assert_cancelled_without_a_trace(any_house, job_id)
    assert any_house.draw().status == "completed"
    assert not any(isinstance(event, ModelLoading) for event in any_house.mailbox.drain()), "nothing was loaded again"
    assert any_house.runtime.engine.supervisor.restarts == 0


def test_cancelling_shows_as_a_phase(house: House) -> None:
    gate = Gate()
    house.at_step = gate
    job_id = house.submit()
    gate.wait()
    queue = house.runtime.jobs.queue
    queue.cancel(job_id)
    assert queue.progress(queue.get(job_id)).phase == "cancelling"
    assert queue.get(job_id).status == "processing", "the engine still has it"
    assert queue.cancel(job_id) == "cancelling", "asking again changes nothing"
    gate.open()
    assert_cancelled_without_a_trace(house, job_id)


@pytest.mark.slow
def test_many_cancels_leave_nothing_and_the_next_picture_is_the_same(house: House) -> None:
    before = house.output(house.draw(seed=3)).read_bytes()
    for _ in range(50):
        job_id = house.running()
        house.runtime.jobs.queue.cancel(job_id)
        assert house.finished(job_id).status == "cancelled"
    assert house.output(house.draw(seed=3)).read_bytes() == before
    assert len(house.visible()) == 2
    assert house.runtime.engine.home.reports._by_run == {}
    assert house.runtime.engine.home._active.all() == []


def test_late_cancel_never_hits_the_next_job(house: House) -> None:
    gate = Gate()
    first = house.submit("first")
    house.finished(first)
    house.at_step = gate
    second = house.submit("second")
    gate.wait()
    with pytest.raises(Conflict):
        house.runtime.jobs.queue.cancel(first)
    house.runtime.engine.supervisor.client.cancel(1)  # type: ignore[union-attr]
    gate.open()
    assert house.finished(second).status == "completed"


# --- the four windows -------------------------------------------------------------------------------------------------


def test_cancel_between_the_claim_and_the_run(house: House) -> None:
    """The job has left the queue, but the engine has not been told of it."""
    gate = Gate()
    outputs = house.runtime.jobs.outputs
    spool_of = outputs.spool_of

    def slow_spool_of(job_id: str) -> Any:
        gate()
        return spool_of(job_id)

    outputs.spool_of = slow_spool_of  # type: ignore[method-assign]
    job_id = house.submit()
    gate.wait()
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelling"
    gate.open()
    assert_cancelled_without_a_trace(house, job_id)
    assert house.draw().status == "completed"


def test_cancel_during_a_model_swap(house: House) -> None:
    gate = Gate()
    house.at_load = gate
    job_id = house.submit(spec=spec_named("other.gguf"))
    gate.wait()
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelling"
    gate.open()
    job = assert_cancelled_without_a_trace(house, job_id)
    assert job.timings.native_seconds == 0
    assert job.timings.load_seconds > 0
    assert house.draw().status == "completed"


def test_cancel_while_a_load_fails_is_a_cancel(house: House) -> None:
    gate = Gate()
    house.at_load = gate
    job_id = house.submit(spec=spec_named("refuse.gguf"))
    gate.wait()
    house.runtime.jobs.queue.cancel(job_id)
    gate.open()
    assert_cancelled_without_a_trace(house, job_id)


def test_cancel_while_encoding(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdcpp_rest.engine import spool

    gate, encode = Gate(), spool.encode_pixels

    def slow_encode(folder: Any) -> tuple[str, ...]:
        gate()
        return encode(folder)

    monkeypatch.setattr(spool, "encode_pixels", slow_encode)
    job_id = house.submit()
    gate.wait()
    house.until(JobProgress, job_id=job_id, phase="encoding")
    queue = house.runtime.jobs.queue
    assert queue.cancel(job_id) == "cancelled"
    assert queue.get(job_id).status == "cancelled", "nothing is left to stop: the row is won at once"
    gate.open()
    assert house.draw().status == "completed"
    words = [shown(event) for event in of_job(house.mailbox.drain(), job_id)]
    assert words == ["cancelled", "cancelled_event"]
    assert job_id not in "".join(house.visible())


@pytest.mark.parametrize("moved", [False, True], ids=["before the files are moved", "after they are moved"])
def test_cancel_between_finished_and_complete(house: House, moved: bool) -> None:
    gate = Gate()
    outputs, publish = house.runtime.jobs.outputs, house.runtime.jobs.outputs.publish

    def slow_publish(*args: Any) -> tuple[str, ...]:
        if not moved:
            gate()
        paths = publish(*args)
        if moved:
            gate()
        return paths

    outputs.publish = slow_publish  # type: ignore[method-assign]
    job_id = house.submit()
    gate.wait()
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelled"
    gate.open()
    assert house.draw().status == "completed"
    assert_cancelled_without_a_trace(house, job_id)


def test_cancel_right_after_the_compute_is_followed_by_nothing(house: House) -> None:
    """A cancel that wins the row the moment the pixels are there must not be followed by a progress event."""
    job_ids: list[str] = []
    lane, active_jobs = house.runtime.engine.home, house.runtime.engine.home._active
    publish = lane.reports.publish

    def publish_after_a_cancel(active: Any) -> None:
        if active.progress.phase == "encoding":
            job_ids.append(active.job.id)
            house.runtime.jobs.queue.cancel(active.job.id)
        publish(active)

    lane.reports.publish = publish_after_a_cancel  # type: ignore[method-assign]
    job_id = house.submit()
    assert house.finished(job_id).status == "cancelled"
    house.draw(prompt="fake:fail")
    assert job_ids == [job_id]
    assert shown(of_job(house.mailbox.drain(), job_id)[-1]) == "cancelled_event"
    assert active_jobs.all() == []


# --- runs that do not hear --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_deaf_run_costs_the_engine_and_is_cancelled_not_failed(make_house: Callable[..., House]) -> None:
    house = make_house("engine.cancel_timeout_seconds=0.01", engine="process").start()
    job_id = house.running("fake:deaf")
    pid = house.runtime.status.health()["engine"]["pid"]
    next_id = house.submit()
    assert house.runtime.jobs.queue.cancel(job_id) == "cancelling"
    assert house.finished(job_id).status == "cancelled"
    assert house.finished(job_id).error is None
    assert house.finished(next_id).status == "completed"
    engine = house.runtime.status.health()["engine"]
    assert engine["pid"] != pid
    assert engine["restarts"] == 1
    assert not psutil.pid_exists(pid)


class SlowToStop(FakeRunner):
    """Hears a cancel only when its VAE pass is over, as the library does."""

    decoded = threading.Event()

    def run(self, command: RunJob, report: Report) -> RunResult:
        if "slow vae" not in command.params.prompt:
            return super().run(command, report)
        report.step(1, 1, 0, "sampling")
        report.step(0, 0, 0, "decoding")
        assert self.decoded.wait(PATIENCE_SECONDS)
        raise RunCancelled


@pytest.mark.slow
def test_cancel_in_a_vae_pass_is_waited_for_longer(make_house: Callable[..., House]) -> None:
    """Ending the engine for it would throw the loaded model away although the run is about to stop by itself."""
    house = make_house("engine.cancel_timeout_seconds=0.1", make_runner=SlowToStop).start()
    job_id = house.submit("slow vae")
    house.until(JobProgress, job_id=job_id, phase="decoding")
    house.runtime.jobs.queue.cancel(job_id)
    assert not threading.Event().wait(0.4), "four times what a cancel may take while sampling"
    SlowToStop.decoded.set()
    assert house.finished(job_id).status == "cancelled"
    assert house.draw().status == "completed"
    assert house.runtime.engine.supervisor.restarts == 0


@pytest.mark.slow
def test_patience_is_shortened_when_sampling_begins(make_house: Callable[..., House]) -> None:
    """A cancel asked for in the text encoder has its long patience only while the text encoder runs."""

    class DeafWhileSampling(FakeRunner):
        def run(self, command: RunJob, report: Report) -> RunResult:
            if "deaf" not in command.params.prompt:
                return super().run(command, report)
            report.step(0, 0, 0, "conditioning")
            gate()
            report.step(1, 2, 0, "sampling")
            threading.Event().wait()
            raise AssertionError

    gate = Gate()
    house = make_house("engine.cancel_timeout_seconds=0.5", make_runner=DeafWhileSampling).start()
    job_id = house.submit("deaf")
    gate.wait()
    house.runtime.jobs.queue.cancel(job_id)
    gate.open()
    assert house.runtime.jobs.queue.wait(job_id, 5).status == "cancelled", "not after 20 times the timeout"


# --- failures ---------------------------------------------------------------------------------------------------------


def test_failed_run_costs_its_job_only(any_house: House) -> None:
    job = any_house.draw("fake:fail")
    assert (job.status, job.error_code, job.error) == ("failed", "generation_failed", "asked to fail")
    assert any_house.until(JobStatusChanged, job_id=job.id, status="failed").error == "asked to fail"
    assert any_house.draw().status == "completed"
    assert any_house.runtime.engine.supervisor.restarts == 0
    assert len(any_house.visible()) == 1


def test_job_without_memory_fails_by_that_code_and_keeps_the_engine(any_house: House) -> None:
    job = any_house.draw("fake:hungry")
    assert (job.status, job.error_code, job.error) == ("failed", "out_of_memory", "asked to be hungry")
    assert any_house.draw().status == "completed"
    assert any_house.runtime.engine.supervisor.restarts == 0


@pytest.mark.slow
def test_job_that_the_engine_dies_of_for_want_of_memory_fails_by_that_code(process_house: House) -> None:
    job = process_house.draw("fake:starve")
    assert (job.status, job.error_code) == ("failed", "out_of_memory")
    assert job.error is not None
    assert job.error.startswith("Not enough memory: asked to starve. The engine process ended: signal SIGSEGV")
    job = process_house.draw("fake:segfault")
    assert (job.status, job.error_code) == ("failed", "engine_crashed"), "that note was another engine's"


def test_blank_picture_is_a_failed_job_whose_files_are_kept(any_house: House) -> None:
    job = any_house.draw("fake:blank", batch_count=2)
    assert (job.status, job.error_code, job.error) == ("failed", "picture_is_blank", "asked to be blank")
    assert job.outputs == (f"{job.id}/image_0.png", f"{job.id}/image_1.png")
    record = json.loads(any_house.output(job).with_name("config.json").read_text())
    assert (record["error_code"], record["error"]) == ("picture_is_blank", "asked to be blank")
    assert sorted(path.name for path in any_house.output(job).parent.iterdir()) == [
        "config.json", "image_0.png", "image_1.png",
    ]  # fmt: skip
    told = any_house.until(JobStatusChanged, job_id=job.id, status="failed")
    assert (told.error, told.outputs) == ("asked to be blank", job.outputs)
    healthy = any_house.draw()
    assert (healthy.status, healthy.error_code) == ("completed", None)
    assert "error" not in json.loads(any_house.output(healthy).with_name("config.json").read_text())


@pytest.mark.parametrize(("mode", "loads"), [("immediately", 2), ("at_runtime", 1)])
def test_model_that_a_merged_lora_has_spoilt_is_loaded_anew(house: House, mode: str, loads: int) -> None:
    spec = spec_named("merged.gguf").model_copy(update={"options": LoadOptions(lora_apply_mode=mode)})
    house.runtime.jobs.queue.pause()
    blank, after = house.submit("fake:blank <lora:demo_lora:1>", spec=spec), house.submit(spec=spec)
    house.runtime.jobs.queue.resume()
    assert house.finished(blank).error_code == "picture_is_blank"
    assert house.finished(after).status == "completed"
    loaded = [event.model_name for event in house.mailbox.drain() if isinstance(event, ModelLoaded)]
    assert loaded.count("merged.gguf") == loads


def test_disk_that_cannot_take_the_picture_fails_the_job_and_shows_nothing(any_house: House) -> None:
    outputs = any_house.runtime.jobs.outputs
    spool_of = outputs.spool_of

    def blocked(job_id: str) -> Any:
        folder = spool_of(job_id)
        (folder / "config.json.part").mkdir(parents=True, exist_ok=True)
        return folder

    outputs.spool_of = blocked  # type: ignore[method-assign]
    job = any_house.draw()
    outputs.spool_of = spool_of  # type: ignore[method-assign]
    assert (job.status, job.error_code) == ("failed", "output_failed")
    assert job.error is not None
    assert job.error.startswith("The result was not saved: ")
    assert any_house.visible() == []
    assert any_house.draw().status == "completed"


def test_encoder_that_fails_fails_the_job(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdcpp_rest.engine import spool

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(spool, "_write_png", full)
        job = house.draw()
    assert (job.status, job.error_code) == ("failed", "output_failed")
    assert "No space left on device" in str(job.error)
    assert house.visible() == []
    assert house.draw().status == "completed"


def test_row_that_cannot_be_written_is_logged_and_the_queue_goes_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    queue, tried = house.runtime.jobs.queue, threading.Event()

    def broken(*_: Any) -> bool:
        tried.set()
        raise OSError("No space left on device")

    complete, queue.complete = queue.complete, broken  # type: ignore[method-assign]
    job_id = house.submit()
    assert tried.wait(PATIENCE_SECONDS)
    queue.complete = complete  # type: ignore[method-assign]
    assert house.draw().status == "completed"
    assert "the end of a job was not written down" in caplog.text
    assert house.runtime.jobs.outputs.find_published(job_id) is not None, "the next start finds the picture"


@pytest.mark.slow
def test_end_of_a_job_is_written_when_the_disk_has_room_again(house: House, caplog: pytest.LogCaptureFixture) -> None:
    store, refusals = house.runtime.jobs.queue._store, threading.Semaphore(0)
    transition = store.transition

    def full_twice(job_id: str, to: str, *rest: Any, **fields: Any) -> Any:
        if to == "completed" and len(caplog.messages) < 2:
            refusals.release()
            raise DatabaseUnusable("database or disk is full")
        return transition(job_id, to, *rest, **fields)

    store.transition = full_twice  # type: ignore[method-assign]
    job = house.draw()
    assert job.status == "completed"
    assert refusals.acquire(timeout=1)
    assert refusals.acquire(timeout=1)
    assert sum("cannot be written down yet" in message for message in caplog.messages) == 2
    assert house.runtime.jobs.queue.is_busy is False


# --- deaths -----------------------------------------------------------------------------------------------------------


def test_death_in_a_run_fails_the_job_and_the_queue_goes_on(any_house: House) -> None:
    health = any_house.runtime.status.health
    pid = health()["engine"]["pid"]
    dying, after = any_house.submit("fake:die"), any_house.submit()
    job = any_house.finished(dying)
    assert (job.status, job.error_code, job.attempts) == ("failed", "engine_crashed", 1)
    assert any_house.finished(after).status == "completed"
    assert health()["engine"]["restarts"] == 1
    assert health()["model_name"] == "demo_dit_q8_0.gguf"
    if pid != os.getpid():
        assert "SIGABRT: ggml.c:1: GGML_ASSERT(fake) failed" in str(job.error)
        assert health()["engine"]["pid"] != pid
    assert any_house.visible() == [after]


def test_lost_device_fails_its_job_and_the_next_one_gets_another_engine(any_house: House) -> None:
    lost, after = any_house.submit("fake:lost"), any_house.submit()
    job = any_house.finished(lost)
    assert (job.status, job.error_code, job.error) == ("failed", "engine_crashed", "asked to lose its device")
    assert any_house.finished(after).status == "completed", "the same engine would have died of it"
    health = any_house.runtime.status.health()
    assert (health["engine"]["restarts"], health["model_name"]) == (1, "demo_dit_q8_0.gguf")
    assert any_house.visible() == [after]


def test_pictures_drawn_before_the_device_was_lost_are_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, encode = Gate(), spool.encode_pixels

    def encode_later(folder: Path) -> tuple[str, ...]:
        gate()
        return encode(folder)

    monkeypatch.setattr(spool, "encode_pixels", encode_later)
    drawn, lost = house.submit(), house.submit("fake:lost")
    gate.wait()
    assert house.finished(lost).status == "failed"
    gate.open()
    assert house.finished(drawn).status == "completed"
    assert house.draw().status == "completed"


@pytest.mark.slow
def test_segmentation_fault_is_named(process_house: House) -> None:
    job = process_house.draw("fake:segfault")
    assert (job.status, job.error_code) == ("failed", "engine_crashed")
    assert "SIGSEGV" in str(job.error)


def test_five_crashes_among_successes_do_not_stop_the_service(any_house: House) -> None:
    jobs = [any_house.submit("fake:die" if k % 2 else f"number {k}") for k in range(11)]
    statuses = [any_house.finished(job_id).status for job_id in jobs]
    assert statuses == ["failed" if k % 2 else "completed" for k in range(11)]
    assert any_house.runtime.engine.supervisor.restarts == 5


@pytest.mark.slow
def test_killed_run_is_a_failed_job(process_house: House) -> None:
    job_id = process_house.running("fake:deaf")
    os.kill(process_house.runtime.status.health()["engine"]["pid"], signal.SIGKILL)
    job = process_house.finished(job_id)
    assert (job.status, job.error_code) == ("failed", "engine_crashed")
    assert "SIGKILL" in str(job.error)
    assert process_house.draw().status == "completed"


@pytest.mark.slow
def test_death_of_an_idle_engine_heals_by_itself(process_house: House) -> None:
    pid = process_house.runtime.status.health()["engine"]["pid"]
    os.kill(pid, signal.SIGKILL)
    process_house.until(ModelLoaded, model_name="demo_dit_q8_0.gguf")
    health = process_house.runtime.status.health()
    assert health["engine"]["pid"] not in (pid, None)
    assert health["model_loaded"]
    assert health["engine"]["state"] in ("idle", "loading")
    assert process_house.draw().status == "completed"


def test_death_while_encoding_loses_no_picture(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine dies with the pixels in the spool: the server encodes them."""
    from sdcpp_rest.engine import spool

    gate, encode = Gate(), spool.encode_pixels

    def encode_in_the_server_only(folder: Any) -> tuple[str, ...]:
        if threading.current_thread().name == "engine-encoder":
            gate.reached.set()
            threading.Event().wait()
        return encode(folder)

    monkeypatch.setattr(spool, "encode_pixels", encode_in_the_server_only)
    job_id = house.submit(seed=5, batch_count=2)
    gate.wait()
    died = house.submit("fake:die")
    job = house.finished(job_id)
    assert job.status == "completed"
    assert len(job.outputs) == 2
    with Image.open(house.output(job, 1)) as picture:
        assert "Seed: 6" in picture.text["parameters"]  # type: ignore[attr-defined]
    assert house.finished(died).status == "failed"
    monkeypatch.undo()
    assert house.draw().status == "completed"


def test_death_after_the_last_file_but_before_the_word_of_it_loses_no_picture(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdcpp_rest.engine import spool

    gate, encode = Gate(), spool.encode_pixels

    def encode_and_say_nothing(folder: Any) -> tuple[str, ...]:
        names = encode(folder)
        if threading.current_thread().name == "engine-encoder":
            gate.reached.set()
            threading.Event().wait()
        return names

    monkeypatch.setattr(spool, "encode_pixels", encode_and_say_nothing)
    job_id = house.submit()
    gate.wait()
    house.submit("fake:die")
    job = house.finished(job_id)
    assert (job.status, job.error) == ("completed", None)
    assert house.output(job).is_file()
    assert sorted(path.name for path in house.output(job).parent.iterdir()) == ["config.json", "image_0.png"]


@pytest.mark.slow
def test_cancel_is_not_lost_when_the_engine_dies_before_the_run(process_house: House) -> None:
    """Between the claim and the run the job is cancelled and the engine dies: the job must not come back."""
    gate = Gate()
    lane = process_house.runtime.engine.home
    prepare = lane._prepare

    def slow_prepare(active: Any) -> Any:
        client = prepare(active)
        gate()
        return client

    lane._prepare = slow_prepare  # type: ignore[method-assign]
    job_id = process_house.submit()
    gate.wait()
    client = process_house.runtime.engine.supervisor.client
    assert client is not None
    client.kill()
    client._reader.join(PATIENCE_SECONDS)
    assert process_house.runtime.jobs.queue.cancel(job_id) == "cancelling"
    gate.open()
    assert process_house.finished(job_id).status == "cancelled"
    assert process_house.draw().status == "completed"


@pytest.mark.slow
def test_job_that_was_not_told_to_a_dead_engine_keeps_its_turn(process_house: House) -> None:
    gate = Gate()
    lane = process_house.runtime.engine.home
    prepare = lane._prepare

    def slow_prepare(active: Any) -> Any:
        client = prepare(active)
        if not gate.reached.is_set():
            gate()
        return client

    lane._prepare = slow_prepare  # type: ignore[method-assign]
    job_id, later = process_house.submit(), process_house.submit()
    gate.wait()
    client = process_house.runtime.engine.supervisor.client
    assert client is not None
    client.kill()
    client._reader.join(PATIENCE_SECONDS)
    gate.open()
    first, second = process_house.finished(job_id), process_house.finished(later)
    assert (first.status, first.attempts) == ("completed", 1)
    assert first.completed_at is not None
    assert second.completed_at is not None
    assert first.completed_at < second.completed_at


# --- the loop itself --------------------------------------------------------------------------------------------------


def test_stop_that_comes_while_the_loop_turns_is_not_overlooked(house: House) -> None:
    lane = house.runtime.engine.home
    wake = lane._wake
    clear = wake.clear

    def clear_too_late() -> None:
        lane._stopping = True
        wake.set()
        clear()

    wake.clear = clear_too_late  # type: ignore[method-assign]
    wake.set()
    lane._thread.join(5)
    assert not lane._thread.is_alive()


def test_trouble_that_stays_does_not_spin(house: House) -> None:
    """A full disk makes every claim fail: the loop must wait between its tries."""
    tries = threading.Semaphore(0)
    queue = house.runtime.jobs.queue

    def broken(kinds: object, terms: object = None) -> None:
        if terms is not None:  # of an engine's lane, and not of the one for downloads
            tries.release()
        raise OSError("No space left on device")

    claim, queue.claim = queue.claim, broken  # type: ignore[method-assign]
    house.submit()
    assert tries.acquire(timeout=PATIENCE_SECONDS)
    assert not any(tries.acquire(timeout=0.05) for _ in range(4)), "it tried again at once"
    queue.claim = claim  # type: ignore[method-assign]
    assert house.draw().status == "completed"
