"""Starting, stopping and starting again: what survives an orderly end, a kill -9, and a second server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from sdcpp_rest.core.events import JobProgress, JobStatusChanged, ModelLoaded
from sdcpp_rest.core.job import Failure, Job
from sdcpp_rest.engine import spool
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.spool import write_pixels
from sdcpp_rest.errors import Conflict, EngineUnavailable
from sdcpp_rest.runtime import Runtime
from tests.services.conftest import PATIENCE_SECONDS, Gate, House, of_job, shown, spec_named

MakeHouse = Callable[..., House]


def crash(house: House, folder: Path) -> None:
    """What a kill -9 at this moment would leave behind, as a house of its own in ``folder``."""
    for name in ("data", "output", "models"):
        source = getattr(house.config.paths, f"{name}_dir")
        if source.exists():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("server.lock"))


@pytest.fixture
def after_crash(make_house: MakeHouse, tmp_path: Path) -> Callable[..., House]:
    """``after_crash(house)``: the next server, on what is left; not started yet."""

    def make(house: House, *settings: str) -> House:
        crash(house, tmp_path / "next")
        return make_house(*settings, folder="next")

    return make


# --- an orderly end ---------------------------------------------------------------------------------------------------


def test_pending_jobs_go_on_after_a_restart_in_their_order(make_house: MakeHouse) -> None:
    first = make_house().start()
    running = first.running("a red circle fake:step=0.05")
    waiting = [first.submit(f"number {k}") for k in range(3)]
    first.stop()
    second = make_house().start()
    jobs = [second.finished(job_id) for job_id in (running, *waiting)]
    assert [job.status for job in jobs] == ["completed"] * 4
    times = [job.started_at for job in jobs if job.started_at]
    assert times == sorted(times)


def test_stop_puts_the_running_job_back_as_if_it_had_never_run(any_house: House) -> None:
    job_id = any_house.running()
    waiter_errors: list[Exception] = []

    def wait() -> None:
        try:
            any_house.finished(job_id)
        except EngineUnavailable as error:
            waiter_errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    seen: list[Job] = []
    end = any_house.runtime._database.close

    def look_and_close() -> None:
        seen.append(any_house.runtime.jobs.queue.get(job_id))
        end()

    any_house.runtime._database.close = look_and_close  # type: ignore[method-assign]
    any_house.stop()
    waiter.join(PATIENCE_SECONDS)
    assert len(waiter_errors) == 1
    assert (seen[0].status, seen[0].attempts, seen[0].started_at, seen[0].error) == ("pending", 0, None, None)
    assert shown(of_job(any_house.mailbox.drain(), job_id)[-1]) == "pending"
    assert any_house.visible() == []


def test_stop_waits_for_a_job_that_is_nearly_done(make_house: MakeHouse) -> None:
    house = make_house("engine.stop_timeout_seconds=10").start()
    job_id = house.running("fake:step=0.05")
    house.stop()
    assert shown(of_job(house.mailbox.drain(), job_id)[-1]) == "completed"
    assert house.visible() == [job_id]


@pytest.mark.slow
@pytest.mark.usefixtures("no_patience_at_stop")
def test_stop_kills_an_engine_that_does_not_listen(make_house: MakeHouse) -> None:
    first = make_house(engine="process").start()
    job_id = first.running("fake:deaf")
    pid = first.runtime.status.health()["engine"]["pid"]
    first.stop()
    assert not psutil.pid_exists(pid)
    second = make_house()
    job = second.runtime.jobs.queue.get(job_id)
    assert (job.status, job.attempts) == ("pending", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("no_patience_at_stop")
def test_cancelled_job_does_not_come_back_after_a_stop(make_house: MakeHouse) -> None:
    """The engine has been told, did not listen, and then the server was stopped: the user's word still counts."""
    first = make_house(engine="process").start()
    job_id = first.running("fake:deaf")
    assert first.runtime.jobs.queue.cancel(job_id) == "cancelling"
    first.stop()
    assert make_house().runtime.jobs.queue.get(job_id).status == "cancelled"


@pytest.mark.parametrize("is_built_before", [True, False])
def test_no_language_model_is_called_once_the_server_stops(make_house: MakeHouse, is_built_before: bool) -> None:
    """Also where nobody has asked for one before: the group is built by the first who does."""
    runtime = make_house().runtime
    if is_built_before:
        assert not runtime.language.lines.is_closed
    runtime.begin_stop()
    assert runtime.language.lines.is_closed


