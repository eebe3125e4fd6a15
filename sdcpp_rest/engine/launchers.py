"""Starts engines: as a child process, or for tests as a thread of this one.

A `LaunchedEngine` is one engine from its start to its end. Knows the worker and its pipe; knows no message that goes
through it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sdcpp_rest.engine.engine_process import EngineProcess
from sdcpp_rest.engine.pipe import pipe_pair
from sdcpp_rest.engine.worker_options import WorkerOptions

if TYPE_CHECKING:
    from sdcpp_rest.engine.runner import Runner

_LOG_TAIL_BYTES = 8192
_LOG_TAIL_LINES = 4
_LOG_LINE_CHARACTERS = 160


class Connection(Protocol):
    """Carries messages to a started engine and back."""

    def send_bytes(self, message: bytes) -> None:
        """Raises OSError or ValueError when the engine is gone."""

    def recv_bytes(self) -> bytes:
        """Wait for the next one. Raises EOFError or OSError when there will be none."""


class LaunchedEngine(Protocol):
    """A started engine, however it was started."""

    @property
    def connection(self) -> Connection: ...

    @property
    def pid(self) -> int: ...

    @property
    def is_lost(self) -> bool:
        """Whether it is gone for what has become of its machine, once it is gone, and not by itself."""

    @property
    def signal_name(self) -> str:
        """What ended it, once it has ended; empty if that was no signal."""

    def kill(self) -> None: ...

    def wait_for_end(self, timeout_seconds: float) -> bool:
        """Wait for the end; whether it came."""

    def exit_description(self) -> str:
        """How it ended, for people: "signal SIGABRT: GGML_ASSERT(...) failed"."""

    def refused_memory(self) -> str:
        """A sentence about the memory that was refused to the call it died in; empty if none was."""


class Launcher(Protocol):
    def launch(self) -> LaunchedEngine: ...


class ProcessLauncher:
    """Starts the engine as a child process of its own (a new one: a fork hangs once the library was loaded).

    Args:
        options: what each engine is told when it begins.
        process: one that runs already and has been told nothing. It becomes the first engine, and begins at once.
    """

    def __init__(self, options: WorkerOptions, process: EngineProcess | None = None) -> None:
        self._options = options
        self._first = None if process is None else _LaunchedProcess(process, options)

    def launch(self) -> LaunchedEngine:
        first, self._first = self._first, None
        return first or _LaunchedProcess(None, self._options)


class _LaunchedProcess:
    is_lost = False

    def __init__(self, process: EngineProcess | None, options: WorkerOptions) -> None:
        self._log = Path(options.log_path)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = process = process or EngineProcess()
        self.connection, self.pid = process.pipe, process.pid
        self._last_words = Path(f"{options.last_words_path}.{os.getpid()}.{id(self)}")
        process.configure(replace(options, last_words_path=str(self._last_words)))

    def kill(self) -> None:
        self._process.kill()

    def wait_for_end(self, timeout_seconds: float) -> bool:
        return self._process.wait_for_end(timeout_seconds)

    @property
    def signal_name(self) -> str:
        code = self._process.exit_code
        return signal.Signals(-code).name if code is not None and code < 0 else ""

    def exit_description(self) -> str:
        cause = f"signal {self.signal_name}" if self.signal_name else f"exit code {self._process.exit_code}"
        words = _take(self._last_words)
        tail = self._log_tail()
        return ". ".join(part for part in (f"{cause}: {words}" if words else cause, tail) if part)

    def refused_memory(self) -> str:
        from sdcpp_rest.engine.refused_memory import memory_note

        return _take(Path(memory_note(str(self._last_words))))

    def _log_tail(self) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - _LOG_TAIL_BYTES))
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        kept = [line.strip()[:_LOG_LINE_CHARACTERS] for line in lines if line.strip()][-_LOG_TAIL_LINES:]
        return "Last log lines: " + " | ".join(kept) if kept else ""


def _take(path: Path) -> str:
    """What a note of a dead engine says; it is removed. Empty if there is none."""
    try:
        words = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    path.unlink(missing_ok=True)
    return words


class InlineLauncher:
    """Starts the engine as a thread of this process, for fast tests: same loop, same messages, no wall."""

    def __init__(self, make_runner: Callable[[], Runner]) -> None:
        self._make_runner = make_runner

    def launch(self) -> LaunchedEngine:
        return _EngineThread(self._make_runner())


class _EngineThread:
    is_lost = False

    def __init__(self, runner: Runner) -> None:
        self.pid = os.getpid()
        self.signal_name = ""
        self.connection, self._theirs = pipe_pair()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(runner,), name="engine-inline", daemon=True)
        self._thread.start()

    def _serve(self, runner: Runner) -> None:
        from sdcpp_rest.engine.fake_runner import SimulatedDeath
        from sdcpp_rest.engine.worker import Worker

        try:
            Worker(self._theirs, runner, memory_interval_seconds=3600).serve()
        except SimulatedDeath:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """A thread cannot be killed; hanging up is what the server would notice of a death."""
        self._done.set()
        self._theirs.hang_up()

    def wait_for_end(self, timeout_seconds: float) -> bool:
        return self._done.wait(timeout_seconds)

    def exit_description(self) -> str:
        return "simulated death"

    def refused_memory(self) -> str:
        return ""
