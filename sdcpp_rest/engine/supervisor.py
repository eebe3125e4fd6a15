"""Keeps one engine alive: starts it, replaces it when it died, slower each time until something succeeds.

Knows nothing of jobs and models; whoever uses the new engine loads what it needs.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from sdcpp_rest.engine.client import EngineClient, RunEvent
from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.places import name_of
from sdcpp_rest.engine.protocol import PreviewSettings, Ready
from sdcpp_rest.errors import EngineDied, EngineUnavailable

if TYPE_CHECKING:
    from sdcpp_rest.engine.log_tail import RawLog

log = logging.getLogger(__name__)

# What an engine whose device is lost has for the files that it still writes.
_BROKEN_SECONDS = 10.0

EngineState = Literal["starting", "idle", "loading", "running", "dead", "stopped", "none"]


class EngineSupervisor:
    """Launches engines: the one place that does.

    Args:
        name: what jobs and people call it; ``""`` until the engine has said what it computes on.
        on_death: called after an engine died by itself (never after `stop`), on that engine's reader thread.
        find_fault: what is wrong with an engine that says this of itself, in a sentence; ``None``: nothing.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        name: str = "",
        on_run_event: Callable[[RunEvent], None] = lambda event: None,
        on_death: Callable[[EngineDied], None] = lambda error: None,
        find_fault: Callable[[Ready], str | None] = lambda ready: None,
        start_timeout_seconds: float = 60.0,
        backoff_initial_seconds: float = 0.2,
        backoff_max_seconds: float = 30.0,
        memory_age_seconds: float = 2.0,
    ) -> None:
        self._launcher = launcher
        self._on_run_event = on_run_event
        self._on_death = on_death
        self._find_fault = find_fault
        self._name = name
        self._start_timeout_seconds = start_timeout_seconds
        self._backoff_initial_seconds = backoff_initial_seconds
        self._backoff_max_seconds = backoff_max_seconds
        self._memory_age_seconds = memory_age_seconds
        self._numbers = itertools.count(1)
        self._failures = 0
        self._launches = 0
        self._not_before = 0.0
        self._stopping = threading.Event()
        self._hurried = threading.Event()
        self._lock = threading.Lock()
        self._preview = PreviewSettings()
        self.client: EngineClient | None = None
        self.ready: Ready | None = None
        self.was_ready = threading.Event()
        """Set once the first engine is ready."""
        self.state: EngineState = "starting"
        self.read_log: Callable[[int], RawLog] | None = None
        """Reads so many of the last lines of its engine's log, where that is on another machine. Raises
        EngineUnavailable."""

    @property
    def name(self) -> str:
        if not self._name and self.ready is not None:
            self._name = name_of(self.ready)
        return self._name

    @property
    def is_alive(self) -> bool:
        return self.client is not None and self.client.alive

    @property
    def restarts(self) -> int:
        return max(0, self._launches - 1)

    def ensure(self) -> EngineClient:
        """A ready engine: the living one, or a new one once the back-off has passed. Blocks.

        Called by one thread only (the dispatcher). Raises EngineUnavailable when the engine does not start, or when the
        server stops meanwhile.
        """
        if self.client is not None and self.client.alive:
            return self.client
        if self.client is not None and self.client.is_broken:
            self.client.stop(_BROKEN_SECONDS)
        self.state = "dead" if self._launches else "starting"
        if not self._stopping.is_set():
            self._hurried.wait(max(0.0, self._not_before - time.monotonic()))
            self._hurried.clear()
        if self._stopping.is_set():
            raise EngineUnavailable("The server is stopping")
        self.state = "starting"
        self._launches += 1
        failures = self._failures
        with self._lock:
            if self._stopping.is_set():
                raise EngineUnavailable("The server is stopping")
            client = EngineClient(
                self._launcher, self._on_run_event, self._handle_death, self._numbers, self._memory_age_seconds
            )
            self.client = client
        try:
            ready = client.wait_ready(self._start_timeout_seconds)
            if (fault := self._find_fault(ready)) is not None:
                log.error("the engine is not used: %s", fault)
                raise EngineUnavailable(fault)
        except EngineUnavailable as error:
            # It died, or it answered that it cannot work (no library, no guard) and ends by itself, or it was killed
            # for taking too long. When it has been stopped, its death was counted or never will be: one failure either
            # way.
            client.stop(5)
            if self._failures == failures:
                self._count_failure()
            self.state = "dead"
            # Never EngineDied: no job and no model can be blamed for an engine that does not even start.
            raise EngineUnavailable(error.message) from error
        self.ready = ready
        self.was_ready.set()
        self.state = "idle"
        client.set_preview(self._preview)
        return client

    def move_to(self, launcher: Launcher, name: str, find_fault: Callable[[Ready], str | None]) -> None:
        """Have every later engine started by ``launcher``, called ``name`` and checked by ``find_fault``. By the thread
        of `ensure`."""
        self._launcher, self._name, self._find_fault = launcher, name, find_fault

    def replace(self, timeout_seconds: float) -> EngineClient:
        """End the engine in order, and start another one at once, as if nothing had ever gone wrong; its end is not a
        death. By the thread of `ensure`. Blocks. Raises EngineUnavailable."""
        if self.client is not None:
            self.client.stop(timeout_seconds)
        self._failures, self._not_before = 0, 0.0
        self._hurried.clear()
        return self.ensure()

    def hurry(self) -> None:
        """Have nobody wait until the next engine may start; by any thread."""
        self._hurried.set()

    def launch_apart(self) -> EngineClient:
        """Launch a second engine for one job; whoever asked for it stops it. Raises EngineUnavailable."""
        if self._stopping.is_set():
            raise EngineUnavailable("The server is stopping")
        client = EngineClient(self._launcher, self._on_run_event, numbers=self._numbers)
        try:
            client.wait_ready(self._start_timeout_seconds)
        except EngineUnavailable as error:
            client.stop(5)
            # Never EngineDied: the job is not to blame for an engine that does not even start.
            raise EngineUnavailable(error.message) from error
        return client

    def reset_backoff(self) -> None:
        """Count the next death as the first again, because something worked."""
        self._failures = 0

    def set_preview(self, settings: PreviewSettings) -> None:
        """Set the previews of this engine and of every later one."""
        self._preview = settings
        if self.client is not None and self.client.alive:
            self.client.set_preview(settings)

    def prepare_previews(self, client: EngineClient, is_watched: bool) -> None:
        """Set the previews of the next run: while nobody watches, one must not cost more than a projection of the
        latents."""
        settings = self._preview
        if not is_watched and settings.mode in ("tae", "vae"):
            settings = settings.model_copy(update={"mode": "proj"})
        client.set_preview(settings)
        client.watch_previews(is_watched)

    def watch_previews(self) -> None:
        """Have the run that goes on, if any, show what it has: somebody has begun to watch."""
        if self.client is not None and self.client.alive:
            self.client.watch_previews(True)

    def begin_stop(self) -> None:
        """Let nobody wait for a new engine any more."""
        self._stopping.set()
        self._hurried.set()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End the engine; its end is not a death. Idempotent."""
        self.begin_stop()
        with self._lock:
            client = self.client
        if client is not None:
            client.stop(timeout_seconds)
        self.state = "stopped"

    def _handle_death(self, error: EngineDied) -> None:
        if self._stopping.is_set():
            return
        self.state = "dead"
        self._count_failure()
        self._on_death(error)

    def _count_failure(self) -> None:
        self._failures += 1
        pause = min(self._backoff_max_seconds, self._backoff_initial_seconds * 2 ** (self._failures - 1))
        self._not_before = time.monotonic() + pause
        log.warning("the engine will be replaced in %.1f s (failure %d in a row)", pause, self._failures)