def test_stop_refuses_new_work_and_can_be_repeated(house: House) -> None:
    house.runtime.begin_stop()
    with pytest.raises(EngineUnavailable, match="stopping"):
        house.submit()
    with pytest.raises(EngineUnavailable, match="stopping"):
        house.runtime.models.slot.select(spec_named("other.gguf"))
    with pytest.raises(EngineUnavailable, match="stopping"):
        house.runtime.models.slot.unload()
    began = time.monotonic()
    stoppers = [threading.Thread(target=house.stop) for _ in range(4)]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join(PATIENCE_SECONDS)
    assert time.monotonic() - began < 1


def test_stop_before_start(make_house: MakeHouse) -> None:
    make_house().stop()
    make_house().stop()


@pytest.mark.slow
def test_nothing_is_left_running_after_stop(make_house: MakeHouse) -> None:
    threads, me = set(threading.enumerate()), psutil.Process()
    children = set(me.children())
    house = make_house(engine="process").start()
    house.draw()
    house.draw("fake:die")
    house.draw()
    engines = set(me.children()) - children
    began = time.monotonic()
    house.stop()
    assert time.monotonic() - began < 3
    assert engines
    psutil.wait_procs(engines, timeout=PATIENCE_SECONDS)
    assert not [engine for engine in engines if engine.is_running() and engine.name() != "python-resource-tracker"
                and "resource_tracker" not in " ".join(engine.cmdline())]  # fmt: skip
    assert {thread.name for thread in set(threading.enumerate()) - threads} == set()
    assert house.runtime.status.health()["engine"]["state"] == "stopped"


@pytest.mark.slow
def test_stop_while_the_engine_is_being_replaced(make_house: MakeHouse) -> None:
    house = make_house("engine.backoff_initial_seconds=30", engine="process").start()
    house.draw("fake:die")
    job_id = house.submit()
    began = time.monotonic()
    house.stop()
    assert time.monotonic() - began < 5, "nobody waits for the back-off"
    assert make_house().runtime.jobs.queue.get(job_id).status == "pending"


# --- two servers ------------------------------------------------------------------------------------------------------


def test_second_server_on_a_data_folder_is_refused(house: House) -> None:
    with pytest.raises(Conflict, match="Another sdcpp-rest server is using the data folder"):
        Runtime(house.config)
    assert house.draw().status == "completed", "the first one is not harmed"


def test_folder_is_free_again_after_a_stop_on_another_thread(make_house: MakeHouse) -> None:
    first = make_house().start()
    stopper = threading.Thread(target=first.stop)
    stopper.start()
    stopper.join(PATIENCE_SECONDS)
    assert make_house().start().draw().status == "completed"


# --- a hard end -------------------------------------------------------------------------------------------------------


def interrupted(make_house: MakeHouse) -> tuple[House, str, list[str]]:
    """A house in the middle of a job, with two more waiting."""
    house = make_house().start()
    running = house.running(seed=5, batch_count=2)
    return house, running, [house.submit() for _ in range(2)]


def test_interrupted_job_runs_again_before_the_others(make_house: MakeHouse, after_crash: Callable[..., House]) -> None:
    house, running, waiting = interrupted(make_house)
    second = after_crash(house)
    gate = Gate()
    second.at_step = gate
    second.runtime.start()
    gate.wait()
    job = second.runtime.jobs.queue.get(running)
    assert (job.status, job.attempts) == ("processing", 2)
    assert second.runtime.jobs.queue.position(waiting[0]) == 1
    second.runtime.jobs.queue.cancel(running)
    gate.open()
    assert [second.finished(job_id).status for job_id in waiting] == ["completed"] * 2


def test_job_with_a_whole_output_folder_is_completed(make_house: MakeHouse, after_crash: Callable[..., House]) -> None:
    house, running, waiting = interrupted(make_house)
    spooled = house.runtime.jobs.outputs.spool_of(running)
    spooled.mkdir(parents=True, exist_ok=True)
    (spooled / "image_0.png").write_bytes(b"picture")
    house.runtime.jobs.outputs.publish(running, ["image_0.png"], {})
    second = after_crash(house).start()
    job = second.finished(running)
    assert (job.status, job.outputs, job.attempts) == ("completed", (f"{running}/image_0.png",), 1)
    assert second.output(job).read_bytes() == b"picture"
    assert second.finished(waiting[1]).status == "completed"


