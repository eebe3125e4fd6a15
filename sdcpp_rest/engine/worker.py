"""Runs the engine process: takes commands from a pipe, lets a runner compute, sends events back.

Three threads: the control thread reads the pipe (so that a cancel is heard while the main thread computes), the main
thread makes every native call, the encoder thread turns a finished run's pixels into files while the next run computes.
The same loop serves a process of its own (`main`) and a thread of the tests (`client.InlineLauncher`).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Phase
from sdcpp_rest.core.params import ConvertParams, VideoParams
from sdcpp_rest.engine import spool
from sdcpp_rest.engine.memory_reports import MemoryReports
from sdcpp_rest.engine.pipe import Pipe
from sdcpp_rest.engine.protocol import (
    CancelJob,
    Cancelled,
    Command,
    Computed,
    Failed,
    Finished,
    LoadFailed,
    Loading,
    LoadModel,
    LoadUpscaler,
    Preview,
    PreviewSettings,
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
    WatchPreviews,
    decode_command,
    encode,
)
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.runner import RunCancelled, RunFailed, Runner, RunResult
from sdcpp_rest.engine.worker_options import WorkerOptions

log = logging.getLogger(__name__)

# Previews cost a JPEG and a base64 each; more than ten a second tell nobody anything.
_PREVIEW_PAUSE_SECONDS = 0.1


class Worker:
    """Serves one pipe until it ends, with one runner.

    ``on_gone`` is called on the control thread when the server's end of the pipe is gone: a process then exits at once,
    even in the middle of a native call, because nobody is left to want the result.
    """

    def __init__(
        self,
        connection: Pipe,
        runner: Runner,
        on_gone: Callable[[], None] = lambda: None,
        memory_interval_seconds: float = 2.0,
        rotate_log: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._runner = runner
        self._on_gone = on_gone
        self._send_lock = threading.Lock()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._to_encode: queue.SimpleQueue[RunJob | Literal["prepare"] | None] = queue.SimpleQueue()
        self._has_run = False
        self._cancelled: set[int] = set()
        self._stopped = threading.Event()
        self._is_broken = False
        self._memory = MemoryReports(runner, self._send, memory_interval_seconds, rotate_log)
        self._preview = PreviewSettings()
        self._is_watched = True
        self._reporter: _Reporter | None = None

    def serve(self) -> None:
        """Run the main loop on the calling thread until Shutdown or the end of the pipe."""
        try:
            self._send(self._runner.ready())
        except RunFailed as failure:
            self._send(LoadFailed(message=failure.message))
            self._stopped.set()
            return
        threading.Thread(target=self._control, name="engine-control", daemon=True).start()
        encoder = threading.Thread(target=self._encode, name="engine-encoder", daemon=True)
        encoder.start()
        threading.Thread(target=self._memory.run, name="engine-memory", daemon=True).start()
        while (command := self._commands.get()) is not None:
            if isinstance(command, Shutdown):
                break
            with self._memory.keep_busy():
                self._execute(command)
        self._to_encode.put(None)
        encoder.join()
        self._stopped.set()
        self._memory.stop()
        if not self._is_broken:  # freeing something on a lost device ends or hangs the process
            self._runner.unload()
            self._runner.unload_upscaler()
        self._send(Stopped())

    # --- threads ----------------------------------------------------------------------------------------------------

    def _control(self) -> None:
        while True:
            try:
                command = decode_command(self._connection.recv_bytes())
            except (EOFError, OSError, ValueError) as error:
                # Gone, or of another version: either way nobody is there whom we could serve.
                log.info("the server is gone (%s)", error)
                self._commands.put(None)
                self._on_gone()
                return
            if isinstance(command, CancelJob):
                # Kept as well as passed on: the run may still be waiting in the command queue.
                self._cancelled.add(command.run)
                self._runner.cancel(command.run)
            elif isinstance(command, SetPreview):
                self._preview = command.settings
                self._runner.set_preview(command.settings)
            elif isinstance(command, TellMemory):
                self._memory.want()
            elif isinstance(command, WatchPreviews):
                self._is_watched = command.is_watched
                self._runner.watch_previews(command.is_watched)
                if command.is_watched and (reporter := self._reporter) is not None:
                    reporter.show_kept()
            else:
                self._commands.put(command)

    def _encode(self) -> None:
        while (command := self._to_encode.get()) is not None:
            if command == "prepare":
                spool.import_encoders()
                continue
            started = time.perf_counter()
            try:
                files = spool.encode_pixels(Path(command.spool))
            except Exception as error:  # whatever it is, it costs this job and not the engine
                # A run that was cancelled at its last moment has lost its folder by now.
                level = logging.INFO if command.run in self._cancelled else logging.ERROR
                log.log(level, "encoding run %d failed", command.run, exc_info=error)
                self._send(Failed(run=command.run, code="output_failed", message=f"The result was not saved: {error}"))
                continue
            seconds = time.perf_counter() - started
            self._send(Finished(run=command.run, files=files, encode_seconds=seconds))

    # --- commands ---------------------------------------------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        if isinstance(command, (LoadModel, LoadUpscaler)):
            try:
                if isinstance(command, LoadModel):
                    self._send(self._runner.load(command.spec, command.free, _Reporter(self, None)))
                else:
                    self._send(self._runner.load_upscaler(command.spec))
            except RunFailed as failure:
                self._note_broken(failure)
                self._send(LoadFailed(message=failure.message, code=failure.code, is_broken=failure.is_broken))
            except Exception as error:
                log.exception("%s was not loaded", command.spec.model.name)
                self._send(LoadFailed(message=f"{type(error).__name__}: {error}"))
        elif isinstance(command, UnloadModel):
            self._runner.unload(command.keys)
            self._send(Unloaded())
        elif isinstance(command, UnloadUpscaler):
            self._runner.unload_upscaler()
            self._send(Unloaded())
        elif isinstance(command, RunJob):
            self._run(command)

    def _note_broken(self, failure: RunFailed) -> None:
        if failure.is_broken:
            self._is_broken = True
            self._memory.forget_devices()

    def _run(self, command: RunJob) -> None:
        run = command.run
        if run in self._cancelled:
            self._send(Cancelled(run=run))
            return
        self._send(Started(run=run))
        if not self._has_run:
            # While the library computes, the other thread imports what the pictures will need.
            self._has_run = True
            self._to_encode.put("prepare")
        try:
            self._reporter = _Reporter(self, command)
            result = self._runner.run(command, self._reporter)
            self._reporter = None
            _keep(command, result)
        except RunCancelled:
            self._send(Cancelled(run=run))
        except RunFailed as failure:
            self._note_broken(failure)
            self._send(Failed(run=run, code=failure.code, message=failure.message, is_broken=failure.is_broken))
        except OSError as error:
            message = f"The result could not be written to {command.spool}: {error.strerror or error}"
            self._send(Failed(run=run, code="output_failed", message=message))
        except Exception as error:
            log.exception("run %d failed", run)
            self._send(Failed(run=run, code="internal_error", message=f"{type(error).__name__}: {error}"))
        else:
            count, seconds = len(result.pictures), result.native_seconds
            self._send(
                Computed(
                    run=run,
                    images=count,
                    native_seconds=seconds,
                    warnings=result.warnings,
                    failure=result.failure,
                )
            )
            if isinstance(command.params, ConvertParams):
                self._send(Finished(run=run, files=(), encode_seconds=0.0))
            else:
                self._to_encode.put(command)

    def _send(self, message: Frozen) -> None:
        # The server may be gone already; the control thread notices that and ends us.
        with self._send_lock, contextlib.suppress(OSError):
            self._connection.send_bytes(encode(message))


def _keep(command: RunJob, result: RunResult) -> None:
    """Put a run's pixels into its spool folder; from then on they survive this process. Raises OSError."""
    folder, params = Path(command.spool), command.params
    if result.failure is not None:
        spool.write_failure(folder, result.failure)
    else:
        (folder / spool.FAILURE_NAME).unlink(missing_ok=True)
    if isinstance(params, VideoParams):
        caption = command.captions[0] if command.captions else ""
        spool.write_frames(folder, result.pictures, params.fps, params.output_format, caption)
    elif not isinstance(params, ConvertParams):
        spool.write_pixels(folder, result.pictures, command.captions)


