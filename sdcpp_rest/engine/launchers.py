"""Starts engines: as a child process, or for tests as a thread of this one.

A `LaunchedEngine` is one engine from its start to its end. Knows the worker and its pipe; knows no message that goes
through it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from sdcpp_rest.engine.fake_runner import SimulatedDeath
from sdcpp_rest.engine.runner import Runner
from sdcpp_rest.engine.worker import Worker, WorkerOptions, main

_LOG_TAIL_BYTES = 8192
_LOG_TAIL_LINES = 4
_LOG_LINE_CHARACTERS = 160


class LaunchedEngine(Protocol):
    """A started engine, however it was started."""

    connection: Connection
    pid: int

    @property
    def signal_name(self) -> str:
        """What ended it, once it has ended; empty if that was no signal."""

    def kill(self) -> None: ...

    def wait_for_end(self, timeout_seconds: float) -> bool:
        """Wait for the end; whether it came."""

    def exit_description(self) -> str:
        """How it ended, for people: "signal SIGABRT: GGML_ASSERT(...) failed"."""


class Launcher(Protocol):
    def launch(self) -> LaunchedEngine: ...


class ProcessLauncher:
    """Starts the engine as a child process of its own (spawned: a forked one hangs once the library was loaded)."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options

    def launch(self) -> LaunchedEngine:
        return _EngineProcess(self._options)


class _EngineProcess:
    def __init__(self, options: WorkerOptions) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        Path(options.log_path).parent.mkdir(parents=True, exist_ok=True)
        self._log = Path(options.log_path)
        self._last_words = Path(f"{options.last_words_path}.{os.getpid()}.{id(self)}")
        options = replace(options, last_words_path=str(self._last_words))
        self._process = context.Process(target=main, args=(theirs, options), name="sdcpp-engine", daemon=True)
        self._process.start()
        # Ours must be the only copy of their end left in this process, or its death would never read as end-of-file.
        theirs.close()
        self.pid = self._process.pid or 0

    def kill(self) -> None:
        self._process.kill()

    def wait_for_end(self, timeout_seconds: float) -> bool:
        self._process.join(timeout_seconds)
        return self._process.exitcode is not None

    @property
    def signal_name(self) -> str:
        code = self._process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else ""

    def exit_description(self) -> str:
        cause = f"signal {self.signal_name}" if self.signal_name else f"exit code {self._process.exitcode}"
        words = self._take_last_words()
        tail = self._log_tail()
        return ". ".join(part for part in (f"{cause}: {words}" if words else cause, tail) if part)

    def _take_last_words(self) -> str:
        try:
            words = self._last_words.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""
        self._last_words.unlink(missing_ok=True)
        return words

    def _log_tail(self) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - _LOG_TAIL_BYTES))
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        kept = [line.strip()[:_LOG_LINE_CHARACTERS] for line in lines if line.strip()][-_LOG_TAIL_LINES:]
        return "Last log lines: " + " | ".join(kept) if kept else ""


class InlineLauncher:
    """Starts the engine as a thread of this process, for fast tests: same loop, same messages, no wall."""

    def __init__(self, make_runner: Callable[[], Runner]) -> None:
        self._make_runner = make_runner

    def launch(self) -> LaunchedEngine:
        return _EngineThread(self._make_runner())


class _EngineThread:
    def __init__(self, runner: Runner) -> None:
        self.pid = os.getpid()
        self.signal_name = ""
        self.connection, self._theirs = multiprocessing.Pipe()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(runner,), name="engine-inline", daemon=True)
        self._thread.start()

    def _serve(self, runner: Runner) -> None:
        try:
            Worker(self._theirs, runner, memory_interval_seconds=3600).serve()
        except SimulatedDeath:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """A thread cannot be killed; hanging up is what the server would notice of a death."""
        self._done.set()
        hang_up(self._theirs)

    def wait_for_end(self, timeout_seconds: float) -> bool:
        return self._done.wait(timeout_seconds)

    def exit_description(self) -> str:
        return "simulated death"


def hang_up(connection: Connection) -> None:
    """End a pipe for both sides at once.

    Not close(): while another thread is blocked reading, a closed socket stays open.
    """
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as pipe:
        pipe.shutdown(socket.SHUT_RDWR)