def test_job_with_its_pixels_in_the_spool_is_completed(
    make_house: MakeHouse, after_crash: Callable[..., House]
) -> None:
    house, running, _ = interrupted(make_house)
    pictures = [RawPicture(2, 1, 3, bytes([k] * 6)) for k in (1, 2)]
    write_pixels(house.runtime.jobs.outputs.spool_of(running), pictures, ("a", "b"))
    second = after_crash(house).start()
    job = second.finished(running)
    assert (job.status, len(job.outputs)) == ("completed", 2)
    with Image.open(second.output(job, 1)) as picture:
        assert picture.tobytes() == bytes([2] * 6)
        assert picture.text["parameters"] == "b"  # type: ignore[attr-defined]
    record = json.loads((second.config.paths.output_dir / running / "config.json").read_text(encoding="utf-8"))
    assert record["params"]["seed"] == 5
    assert record["outputs"] == list(job.outputs)
    assert sorted(path.name for path in (second.config.paths.output_dir / running).iterdir()) == [
        "config.json", "image_0.png", "image_1.png",
    ]  # fmt: skip


@pytest.mark.parametrize("is_published", [False, True])
def test_job_that_failed_with_something_to_look_at_fails(
    make_house: MakeHouse, after_crash: Callable[..., House], is_published: bool
) -> None:
    house, running, _ = interrupted(make_house)
    outputs = house.runtime.jobs.outputs
    failure = Failure(code="picture_is_blank", message="all white")
    spool.write_failure(outputs.spool_of(running), failure)
    write_pixels(outputs.spool_of(running), [RawPicture(2, 1, 3, bytes(6))], ("a",))
    if is_published:
        record = {"error": failure.message, "error_code": failure.code}
        outputs.publish(running, spool.encode_pixels(outputs.spool_of(running)), record)
    job = after_crash(house).start().finished(running)
    assert (job.status, job.error, job.error_code) == ("failed", "all white", "picture_is_blank")
    assert job.outputs == (f"{running}/image_0.png",)


def test_job_that_was_encoded_but_not_published_is_completed(
    make_house: MakeHouse, after_crash: Callable[..., House]
) -> None:
    house, running, _ = interrupted(make_house)
    folder = house.runtime.jobs.outputs.spool_of(running)
    write_pixels(folder, [RawPicture(2, 1, 3, bytes([1] * 6))], ("a",))
    spool.encode_pixels(folder)
    second = after_crash(house).start()
    assert second.finished(running).status == "completed"
    assert second.finished(running).attempts == 1


@pytest.mark.slow
@pytest.mark.parametrize("manifest", ["", "{", "5", "[5]", "[[1]]", '[[2, 1, 9, "a"]]', '[[2, 1, 3, "a"]]', "\0"])
def test_damaged_spool_costs_its_pictures_only(
    make_house: MakeHouse, after_crash: Callable[..., House], manifest: str
) -> None:
    house, running, waiting = interrupted(make_house)
    folder = house.runtime.jobs.outputs.spool_of(running)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image_0.raw").write_bytes(b"short")
    (folder / "pixels.json").write_text(manifest)
    second = after_crash(house)
    gate = Gate()
    second.at_step = gate
    second.start()
    gate.wait()
    assert second.runtime.jobs.queue.get(running).attempts == 2, "it is drawn again"
    second.runtime.jobs.queue.cancel(running)
    gate.open()
    assert second.finished(waiting[1]).status == "completed"