class _Reporter:
    """Turns a runner's reports into events of one run (or of a load, with no command)."""

    def __init__(self, worker: Worker, command: RunJob | None) -> None:
        self._worker = worker
        self._command = command
        self._last_preview = 0.0
        self._kept: tuple[int, int, RawPicture, bool] | None = None
        self._lock = threading.Lock()

    def loading(self, progress: float | None) -> None:
        self._worker._send(Loading(progress=progress))

    def step(self, step: int, total_steps: int, image: int, phase: Phase) -> None:
        if self._command:
            run = self._command.run
            self._worker._send(Step(run=run, step=step, total_steps=total_steps, image=image, phase=phase))

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> bool:
        command, now = self._command, time.monotonic()
        if command is None or not self._worker._preview.enabled:
            return False
        with self._lock:
            is_first, self._kept = self._kept is None, (step, frame_count, picture, is_noisy)
            if not self._worker._is_watched:
                if is_first:
                    self._tell(command, self._kept, picture.width, picture.height, "")
                return False
            if now - self._last_preview < _PREVIEW_PAUSE_SECONDS:
                return False
            self._last_preview = now
            return self._show(command, self._kept)

    def show_kept(self) -> None:
        """Show the newest preview that was made while nobody watched, if the run still goes on."""
        with self._lock:
            if self._command is not None and self._kept is not None and self._worker._reporter is self:
                self._show(self._command, self._kept)

    def _show(self, command: RunJob, kept: tuple[int, int, RawPicture, bool]) -> bool:
        path, settings = Path(command.spool) / spool.PREVIEW_NAME, self._worker._preview
        try:
            width, height = spool.write_preview(path, kept[2], settings.max_size, settings.quality)
        except OSError:
            log.warning("no preview written to %s", path, exc_info=True)
            return False
        self._tell(command, kept, width, height, str(path))
        return True

    def _tell(
        self, command: RunJob, kept: tuple[int, int, RawPicture, bool], width: int, height: int, path: str
    ) -> None:
        step, frame_count, _, is_noisy = kept
        self._worker._send(
            Preview(
                run=command.run,
                step=step,
                frame_count=frame_count,
                width=width,
                height=height,
                is_noisy=is_noisy,
                path=path,
            )
        )


