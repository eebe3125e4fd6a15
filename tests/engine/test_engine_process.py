"""Engine processes that start before anybody knows what they are to be: told, forgotten, unwanted, or never started."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from sdcpp_rest.engine import engine_process
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.engine_process import EngineProcess, early_process
from sdcpp_rest.engine.launchers import ProcessLauncher
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.engine.worker_options import WorkerOptions
from sdcpp_rest.errors import EngineDied
from tests.engine.conftest import TIMEOUT


@pytest.fixture
def options(tmp_path: Path) -> WorkerOptions:
    return WorkerOptions(
        runner="fake",
        log_path=str(tmp_path / "logs" / "engine.log"),
        last_words_path=str(tmp_path / "words"),
        environment=(("SDCPP_TEST_VARIABLE", "ä=1"), ("B", "")),
    )


def test_options_survive_the_pipe(options: WorkerOptions) -> None:
    assert WorkerOptions.from_json(options.to_json()) == options


def test_nothing_is_started_where_nothing_is_wanted() -> None:
    with early_process(is_wanted=False) as process:
        assert process is None


def test_a_process_that_the_system_does_not_start_is_left_to_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(engine_process, "_start", refuse)
    with early_process() as process:
        assert process is None


@pytest.mark.slow
def test_a_process_that_runs_already_becomes_the_first_engine_alone(options: WorkerOptions) -> None:
    with early_process() as process:
        assert process is not None
        launcher = ProcessLauncher(options, process)
        first, second = EngineClient(launcher), EngineClient(launcher)
        assert first.wait_ready(TIMEOUT).pid == first.pid == process.pid
        assert second.wait_ready(TIMEOUT).pid == second.pid != process.pid
        first.stop(5)
        second.stop(5)
    assert process.exit_code == 0, "it was stopped, and not killed in the end"


@pytest.mark.slow
def test_what_a_process_is_told_late_counts(options: WorkerOptions) -> None:
    with early_process() as process:
        assert process is not None
        assert not Path(options.log_path).parent.exists(), "no folder is written into before it is known whose it is"
        supervisor = EngineSupervisor(ProcessLauncher(options, process))
        supervisor.ensure()
        assert Path(options.log_path).exists()
        supervisor.stop()


@pytest.mark.slow
def test_a_process_that_is_never_told_anything_ends_with_the_pipe() -> None:
    process = EngineProcess()
    process.pipe.hang_up()
    assert process.wait_for_end(TIMEOUT)
    assert process.exit_code == 0


@pytest.mark.slow
def test_a_process_is_gone_when_the_start_fails() -> None:
    process: EngineProcess | None = None

    def fail() -> None:
        nonlocal process
        with early_process() as process:
            raise ValueError("the port is taken")

    with pytest.raises(ValueError, match="port"):
        fail()
    assert process is not None
    assert not psutil.pid_exists(process.pid)
    process.discard()


@pytest.mark.slow
def test_a_process_that_dies_before_it_is_told_is_replaced(options: WorkerOptions) -> None:
    with early_process() as process:
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait_for_end(TIMEOUT)
        supervisor = EngineSupervisor(ProcessLauncher(options, process), backoff_initial_seconds=0.01)
        with pytest.raises(Exception, match="SIGKILL"):
            supervisor.ensure()
        assert supervisor.ensure().pid != process.pid
        supervisor.stop()


@pytest.mark.slow
def test_death_of_a_process_that_was_never_told_is_a_death(options: WorkerOptions) -> None:
    process = EngineProcess()
    client = EngineClient(ProcessLauncher(options, process))
    client.kill()
    with pytest.raises(EngineDied, match="SIGKILL"):
        client.wait_ready(TIMEOUT)


@pytest.mark.slow
def test_modules_are_never_looked_for_in_the_current_folder(
    options: WorkerOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    client = EngineClient(ProcessLauncher(options))
    assert client.wait_ready(TIMEOUT).library_version == "fake"
    client.stop(5)
