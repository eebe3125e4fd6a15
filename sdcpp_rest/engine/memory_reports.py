"""Tells the server of an engine's memory, and has the library give memory back while the engine rests.

Knows no commands: the worker says what goes on.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from sdcpp_rest.engine.process_memory import resident_bytes
from sdcpp_rest.engine.protocol import Memory
from sdcpp_rest.engine.runner import Runner


class MemoryReports:
    """Reports of one engine, on a thread of their own (`run`), so that neither a cancel nor a run waits for them.

    They are sent whenever somebody looks, and never else: a GPU's driver that is asked may hold up what it computes.

    Args:
        interval_seconds: an engine that was idle for so long gives memory back; the log is looked after as often.
    """

    def __init__(
        self, runner: Runner, send: Callable[[Memory], None], interval_seconds: float, rotate_log: Callable[[], None]
    ) -> None:
        self._runner = runner
        self._send = send
        self._interval_seconds = interval_seconds
        self._rotate_log = rotate_log
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._has_devices = True
        self._turns = 0  # odd while a command is executed

    def want(self) -> None:
        """Send a report soon."""
        self._wanted.set()

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._wanted.set()

    def forget_devices(self) -> None:
        """Leave the devices out from now on: one is lost, and asking it ends or hangs the process."""
        self._has_devices = False

    @contextlib.contextmanager
    def keep_busy(self) -> Iterator[None]:
        """The engine does not rest inside."""
        self._turns += 1
        try:
            yield
        finally:
            self._turns += 1

    def run(self) -> None:
        """Report until `stop`."""
        seen = rested = 0
        looked_at = time.monotonic()
        while True:
            is_wanted = self._wanted.wait(self._interval_seconds)
            if self._stopped.is_set():
                return
            self._rotate_log()
            # Also while somebody looks again and again.
            if time.monotonic() - looked_at >= self._interval_seconds:
                looked_at = time.monotonic()
                # Not between two jobs: the next one takes the same memory again, and would have to have it cleared.
                if self._turns == seen != rested and seen % 2 == 0:
                    self._runner.rest()
                    rested = seen
                seen = self._turns
            if is_wanted:
                self._wanted.clear()
                devices = self._runner.devices() if self._has_devices else ()
                self._send(Memory(rss_bytes=resident_bytes(), devices=devices, threads=self._runner.threads()))
