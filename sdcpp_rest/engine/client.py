"""Sends commands to one engine process and receives its events: one `EngineClient` is one life of one engine.

Commands go out, events come in on a reader thread, results are futures. When the engine dies, everything that waits on
it gets `EngineDied` with the library's last words; replacing the engine is the supervisor's business, not ours.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only since Python 3.11
from dataclasses import dataclass

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.engine.launchers import Launcher
from sdcpp_rest.engine.protocol import (
    CancelJob,
    Cancelled,
    Computed,
    EngineEvent,
    Failed,
    Finished,
    Loaded,
    LoadFailed,
    Loading,
    LoadModel,
    LoadUpscaler,
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
    UnloadUpscaler,
    UpscalerReady,
    WatchPreviews,
    decode_event,
    encode,
)
from sdcpp_rest.engine.runner import RunCancelled, RunFailed
from sdcpp_rest.errors import (
    DeviceFailed,
    EngineDied,
    EngineLost,
    EngineOutOfMemory,
    EngineUnavailable,
    MachineFull,
    OutOfMemory,
)
from sdcpp_rest.errors import LoadFailed as LoadFailedError

log = logging.getLogger(__name__)

# An engine answers in milliseconds, while it computes too. What was told longer ago than so many times the age that is
# allowed is waited for: somebody who looks every few seconds never waits, and nobody is told what was true yesterday.
_MEMORY_PATIENCE_SECONDS = 0.25
_LONG_UNSEEN = 3


@dataclass(frozen=True)
class RunHandle:
    """One run under way.

    ``computed`` resolves when the engine is free again, ``finished`` when the files are whole. Both fail with
    RunFailed, RunCancelled or EngineDied; ``computed`` always first.
    """

    number: int
    computed: Future[Computed]
    finished: Future[Finished]


RunEvent = Started | Step | Preview
_Answer = Loaded | UpscalerReady | Unloaded


class EngineClient:
    """Runs one engine from its launch to its end. Thread-safe.

    Args:
        launcher: starts the process (or, in tests, a thread).
        on_run_event: called on the reader thread with what happens during runs.
        on_death: called once, on the reader thread, before the waiting futures fail; not after a clean stop. Also when
            the process lives and nothing more can be computed in it (`is_broken`).
        numbers: where run numbers come from; shared by the lives of one engine, so that none is ever used twice.
        memory_age_seconds: how old what `memory` tells may be; it is asked for no more often.
    """

    def __init__(
        self,
        launcher: Launcher,
        on_run_event: Callable[[RunEvent], None] = lambda event: None,
        on_death: Callable[[EngineDied], None] = lambda error: None,
        numbers: itertools.count[int] | None = None,
        memory_age_seconds: float = 2.0,
    ) -> None:
        self._on_run_event = on_run_event
        self._on_death = on_death
        self._numbers = numbers or itertools.count(1)
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._runs: dict[int, RunHandle] = {}
        self._control: Future[_Answer] | None = None
        self._on_loading: Callable[[float | None], None] = lambda progress: None
        self._ready: Future[Ready] = Future()
        self._stopping = False
        self._death: EngineDied | None = None
        self.is_broken = False
        """Whether it counts as dead although its process lives: that still writes what was drawn before. `stop` it."""
        self._memory_age_seconds = memory_age_seconds
        self._memory: Memory | None = None
        self._memory_at = self._memory_asked_at = -math.inf
        self._memory_told = threading.Condition()
        self._is_watched = True
        self._engine = launcher.launch()
        self._reader = threading.Thread(target=self._read, name="engine-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._engine.pid

    @property
    def alive(self) -> bool:
        return self._death is None and not self._stopping

    @property
    def has_started(self) -> bool:
        """Whether it has ever been ready."""
        return self._ready.done() and self._ready.exception() is None

    @property
    def may_be_lost(self) -> bool:
        """Whether it is lost, or would be if its machine were: it has started, and has not ended otherwise."""
        return self.has_started and (self._death is None or isinstance(self._death, EngineLost))

    @property
    def memory(self) -> Memory | None:
        """What it holds, and its devices' free memory, as it last said. Looking has it asked for what is newer; where
        nobody has looked for a while this waits a moment for that, and goes without when it does not come."""
        now, age = time.monotonic(), self._memory_age_seconds
        with self._memory_told:
            is_due = now - max(self._memory_at, self._memory_asked_at) >= age
            if is_due:
                self._memory_asked_at = now
        if is_due and self._ready.done() and self.alive:
            self._send(TellMemory())
            if now - self._memory_at >= _LONG_UNSEEN * age:
                self._wait_for_memory(now, _MEMORY_PATIENCE_SECONDS)
        return self._memory

    def look_at_memory(self, timeout_seconds: float = 2.0) -> Memory | None:
        """The same as it is now; ``None`` where no answer comes. Blocks."""
        now = time.monotonic()
        if self._ready.done() and self.alive:
            self._send(TellMemory())
        return self._memory if self._wait_for_memory(now, timeout_seconds) and self.alive else None

    def _wait_for_memory(self, since: float, timeout_seconds: float) -> bool:
        with self._memory_told:
            return self._memory_told.wait_for(lambda: self._memory_at >= since or not self.alive, timeout_seconds)

    def wait_ready(self, timeout_seconds: float) -> Ready:
        """The engine's first message.

        Raises EngineUnavailable when it does not come in time, EngineDied when the engine died.
        """
        try:
            return self._ready.result(timeout_seconds)
        except FutureTimeoutError:
            self.kill()
            seconds = f"{timeout_seconds:g} s"
            raise EngineUnavailable(
                f"The engine did not start within {seconds} (engine.start_timeout_seconds)"
            ) from None

    def load(
        self,
        spec: LoadSpec,
        on_loading: Callable[[float | None], None] = lambda progress: None,
        free: Iterable[str] = (),
    ) -> Loaded:
        """Free the models whose keys are in ``free``, then load ``spec``; blocks. All others stay loaded.

        Raises errors.LoadFailed or OutOfMemory (both: ``spec`` is not loaded, the others are), or EngineDied.
        """
        result = self._command(LoadModel(spec=spec, free=tuple(free)), on_loading)
        assert isinstance(result, Loaded)
        return result

    def unload(self, keys: Iterable[str] | None = None) -> None:
        """Free the models of these keys, ``None``: all; blocks. Raises EngineDied."""
        self._command(UnloadModel(keys=None if keys is None else tuple(keys)))

    def load_upscaler(self, spec: UpscalerSpec) -> UpscalerReady:
        """Replace the loaded upscaler; blocks. Raises errors.LoadFailed (none is loaded then) or EngineDied."""
        result = self._command(LoadUpscaler(spec=spec))
        assert isinstance(result, UpscalerReady)
        return result

    def unload_upscaler(self) -> None:
        """Free the loaded upscaler; blocks. Raises EngineDied."""
        self._command(UnloadUpscaler())

    def run(self, make_command: Callable[[int], RunJob]) -> RunHandle:
        """Start a run; ``make_command`` gets its number. Raises EngineDied when there is no engine any more."""
        number = next(self._numbers)
        handle = RunHandle(number, Future(), Future())
        with self._lock:
            self._raise_if_dead()
            self._runs[number] = handle
        self._send(make_command(number))
        return handle

    def cancel(self, number: int) -> None:
        """Ask run ``number`` to stop at its next step. Never raises: a dead engine has stopped already."""
        self._send(CancelJob(run=number))

    def set_preview(self, settings: PreviewSettings) -> None:
        self._send(SetPreview(settings=settings))

    def watch_previews(self, is_watched: bool) -> None:
        """Say whether somebody sees previews. Who begins to watch is shown the newest one of the run that goes on."""
        if is_watched != self._is_watched:
            self._is_watched = is_watched
            self._send(WatchPreviews(is_watched=is_watched))

    def kill(self) -> None:
        """End the process at once; waiting futures fail with EngineDied."""
        self._engine.kill()

    def stop(self, timeout_seconds: float) -> None:
        """Ask it to end, wait, then kill. Its end is not a death. Idempotent."""
        self._stopping = True
        self._send(Shutdown())
        if not self._engine.wait_for_end(timeout_seconds):
            self._engine.kill()
            self._engine.wait_for_end(5)
        self._reader.join(5)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _command(
        self,
        message: LoadModel | UnloadModel | LoadUpscaler | UnloadUpscaler,
        on_loading: Callable[[float | None], None] = lambda progress: None,
    ) -> _Answer:
        answer: Future[_Answer] = Future()
        with self._lock:
            self._raise_if_dead()
            assert self._control is None, "loads and unloads come one at a time, from the dispatcher"
            self._control, self._on_loading = answer, on_loading
        self._send(message)
        return answer.result()

    def _raise_if_dead(self) -> None:
        if self._death is not None:
            raise self._death

    def _send(self, message: Frozen) -> None:
        try:
            with self._send_lock:
                self._engine.connection.send_bytes(encode(message))
        except (OSError, ValueError):
            # The reader sees the end of the pipe as well, and it alone tells everybody.
            log.debug("the engine is gone; %s was not sent", type(message).__name__)

    def _read(self) -> None:
        while True:
            try:
                raw = self._engine.connection.recv_bytes()
            except (EOFError, OSError):
                break
            try:
                event = decode_event(raw)
            except ValueError:
                # Whoever waits for what this was would wait for ever.
                log.exception("the engine does not speak our language; it is replaced: %r", raw[:200])
                self._engine.kill()
                break
            try:
                self._take(event)
            except Exception:
                log.exception("an engine event was not handled: %r", event)
        self._handle_death()

    def _take(self, event: EngineEvent) -> None:
        if isinstance(event, (Started, Step, Preview)):
            self._on_run_event(event)
        elif isinstance(event, Computed):
            self._runs[event.run].computed.set_result(event)
        elif isinstance(event, Finished):
            self._runs.pop(event.run).finished.set_result(event)
        elif isinstance(event, Failed):
            error = self._break(event) if event.is_broken else RunFailed(event.message, event.code)
            self._fail(event.run, error)
        elif isinstance(event, Cancelled):
            self._fail(event.run, RunCancelled())
        elif isinstance(event, Memory):
            with self._memory_told:
                self._memory, self._memory_at = event, time.monotonic()
                self._memory_told.notify_all()
        elif isinstance(event, Ready):
            self._ready.set_result(event)
        elif isinstance(event, Loading):
            self._on_loading(event.progress)
        elif isinstance(event, (Loaded, UpscalerReady, Unloaded)):
            self._answer().set_result(event)
        elif isinstance(event, LoadFailed):
            if event.is_broken:
                self._answer().set_exception(self._break(event))
            elif self._ready.done():
                kinds = (OutOfMemory, MachineFull)
                kind = next((one for one in kinds if one.code == event.code), LoadFailedError)
                self._answer().set_exception(kind(event.message))
            else:
                self._ready.set_exception(EngineUnavailable(event.message))
        elif isinstance(event, Stopped):
            self._stopping = True

    def _answer(self) -> Future[_Answer]:
        with self._lock:
            answer, self._control = self._control, None
        assert answer is not None
        return answer

    def _fail(self, number: int, error: Exception) -> None:
        handle = self._runs.pop(number)
        for future in (handle.computed, handle.finished):
            if not future.done():
                future.set_exception(error)

    def _break(self, event: Failed | LoadFailed) -> EngineDied:
        """Note that nothing more can be computed in this process; returns what became of the call in which that was
        found out."""
        kind = EngineOutOfMemory if event.code == OutOfMemory.code else DeviceFailed
        death = kind(event.message)
        with self._lock:
            self._death, self.is_broken = death, True
        log.error("%s", death.message)
        self._on_death(death)
        return death

    def _handle_death(self) -> None:
        if not self._engine.wait_for_end(5):
            self._engine.kill()
            self._engine.wait_for_end(5)
        clean = self._stopping or self.is_broken
        refused = "" if clean else self._engine.refused_memory()
        is_lost = not clean and self._engine.is_lost
        how = "engine is lost" if is_lost else "engine process ended"
        ended = "The engine was stopped" if clean else f"The {how}: {self._engine.exit_description()}"
        death = EngineOutOfMemory(f"{refused} {ended}") if refused else (EngineLost if is_lost else EngineDied)(ended)
        if isinstance(death, EngineLost):
            death.had_started = self.has_started
        if self._engine.signal_name:
            death.detail["signal"] = self._engine.signal_name
        # From here on nobody can begin to wait: what waits now is told below, what comes later is told at once.
        with self._lock:
            self._death = death
            control, self._control = self._control, None
            numbers = list(self._runs)
        if not clean:
            # First of all: who is told below asks for a new engine at once, and must find the back-off counted.
            log.error("%s", death.message)
            self._on_death(death)
        if not self._ready.done():
            self._ready.set_exception(death)
        if control is not None:
            control.set_exception(death)
        for number in numbers:
            self._fail(number, death)
