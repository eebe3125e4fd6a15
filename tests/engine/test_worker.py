"""The engine's own loop, spoken to over a bare pipe: what it answers, whatever its runner does."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine import raw_picture, spool
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.launchers import InlineLauncher
from sdcpp_rest.engine.pipe import pipe_pair
from sdcpp_rest.engine.protocol import (
    CancelJob,
    Cancelled,
    Computed,
    EngineEvent,
    Failed,
    Finished,
    Loaded,
    LoadFailed,
    LoadModel,
    Memory,
    Preview,
    PreviewSettings,
    Ready,
    RunJob,
    SetPreview,
    Shutdown,
    Started,
    Step,
    Stopped,
    TellMemory,
    Unloaded,
    UnloadModel,
    WatchPreviews,
    decode_event,
    encode,
)
from sdcpp_rest.engine.runner import Report, RunFailed, RunResult
from sdcpp_rest.engine.worker import Worker, make_runner
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import EngineDied
from tests.engine.conftest import TIMEOUT, make_spec

Jobs = Callable[..., Callable[[int], RunJob]]


class Line:
    """A worker on a thread, and our end of its pipe."""

    def __init__(self, runner: Any, memory_interval_seconds: float = 3600) -> None:
        self.connection, theirs = pipe_pair()
        self.gone = threading.Event()
        self.worker = Worker(theirs, runner, self.gone.set, memory_interval_seconds)
        self.thread = threading.Thread(target=self.worker.serve, daemon=True)
        self.thread.start()

    def send(self, *messages: Any) -> None:
        for message in messages:
            self.connection.send_bytes(encode(message))

    def receive(self) -> EngineEvent:
        assert select.select([self.connection], [], [], TIMEOUT)[0], "the worker says nothing"
        return decode_event(self.connection.recv_bytes())

    def until(self, *kinds: type) -> list[EngineEvent]:
        """Everything up to and including the first event of these kinds."""
        events = [self.receive()]
        while not isinstance(events[-1], kinds):
            events.append(self.receive())
        return events

    def close(self) -> None:
        self.connection.hang_up()
        self.thread.join(TIMEOUT)


@pytest.fixture
def make_line() -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def make(runner: Any = None, **settings: float) -> Line:
        lines.append(Line(runner or FakeRunner(inline=True), **settings))
        return lines[-1]

    yield make
    for line in lines:
        line.close()


@pytest.fixture
def line(make_line: Callable[..., Line], spec: LoadSpec) -> Line:
    """With its model loaded."""
    made: Line = make_line()
    made.send(LoadModel(spec=spec))
    made.until(Loaded)
    return made


def test_the_first_word_is_ready(make_line: Callable[..., Line]) -> None:
    assert isinstance(make_line().receive(), Ready)


def test_a_run_is_told_in_order(line: Line, job: Jobs) -> None:
    line.send(job(steps=2)(1))
    events = line.until(Finished)
    assert isinstance(events[0], Started)
    assert [type(event) for event in events[-2:]] == [Computed, Finished]
    assert {type(event) for event in events[1:-2]} <= {Step, Preview}
    assert events[-1] == Finished(run=1, files=("image_0.png",), encode_seconds=events[-1].encode_seconds)  # type: ignore[union-attr]


def test_pixels_are_safe_when_computed_is_said(
    line: Line, job: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    encode_pixels = spool.encode_pixels

    def slow(folder: Path) -> tuple[str, ...]:
        assert held.wait(TIMEOUT)
        return encode_pixels(folder)

    monkeypatch.setattr(spool, "encode_pixels", slow)
    line.send(job()(1))
    line.until(Computed)
    assert spool.has_pixels(tmp_path / "spool-1")
    line.send(job()(2))
    line.until(Computed)
    held.set()
    assert line.until(Finished)[-1].run == 1, "the second one computed while the first was encoded"  # type: ignore[union-attr]
    assert line.until(Finished)[-1].run == 2  # type: ignore[union-attr]


def test_cancel_that_comes_before_its_run_is_kept(line: Line, job: Jobs) -> None:
    line.send(CancelJob(run=5), job()(4), job()(5), job()(6))
    events = [
        event for event in line.until(Finished) + line.until(Finished) if isinstance(event, (Finished, Cancelled))
    ]
    assert sorted((type(event).__name__, event.run) for event in events) == [
        ("Cancelled", 5), ("Finished", 4), ("Finished", 6),
    ]  # fmt: skip


def test_cancel_is_heard_while_a_run_computes(line: Line, job: Jobs) -> None:
    line.send(job("fake:hold")(1))
    line.until(Started)
    line.send(CancelJob(run=1))
    assert isinstance(line.until(Cancelled, Computed)[-1], Cancelled)


class Broken(FakeRunner):
    def load(self, spec: LoadSpec, free: Iterable[str], report: Report) -> Loaded:
        if spec.model.name == "surprise.gguf":
            raise MemoryError("cannot map the file")
        return super().load(spec, free, report)

    def run(self, command: RunJob, report: Report) -> RunResult:
        if command.params.prompt == "surprise":
            raise KeyError("nobody thought of this")
        if command.params.prompt == "strange":
            return RunResult([raw_picture.RawPicture(2, 2, 7, b"x" * 28)], 0.0)
        return super().run(command, report)


def test_load_that_raises_anything_leaves_a_usable_engine(
    make_line: Callable[..., Line], spec: LoadSpec, tmp_path: Path
) -> None:
    line = make_line(Broken(inline=True))
    line.send(LoadModel(spec=make_spec(tmp_path, "surprise.gguf")))
    assert "cannot map the file" in line.until(LoadFailed)[-1].message  # type: ignore[union-attr]
    line.send(LoadModel(spec=spec))
    assert line.until(Loaded)


@pytest.mark.parametrize(
    ("prompt", "code", "message"),
    [
        ("surprise", "internal_error", "KeyError"),
        ("strange", "output_failed", "not saved"),
        ("fake:fail", "generation_failed", "asked"),
    ],
)
def test_run_that_raises_anything_leaves_a_usable_engine(
    make_line: Callable[..., Line], spec: LoadSpec, job: Jobs, prompt: str, code: str, message: str
) -> None:
    line = make_line(Broken(inline=True))
    line.send(LoadModel(spec=spec), job(prompt)(1))
    failed = line.until(Failed)[-1]
    assert isinstance(failed, Failed)
    assert (failed.run, failed.code) == (1, code)
    assert message in failed.message
    line.send(job()(2))
    assert line.until(Finished)


def test_run_without_a_model_fails(make_line: Callable[..., Line], job: Jobs) -> None:
    line = make_line()
    line.send(job()(1))
    assert "no model" in line.until(Failed)[-1].message  # type: ignore[union-attr]


def test_run_without_the_name_of_a_model_fails(line: Line, job: Jobs) -> None:
    line.send(job(model_key=None)(1))
    assert "names no model" in line.until(Failed)[-1].message  # type: ignore[union-attr]


def test_a_model_stays_beside_the_next_one_until_it_is_freed(
    line: Line, spec: LoadSpec, job: Jobs, tmp_path: Path
) -> None:
    other, third = make_spec(tmp_path, "other.gguf"), make_spec(tmp_path, "third.gguf")
    line.send(LoadModel(spec=other), job()(1), job(model_key=other.key)(2))
    assert [event.run for event in (line.until(Finished)[-1], line.until(Finished)[-1])] == [1, 2]  # type: ignore[union-attr]
    line.send(LoadModel(spec=third, free=(other.key, "unknown")), job(model_key=other.key)(3))
    assert f"no model of the key {other.key} is loaded" in line.until(Failed)[-1].message  # type: ignore[union-attr]
    line.send(job()(4), job(model_key=third.key)(5))
    assert [event.run for event in (line.until(Finished)[-1], line.until(Finished)[-1])] == [4, 5]  # type: ignore[union-attr]


def test_unload_frees_the_models_that_it_names(line: Line, spec: LoadSpec, job: Jobs, tmp_path: Path) -> None:
    other = make_spec(tmp_path, "other.gguf")
    line.send(LoadModel(spec=other), UnloadModel(keys=(spec.key, "unknown")), job()(1))
    assert spec.key in line.until(Failed)[-1].message  # type: ignore[union-attr]
    line.send(UnloadModel(keys=()), job(model_key=other.key)(2))
    line.until(Finished)
    line.send(UnloadModel(), job(model_key=other.key)(3))
    assert other.key in line.until(Failed)[-1].message  # type: ignore[union-attr]


def test_load_that_fails_leaves_the_other_models(line: Line, job: Jobs, tmp_path: Path) -> None:
    line.send(LoadModel(spec=make_spec(tmp_path, "refuse.gguf")))
    line.until(LoadFailed)
    line.send(job()(1))
    assert line.until(Finished)


def test_model_of_the_same_key_is_replaced(make_line: Callable[..., Line], spec: LoadSpec, job: Jobs) -> None:
    fails: list[bool] = []

    def load(spec: LoadSpec) -> None:
        if fails:
            raise RunFailed("its file is another one now")

    line = make_line(FakeRunner(inline=True, on_load=load))
    line.send(LoadModel(spec=spec), LoadModel(spec=spec))
    line.until(Loaded)
    line.until(Loaded)
    fails.append(True)
    line.send(LoadModel(spec=spec), job()(1))
    assert spec.key in line.until(Failed)[-1].message, "what it had been was freed before"  # type: ignore[union-attr]


def test_unload_is_answered_also_when_nothing_is_loaded(line: Line) -> None:
    line.send(UnloadModel(), UnloadModel())
    line.until(Unloaded)
    line.until(Unloaded)


def test_shutdown_finishes_what_is_being_encoded(line: Line, job: Jobs) -> None:
    line.send(job(batch_count=3)(1), Shutdown())
    events = line.until(Stopped)
    assert any(isinstance(event, Finished) for event in events)
    line.thread.join(TIMEOUT)
    assert not line.thread.is_alive()


def test_end_of_the_pipe_ends_the_worker(line: Line) -> None:
    line.connection.hang_up()
    line.thread.join(TIMEOUT)
    assert not line.thread.is_alive()
    assert line.gone.wait(TIMEOUT)


def test_runner_that_cannot_begin_says_so(make_line: Callable[..., Line]) -> None:
    class NoLibrary(FakeRunner):
        def ready(self) -> Ready:
            raise RunFailed("no library")

    line = make_line(NoLibrary())
    assert line.receive() == LoadFailed(message="no library")
    line.thread.join(TIMEOUT)
    assert not line.thread.is_alive()


def test_memory_is_told_while_a_run_computes(make_line: Callable[..., Line], spec: LoadSpec, job: Jobs) -> None:
    line = make_line(memory_interval_seconds=0.01)
    line.send(LoadModel(spec=spec), job("fake:hold")(1))
    line.until(Started)
    line.send(TellMemory())
    memory = line.until(Memory)[-1]
    assert isinstance(memory, Memory)
    assert memory.rss_bytes > 0
    assert memory.devices[0].name == "CPU"
    line.send(CancelJob(run=1))
    line.until(Cancelled)


@pytest.mark.slow
def test_previews_follow_their_settings(line: Line, job: Jobs, tmp_path: Path) -> None:
    line.send(job("fake:step=0.11", steps=3)(1))
    previews = [event for event in line.until(Finished) if isinstance(event, Preview)]
    assert [preview.step for preview in previews] == [1, 2, 3]
    assert previews[0].path == str(tmp_path / "spool-1" / spool.PREVIEW_NAME)
    line.send(SetPreview(settings=PreviewSettings(enabled=False)), job(steps=3)(2))
    assert not any(isinstance(event, Preview) for event in line.until(Finished))


def test_unwatched_previews_are_no_files_and_the_newest_is_shown_to_whoever_comes(
    make_line: Callable[..., Line], spec: LoadSpec, job: Jobs, tmp_path: Path
) -> None:
    file, goes_on = tmp_path / "spool-1" / spool.PREVIEW_NAME, threading.Event()

    def wait_at_second(command: RunJob, step: int) -> None:
        assert step != 2 or goes_on.wait(TIMEOUT)

    line = make_line(FakeRunner(wait_at_second, inline=True))
    line.send(LoadModel(spec=spec), WatchPreviews(is_watched=False), job(steps=2)(1))
    first = line.until(Preview)[-1]
    assert isinstance(first, Preview)
    assert (first.step, first.path, file.exists()) == (1, "", False)
    line.send(WatchPreviews(is_watched=True))
    shown = line.until(Preview)[-1]
    assert isinstance(shown, Preview)
    assert (shown.step, shown.path) == (1, str(file))
    assert file.read_bytes().startswith(b"\xff\xd8")
    goes_on.set()
    line.until(Finished)


def test_who_begins_to_watch_between_two_runs_is_shown_nothing_of_the_last_one(line: Line, job: Jobs) -> None:
    line.send(WatchPreviews(is_watched=False), job(steps=1)(1))
    line.until(Finished)
    line.send(WatchPreviews(is_watched=True), job(steps=1)(2))
    assert {event.run for event in line.until(Finished) if isinstance(event, Preview)} == {2}


def test_previews_are_rare_when_steps_are_quick(line: Line, job: Jobs) -> None:
    line.send(job(steps=200)(1))
    events = line.until(Finished)
    assert sum(isinstance(event, Step) for event in events) >= 200
    assert sum(isinstance(event, Preview) for event in events) < 100


def test_preview_that_cannot_be_written_costs_nothing_but_itself(line: Line, job: Jobs, tmp_path: Path) -> None:
    (tmp_path / "spool-1" / "preview.part").mkdir(parents=True)
    line.send(job()(1))
    events = line.until(Finished)
    assert not any(isinstance(event, Preview) for event in events)


def test_runner_is_chosen_by_name() -> None:
    assert isinstance(make_runner(WorkerOptions(runner="fake")), FakeRunner)


def test_word_that_the_server_does_not_know_ends_that_engine(spec: LoadSpec, job: Jobs) -> None:
    """An engine of another version: without this, whoever waits for what it meant would wait for ever."""

    class Babbling(FakeRunner):
        def run(self, command: RunJob, report: Report) -> RunResult:
            launched._theirs.send_bytes(b'{"type": "news of tomorrow"}')
            threading.Event().wait(0.2)
            return super().run(command, report)

    client = EngineClient(InlineLauncher(lambda: Babbling(inline=True)))
    launched: Any = client._engine
    client.wait_ready(TIMEOUT)
    client.load(spec)
    with pytest.raises(EngineDied):
        client.run(job()).computed.result(TIMEOUT)


def test_encoders_are_imported_while_the_first_run_computes(
    make_line: Callable[..., Line], spec: LoadSpec, job: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = threading.Semaphore(0)
    # The encoder of an earlier test's engine may come to it only now.
    earlier = set(threading.enumerate())

    def import_encoders() -> None:
        if threading.current_thread() not in earlier:
            imported.release()

    monkeypatch.setattr(spool, "import_encoders", import_encoders)
    line = make_line()
    line.send(LoadModel(spec=spec))
    line.until(Loaded)
    assert not imported.acquire(blocking=False), "an engine that draws nothing needs none"
    line.send(job("fake:hold")(1))
    assert imported.acquire(timeout=TIMEOUT), "the run is still held"
    line.send(CancelJob(run=1), job()(2))
    line.until(Finished)
    assert not imported.acquire(blocking=False)
