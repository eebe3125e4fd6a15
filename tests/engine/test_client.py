"""The wall, from the server's side: results, cancels, failures and deaths, over a thread and over a process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine import spool
from sdcpp_rest.engine.client import EngineClient, RunEvent
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import InlineLauncher, Launcher, ProcessLauncher
from sdcpp_rest.engine.protocol import Device, Preview, RunJob, Started, Step
from sdcpp_rest.engine.runner import RunCancelled, RunFailed
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import DeviceFailed, EngineDied, EngineUnavailable, LoadFailed
from tests.engine.conftest import TIMEOUT, make_spec

Jobs = Callable[..., Callable[[int], RunJob]]


def test_ready_tells_what_the_engine_can_do(engine: EngineClient) -> None:
    ready = engine.wait_ready(TIMEOUT)
    assert ready.library_version == "fake"
    assert "euler" in ready.samplers
    assert engine.pid == ready.pid


def test_run_leaves_encoded_pictures_in_the_spool(
    engine: EngineClient, spec: LoadSpec, job: Jobs, tmp_path: Path
) -> None:
    engine.load(spec)
    run = engine.run(job(batch_count=2))
    computed = run.computed.result(TIMEOUT)
    finished = run.finished.result(TIMEOUT)
    folder = tmp_path / f"spool-{run.number}"
    assert computed.images == 2
    assert finished.files == ("image_0.png", "image_1.png")
    with Image.open(folder / "image_0.png") as picture:
        assert picture.size == (8, 8)
        assert picture.text["parameters"] == "a"  # type: ignore[attr-defined]
    assert not spool.has_pixels(folder)


def test_equal_jobs_give_equal_pictures_and_others_do_not(
    engine: EngineClient, spec: LoadSpec, job: Jobs, tmp_path: Path
) -> None:
    engine.load(spec)
    pictures = []
    for prompt in ("a cat", "a cat", "a dog"):
        run = engine.run(job(prompt))
        run.finished.result(TIMEOUT)
        pictures.append((tmp_path / f"spool-{run.number}" / "image_0.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_events_of_a_run_arrive_in_order(launcher: Launcher, spec: LoadSpec, job: Jobs) -> None:
    events: list[RunEvent] = []
    client = EngineClient(launcher, events.append)
    client.wait_ready(TIMEOUT)
    client.load(spec)
    run = client.run(job(steps=3))
    run.finished.result(TIMEOUT)
    client.stop(5)
    assert isinstance(events[0], Started)
    steps = [event.step for event in events if isinstance(event, Step) and event.total_steps]
    assert steps == [1, 2, 3]
    assert any(isinstance(event, Preview) for event in events)
    assert {event.run for event in events} == {run.number}


def test_lost_device_is_a_death_of_a_process_that_lives(launcher: Launcher, spec: LoadSpec, job: Jobs) -> None:
    deaths: list[EngineDied] = []
    client = EngineClient(launcher, on_death=deaths.append)
    client.wait_ready(TIMEOUT)
    client.load(spec)
    run = client.run(job("fake:lost"))
    for future in (run.computed, run.finished):
        with pytest.raises(DeviceFailed, match="asked to lose its device"):
            future.result(TIMEOUT)
    assert (client.alive, client.is_broken) == (False, True)
    with pytest.raises(DeviceFailed):
        client.run(job())
    client.stop(TIMEOUT)
    assert len(deaths) == 1, "its end was asked for"


def test_device_lost_in_a_load_is_a_death_too(engine: EngineClient, tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed):
        engine.load(make_spec(tmp_path, "lost.gguf"))
    assert not engine.alive


def test_cancel_stops_a_run_and_keeps_the_model(engine: EngineClient, spec: LoadSpec, job: Jobs) -> None:
    engine.load(spec)
    run = engine.run(job("fake:hold"))
    engine.cancel(run.number)
    with pytest.raises(RunCancelled):
        run.computed.result(TIMEOUT)
    with pytest.raises(RunCancelled):
        run.finished.result(TIMEOUT)
    assert engine.run(job()).computed.result(TIMEOUT).images == 1, "the model is still loaded"


def test_cancel_of_a_run_that_waits_behind_another_is_not_forgotten(
    engine: EngineClient, spec: LoadSpec, job: Jobs
) -> None:
    engine.load(spec)
    first, second = engine.run(job("fake:hold")), engine.run(job("fake:hold"))
    engine.cancel(second.number)
    engine.cancel(first.number)
    with pytest.raises(RunCancelled):
        second.computed.result(TIMEOUT)


def test_late_cancel_does_not_hit_the_next_run(engine: EngineClient, spec: LoadSpec, job: Jobs) -> None:
    engine.load(spec)
    first = engine.run(job())
    first.computed.result(TIMEOUT)
    engine.cancel(first.number)
    assert engine.run(job()).computed.result(TIMEOUT).images == 1


def test_failed_run_leaves_a_usable_engine(engine: EngineClient, spec: LoadSpec, job: Jobs) -> None:
    engine.load(spec)
    with pytest.raises(RunFailed, match="asked to fail"):
        engine.run(job("fake:fail")).computed.result(TIMEOUT)
    assert engine.run(job()).computed.result(TIMEOUT).images == 1


def test_failed_load_leaves_an_empty_usable_engine(
    engine: EngineClient, spec: LoadSpec, job: Jobs, tmp_path: Path
) -> None:
    with pytest.raises(LoadFailed, match="refuses"):
        engine.load(make_spec(tmp_path, "refuse.gguf"))
    with pytest.raises(RunFailed, match="no model"):
        engine.run(job()).computed.result(TIMEOUT)
    assert engine.load(spec).key == spec.key


def test_models_stay_until_they_are_named(engine: EngineClient, spec: LoadSpec, job: Jobs, tmp_path: Path) -> None:
    second, third = make_spec(tmp_path, "second.gguf"), make_spec(tmp_path, "third.gguf")
    engine.load(spec)
    engine.load(second)
    with pytest.raises(LoadFailed, match="refuses"):
        engine.load(make_spec(tmp_path, "refuse.gguf"))
    engine.load(third, free=[second.key])
    for key in (spec.key, third.key):
        assert engine.run(job(model_key=key)).computed.result(TIMEOUT).images == 1
    with pytest.raises(RunFailed, match=f"no model of the key {second.key}"):
        engine.run(job(model_key=second.key)).computed.result(TIMEOUT)
    engine.unload([spec.key])
    assert engine.run(job(model_key=third.key)).computed.result(TIMEOUT).images == 1
    engine.unload()
    with pytest.raises(RunFailed, match="no model"):
        engine.run(job(model_key=third.key)).computed.result(TIMEOUT)


def test_unwritable_spool_fails_the_job_and_not_the_engine(
    engine: EngineClient, spec: LoadSpec, job: Jobs, tmp_path: Path
) -> None:
    engine.load(spec)
    (tmp_path / "spool-1").write_text("a file where the folder should be")
    with pytest.raises(RunFailed, match="could not be written") as caught:
        engine.run(job()).finished.result(TIMEOUT)
    assert caught.value.code == "output_failed"
    assert engine.run(job()).computed.result(TIMEOUT).images == 1


def test_death_in_a_run_fails_everything_that_waits(launcher: Launcher, spec: LoadSpec, job: Jobs) -> None:
    died = threading.Event()
    client = EngineClient(launcher, on_death=lambda error: died.set())
    client.wait_ready(TIMEOUT)
    client.load(spec)
    held, doomed, queued = (client.run(job(prompt)) for prompt in ("fake:hold", "fake:die", "a cat"))
    client.cancel(held.number)
    for handle in (doomed, queued):
        with pytest.raises(EngineDied):
            handle.computed.result(TIMEOUT)
        with pytest.raises(EngineDied):
            handle.finished.result(TIMEOUT)
    assert died.wait(TIMEOUT)
    assert not client.alive
    with pytest.raises(EngineDied):
        client.run(job())
    with pytest.raises(EngineDied):
        client.load(spec)


def test_death_in_a_load_is_told_to_the_loader(launcher: Launcher, tmp_path: Path) -> None:
    client = EngineClient(launcher)
    client.wait_ready(TIMEOUT)
    with pytest.raises(EngineDied):
        client.load(make_spec(tmp_path, "die.gguf"))


def test_stop_is_not_a_death(launcher: Launcher) -> None:
    deaths: list[EngineDied] = []
    client = EngineClient(launcher, on_death=deaths.append)
    client.wait_ready(TIMEOUT)
    client.stop(5)
    client.stop(5)
    assert deaths == []
    assert not client.alive


def test_start_that_takes_too_long_is_given_up() -> None:
    class SlowRunner(FakeRunner):
        def ready(self):  # type: ignore[no-untyped-def]
            threading.Event().wait()

    client = EngineClient(InlineLauncher(SlowRunner))
    with pytest.raises(EngineUnavailable, match=r"did not start within 0\.05 s"):
        client.wait_ready(0.05)


# --- what only a process can show -------------------------------------------------------------------------------------


@pytest.fixture
def process_launcher(tmp_path: Path) -> Launcher:
    options = WorkerOptions(
        runner="fake", log_path=str(tmp_path / "engine.log"), last_words_path=str(tmp_path / "words")
    )
    return ProcessLauncher(options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("fake:die", "SIGABRT: ggml.c:1: GGML_ASSERT(fake) failed"), ("fake:segfault", "SIGSEGV")],
)
def test_exit_description_names_the_signal_and_the_last_words(
    process_launcher: Launcher, spec: LoadSpec, job: Jobs, prompt: str, expected: str
) -> None:
    client = EngineClient(process_launcher)
    client.wait_ready(TIMEOUT)
    client.load(spec)
    with pytest.raises(EngineDied, match="The engine process ended") as caught:
        client.run(job(prompt)).computed.result(TIMEOUT)
    assert expected in caught.value.message


@pytest.mark.slow
def test_engine_ends_when_the_server_is_gone_even_in_the_middle_of_a_run(
    process_launcher: Launcher, spec: LoadSpec, job: Jobs
) -> None:
    import psutil

    client = EngineClient(process_launcher)
    client.wait_ready(TIMEOUT)
    client.load(spec)
    client.run(job("fake:deaf"))
    engine_process = psutil.Process(client.pid)
    client._engine.connection.hang_up()
    assert engine_process.wait(TIMEOUT) in (0, None)


@pytest.mark.slow
def test_engine_ignores_ctrl_c_and_sigterm(process_launcher: Launcher, spec: LoadSpec, job: Jobs) -> None:
    import os
    import signal

    client = EngineClient(process_launcher)
    client.wait_ready(TIMEOUT)
    client.load(spec)
    assert os.getsid(client.pid) != os.getsid(0), "a terminal's Ctrl-C must not reach it"
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(client.pid, number)
    assert client.run(job()).computed.result(TIMEOUT).images == 1
    client.stop(5)


@pytest.mark.slow
def test_engine_survives_ctrl_c_while_its_interpreter_starts(process_launcher: Launcher) -> None:
    import os
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    client = EngineClient(process_launcher)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(client.pid, number)
    assert client.wait_ready(TIMEOUT).library_version == "fake"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, "this process hears its signals"
    client.stop(5)


class _Counting(FakeRunner):
    """Counts how often it is asked for its devices."""

    asked = 0

    def devices(self) -> tuple[Device, ...]:
        self.asked += 1
        return super().devices()


def test_devices_are_asked_for_memory_only_when_somebody_looks(spec: LoadSpec, job: Jobs) -> None:
    runner = _Counting(inline=True)
    client = EngineClient(InlineLauncher(lambda: runner), memory_age_seconds=1000)
    client.wait_ready(TIMEOUT)
    client.load(spec)
    at_start = runner.asked
    for _ in range(3):
        client.run(job()).finished.result(TIMEOUT)
    assert runner.asked == at_start
    while client.memory is None:  # the first look waits for the answer, but not for ever
        pass
    assert client.memory.devices[0].name == "CPU"
    for _ in range(100):
        assert client.memory is not None
    assert runner.asked == at_start + 1, "what was told is new enough"
    client.stop(5)


def test_memory_that_is_told_is_never_older_than_asked_for(launcher: Launcher) -> None:
    client = EngineClient(launcher, memory_age_seconds=0)
    client.wait_ready(TIMEOUT)
    first = client.memory
    while client.memory is first:  # each look asks for a newer one
        pass
    client.stop(5)
    assert client.memory is not None, "the last words of one that has ended"