@pytest.mark.slow
def test_job_that_is_interrupted_again_and_again_is_given_up(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house().start()
    job_id = house.running()
    attempts = []
    for k in range(3):
        crash(house, tmp_path / f"life{k}")
        house.stop()
        house = make_house(folder=f"life{k}")
        house.runtime.start()
        if k < 2:
            house.until(JobStatusChanged, job_id=job_id, status="processing")
            attempts.append(house.runtime.jobs.queue.get(job_id).attempts)
    job = house.finished(job_id)
    assert attempts == [2, 3]
    assert (job.status, job.error_code, job.attempts) == ("failed", "interrupted", 3)
    assert job.error == "The server was stopped 3 times while this job was running"


def test_spool_is_swept_at_start(make_house: MakeHouse) -> None:
    house = make_house()
    stray = house.runtime.jobs.outputs.spool_of("nobody")
    stray.mkdir()
    (stray / "image_0.raw").write_bytes(b"x")
    house.start()
    assert not stray.exists()


def test_inputs_of_an_interrupted_job_are_still_there(
    make_house: MakeHouse, after_crash: Callable[..., House], png: str
) -> None:
    house = make_house().start()
    job_id = house.running(images={"init_image": png})
    second = after_crash(house)
    seen: list[bytes] = []
    gate = Gate()

    def look(command: Any, step: int) -> None:
        seen.append(Path(command.inputs["init_image"]).read_bytes())
        gate()

    second.at_step = look
    second.runtime.start()
    gate.wait()
    assert seen[0].startswith(b"\x89PNG")
    second.runtime.jobs.queue.cancel(job_id)
    gate.open()


_SERVER = """
import sys
from pathlib import Path
from sdcpp_rest.config import load_config
from sdcpp_rest.core.events import JobProgress, ModelLoaded
from sdcpp_rest.runtime import Runtime
if __name__ == "__main__":
    runtime = Runtime(load_config(overrides=sys.argv[1:]))
    with runtime.jobs.bus.subscribe() as mailbox:
        runtime.start()
        while not isinstance(mailbox.get(20), ModelLoaded):
            pass
        asked = {"prompt": "fake:deaf", "width": 8, "height": 8, "steps": 2}
        jobs = [runtime.submission.pictures.picture("txt2img", asked)[0].id]
        jobs += [runtime.submission.pictures.picture("txt2img", {**asked, "prompt": "a"})[0].id for _ in range(3)]
        while not isinstance(mailbox.get(20), JobProgress):
            pass
        print(runtime.status.health()["engine"]["pid"], *jobs, flush=True)
        while True:
            mailbox.get(20)
"""


@pytest.mark.slow
def test_killed_server_takes_its_engine_along_and_loses_no_job(make_house: MakeHouse, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(_SERVER)
    paths = [f"paths.{name}_dir={tmp_path / 'house' / name}" for name in ("data", "models", "output", "log")]
    command = [sys.executable, str(script), *paths, "engine.runner=fake"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid, deaf, *others = server.stdout.readline().split()
        engine = psutil.Process(int(pid))
        os.kill(server.pid, signal.SIGKILL)
        server.wait(PATIENCE_SECONDS)
    psutil.wait_procs([engine], timeout=PATIENCE_SECONDS)
    assert not engine.is_running(), "it noticed that nobody is left, in the middle of a run"
    house = make_house()
    held = Gate()
    house.at_step = held
    house.mailbox.drain()
    house.runtime.start()
    event = house.until(JobStatusChanged, status="processing")
    assert event.job_id == deaf, "the interrupted one first"
    house.until(JobProgress, job_id=deaf)  # cancelled any earlier, it would leave the death to the next job
    house.runtime.jobs.queue.cancel(deaf)
    house.runtime.engine.supervisor.client.kill()  # type: ignore[union-attr]
    held.open()
    assert [house.finished(job_id).status for job_id in others] == ["completed"] * 3
    assert house.finished(deaf).status == "cancelled"


# --- looking ----------------------------------------------------------------------------------------------------------


def test_health_before_and_after_the_start(make_house: MakeHouse) -> None:
    house = make_house()
    before = house.runtime.status.health()
    assert (before["model_loaded"], before["engine"]["state"], before["engine"]["pid"]) == (False, "starting", None)
    house.start()
    after = house.runtime.status.health()
    assert (after["model_loaded"], after["model_name"], after["model_type"]) == (
        True,
        "demo_dit_q8_0.gguf",
        "diffusion",
    )
    assert after["loaded_components"]["llm"] == "demo_llm_q4_0.gguf"
    assert after["engine"]["library_version"] == "fake"
    assert after["last_error"] is None
    status = house.runtime.status.snapshot()
    assert status["queue"]["total_count"] == 0
    assert status["memory"]["server"]["rss_bytes"] > 0


@pytest.mark.slow
def test_memory_of_the_engine_is_reported_while_it_computes(make_house: MakeHouse) -> None:
    house = make_house("engine.memory_interval_seconds=0.02", engine="process").start()
    job_id = house.running("fake:step=0.05", steps=50)
    while house.runtime.status.memory()["engine"]["rss_bytes"] is None:
        assert house.mailbox.get(PATIENCE_SECONDS) is not None
    assert house.runtime.status.memory()["engine"]["rss_bytes"] > 1_000_000
    assert house.runtime.jobs.queue.get(job_id).status == "processing"
    house.runtime.jobs.queue.cancel(job_id)


def test_options_are_the_engines_own_also_before_it_has_answered(make_house: MakeHouse) -> None:
    house = make_house()
    assert "res_multistep" in house.runtime.status.options()["samplers"]
    house.start()
    assert house.runtime.status.options()["samplers"] == ["euler", "euler_a", "heun", "dpm++2m"]
    assert house.runtime.status.options()["quantization_types"][0]["id"] == "q8_0"


def test_default_model_is_loaded_in_the_background(make_house: MakeHouse) -> None:
    house = make_house()
    gate = Gate()
    house.at_load = gate
    house.runtime.start()
    gate.wait()
    assert house.runtime.status.health()["model_loading"] is True
    gate.open()
    house.until(ModelLoaded)