def prepare() -> None:
    """Do what every engine of the native library needs, while nobody has said yet what engine it is to be. Opens no
    library: that depends on what is said."""
    # Whatever is wrong shows again when it is needed, where it can be told of.
    with contextlib.suppress(Exception):
        decode_command(encode(Shutdown()))
        importlib.import_module("sdcpp_rest.engine.native_runner")


def make_runner(options: WorkerOptions) -> Runner:
    """The runner named in ``options``; imported here so that tests never load the native library."""
    if options.runner == "fake":
        from sdcpp_rest.engine.fake_runner import FakeRunner

        return FakeRunner(last_words_path=options.last_words_path)
    from sdcpp_rest.engine.native_runner import NativeRunner

    return NativeRunner(
        options.last_words_path,
        options.n_threads,
        chooses_threads=options.chooses_threads,
        preview_share=options.preview_share,
    )


def main(connection: Pipe, options: WorkerOptions) -> None:
    """Serve ``connection`` until the server hangs up; never returns.

    File descriptors 1 and 2 become the engine log before anything can print.
    """
    if options.nice and hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(options.nice)
    # Before the library is opened: what it depends on reads its own variables then.
    os.environ.update(dict(options.environment))
    # ggml would fork a debugger for a backtrace on every assertion: seconds, on a machine that has one.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    if options.log_path:
        _write_to(options.log_path)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    worker = Worker(
        connection,
        make_runner(options),
        lambda: os._exit(0),
        options.memory_interval_seconds,
        lambda: rotate_log(options.log_path, options.log_max_bytes),
    )
    worker.serve()
    # Static destructors of GPU backends are known to hang or crash at exit; everything of ours is freed and flushed.
    os._exit(0)


def rotate_log(path: str, max_bytes: int) -> None:
    """Begin a new log when this one is full; the full one stays as ``<path>.1``. Never raises.

    Done by the process that writes it: file descriptors 1 and 2 are its own, and the library's as well.
    """
    with contextlib.suppress(OSError):
        if path and os.stat(path).st_size >= max_bytes:
            os.replace(path, f"{path}.1")
            _write_to(path)


def _write_to(path: str) -> None:
    """Make ``path`` what file descriptors 1 and 2 append to."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
