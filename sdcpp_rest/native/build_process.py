"""Runs pip and the compilers of a build: their output into a file, how far they are to whoever waits.

One at a time in a folder: what a build that was killed has left running is ended first.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

if sys.platform != "win32":
    import fcntl

HEARTBEAT_SECONDS = 5.0
BUSY_NAME = "build.busy"
_STEP = re.compile(r"\[(\d+)/(\d+)\]|\[ *(\d+)%\]")

Log = Callable[[str], None]


def run_build(command: Sequence[str], environment: dict[str, str], log_path: Path, log: Log) -> int:
    """Run ``command`` into ``log_path``; tell ``log`` how far it is, every few seconds even when it is silent. Returns
    the exit code."""
    lines: queue.Queue[str | None] = queue.Queue()
    started = spoken = time.monotonic()
    done = "preparing"
    with (
        _alone(log_path.with_name(BUSY_NAME), log) as busy,
        log_path.open("w") as record,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=busy,
        ) as process,
    ):
        for descriptor in busy:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(process.pid).encode(), 0)
        output = process.stdout
        assert output is not None

        def read() -> None:
            with contextlib.suppress(ValueError):  # closed, by a build that is broken off, before its end was read
                for line in output:
                    lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            while True:
                try:
                    line = lines.get(timeout=1.0)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                record.write(line)
                if found := _STEP.search(line):
                    done = f"{found[1]}/{found[2]}" if found[1] else f"{found[3]} %"
                if time.monotonic() - spoken >= HEARTBEAT_SECONDS:
                    spoken = time.monotonic()
                    log(f"native library: {done}, {spoken - started:.0f} s")
        except BaseException:
            _end_group(process.pid)  # Ctrl-C must not leave the compiler running
            raise
    return process.returncode


@contextlib.contextmanager
def _alone(path: Path, log: Log) -> Iterator[tuple[int, ...]]:
    """Hold a lock that pip, which inherits the descriptor, holds as well: where it is taken, its holder has outlived
    the build that started it, and its number in the file is still its own."""
    if sys.platform == "win32":
        yield ()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("native library: ending the compilers of a build that was killed")
            if number := os.pread(descriptor, 20, 0).decode():
                _end_group(int(number))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield (descriptor,)
    finally:
        os.close(descriptor)


def _end_group(number: int) -> None:
    """End pip, ninja and the compilers that it started."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            os.kill(number, signal.SIGTERM)
        else:
            os.killpg(number, signal.SIGTERM)
