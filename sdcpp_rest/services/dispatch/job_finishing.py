"""Ends jobs: completed with their files in place, failed, cancelled, or pending again.

Files first, row second, event last. Waiting for the encoder and moving files happens on a thread of its own, so that
the next job computes meanwhile. Never talks to the engine.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sdcpp_rest.core.job import Failure, Job, Timings, utc_now
from sdcpp_rest.core.params import ConvertParams, params_of
from sdcpp_rest.core.png_text import replace_text
from sdcpp_rest.engine import spool
from sdcpp_rest.engine.client import RunHandle
from sdcpp_rest.engine.protocol import Computed, Finished, Ready
from sdcpp_rest.engine.runner import RunFailed
from sdcpp_rest.errors import EngineDied, EngineLost, EngineUnavailable, MachineFull, SdcppRestError
from sdcpp_rest.services.jobs import job_record
from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.models import model_conversion
from sdcpp_rest.services.pictures.outputs import Outputs

log = logging.getLogger(__name__)


class JobFinishing:
    """Brings jobs to their end: files, row and event, in this order.

    Args:
        ready: what the running engine says of itself, for the records; ``None`` while there is none.
        version: written into every record.
        redact_paths: takes out of messages what users must not know.
        on_converted: called with the place of a new model file, when it lies in the model folders.
        texts_of: by a job's id, the texts that its pictures carry beside our own, by key.
        blames_jobs: asked when the engine was lost: whether that may be for the job that it had.
        passes_on: asked when the engine's machine had no room for a job: whether another one can do it.
    """

    def __init__(
        self,
        queue: JobQueue,
        outputs: Outputs,
        ready: Callable[[], Ready | None],
        *,
        version: str,
        redact_paths: Callable[[str], str] = str,
        on_converted: Callable[[Path], None] = lambda path: None,
        texts_of: Callable[[str], Mapping[str, str]] = lambda job_id: {},
        blames_jobs: Callable[[], bool] = lambda: True,
        passes_on: Callable[[Job], bool] = lambda job: False,
    ) -> None:
        self._queue = queue
        self._outputs = outputs
        self._ready = ready
        self._version = version
        self._redact_paths = redact_paths
        self._on_converted = on_converted
        self._texts_of = texts_of
        self._blames_jobs = blames_jobs
        self._passes_on = passes_on
        self._on_completed: Callable[[ActiveJob, Timings], None] = lambda active, timings: None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finisher")
        self.is_stopping = False
        """Set by who stops the server: an engine that dies from now on is no job's fault."""

    def call_on_completed(self, callback: Callable[[ActiveJob, Timings], None]) -> None:
        """Have ``callback`` called with every job that was completed, after everybody has heard of it, on the thread
        that finishes. For the start: not thread-safe."""
        self._on_completed = callback

    def begin(self, active: ActiveJob, run: RunHandle, computed: Computed) -> None:
        """Finish a computed job on the thread for it; returns at once."""
        self._thread.submit(self._finish, active, run, computed).add_done_callback(_log_trouble)

    def shutdown(self) -> None:
        """Wait for what is being finished. Idempotent."""
        self._thread.shutdown()

    def _finish(self, active: ActiveJob, run: RunHandle, computed: Computed) -> None:
        """On the finisher thread: wait for the encoder, publish the files, complete the row."""
        job, failure = active.job, computed.failure
        if failure is not None:
            failure = failure.model_copy(update={"message": self._redact_paths(failure.message)})
        timings = self._timings(active, computed.native_seconds)
        try:
            finished = self._wait_for_files(job, run)
            timings = timings.model_copy(update={"encode_seconds": round(finished.encode_seconds, 6)})
            warnings = job.warnings + computed.warnings
            outputs = self._publish(job, finished.files, timings, warnings, failure)
        except EngineLost as error:
            self.end_lost(active, error)
        except (RunFailed, SdcppRestError) as error:
            self.end_badly(active, error.code, error.message, timings)
        except (OSError, ValueError) as error:
            self.end_badly(active, "output_failed", f"The result was not saved: {error}", timings)
        except Exception as error:
            log.exception("job %s could not be finished", job.id)
            self.end_badly(active, "internal_error", f"{type(error).__name__}: {error}", timings)
        else:
            if failure is not None:
                code, message = failure.code, failure.message
                is_ours = self._queue.fail(active, code, message, timings, outputs=outputs, warnings=warnings)
            else:
                is_ours = self._queue.complete(active, outputs, timings, warnings)
                if is_ours:
                    self._on_completed(active, timings)
            if not is_ours:
                self._outputs.discard(job.id)

    def _publish(
        self,
        job: Job,
        files: tuple[str, ...],
        timings: Timings,
        warnings: tuple[str, ...],
        failure: Failure | None,
    ) -> tuple[str, ...]:
        """Put the job's files where they belong; returns what lies in the output folder. Raises OSError, ValueError."""
        params = params_of(job.kind, job.params)
        if isinstance(params, ConvertParams):
            model_conversion.settle(params, job.id)
            self._on_converted(Path(params.output.path))
            return ()
        self._add_texts(job, files)
        record = self._record(job, timings, warnings, failure)
        return self._outputs.publish(job.id, files, record, job_record.given_pictures(job))

    def _wait_for_files(self, job: Job, run: RunHandle) -> Finished:
        """The encoder's result; if the engine died before it, the pixels in the spool are encoded here."""
        try:
            return run.finished.result()
        except EngineDied:
            folder = self._outputs.spool_of(job.id)
            if not spool.has_pictures(folder):
                raise
            started = time.perf_counter()
            files = spool.encode_pixels(folder)
            return Finished(run=run.number, files=files, encode_seconds=time.perf_counter() - started)

    def finish_from_spool(self, job: Job) -> tuple[str, ...] | None:
        """At start: publish a job whose pixels a killed server left in the spool; ``None`` when there are none."""
        folder = self._outputs.spool_of(job.id)
        if not spool.has_pictures(folder):
            return None
        try:
            failure = spool.read_failure(folder)
            files = spool.encode_pixels(folder)
            self._add_texts(job, files)
            record = self._record(job, job.timings, job.warnings, failure)
            return self._outputs.publish(job.id, files, record, job_record.given_pictures(job))
        except Exception:  # whatever a power cut has left there must not keep the server from starting
            log.exception("the spool of job %s could not be encoded", job.id)
            return None

    def end_cancelled(self, active: ActiveJob) -> None:
        """End a job that the engine has stopped, because a user wanted so or because the server stops."""
        self._discard(active.job)
        if active.cancel_requested:
            self._queue.mark_cancelled(active, self._timings(active, 0.0))
        else:
            self.put_back(active)

    def put_back(self, active: ActiveJob) -> None:
        """Make the job pending again; it keeps its turn."""
        self._queue.requeue(active, self._timings(active, 0.0))

    def end_lost(self, active: ActiveJob, error: EngineLost) -> None:
        """Make a job pending again whose engine is gone with its machine. It fails where that has happened to it more
        often than an interrupted job is tried again, unless it cannot be the reason."""
        is_counted = not self.is_stopping and self._blames_jobs()
        if active.cancel_requested or (is_counted and not self._queue.may_requeue(active.job)):
            self.end_badly(active, error.code, error.message)
            return
        self._discard(active.job)
        self._queue.requeue(active, self._timings(active, 0.0), is_counted=is_counted)

    def _add_texts(self, job: Job, files: Iterable[str]) -> None:
        """Put a dialect's texts into the pictures in the spool. Raises OSError."""
        texts = self._texts_of(job.id)
        folder = self._outputs.spool_of(job.id)
        for path in (folder / name for name in files if texts and name.endswith(".png")):
            png = path.read_bytes()
            for key, text in texts.items():
                png = replace_text(png, key, text)
            temporary = path.with_suffix(".part")
            temporary.write_bytes(png)
            os.replace(temporary, path)

    def _discard(self, job: Job) -> None:
        self._outputs.discard_spool(job.id)
        if job.kind == "convert":
            model_conversion.discard(ConvertParams.model_validate(job.params), job.id)

    def end_badly(self, active: ActiveJob, code: str, message: str, timings: Timings | None = None) -> None:
        """End the job as failed, unless it was to be cancelled or to be put back anyway, or another machine can do it
        for which there was no room on this one."""
        self._discard(active.job)
        if active.cancel_requested:
            self._queue.mark_cancelled(active, timings or self._timings(active, 0.0))
        elif active.requeue_requested or (self.is_stopping and code in (EngineDied.code, EngineUnavailable.code)):
            self.put_back(active)
        elif code == MachineFull.code and self._queue.may_requeue(active.job) and self._passes_on(active.job):
            log.warning("job %s goes to another machine: %s", active.job.id, message)
            self._queue.requeue(active, timings or self._timings(active, 0.0), is_counted=True)
        else:
            self._queue.fail(active, code, self._redact_paths(message), timings or self._timings(active, 0.0))

    def _record(self, job: Job, timings: Timings, warnings: tuple[str, ...], failure: Failure | None) -> dict[str, Any]:
        return job_record.record(job, timings, warnings, self._version, self._ready(), failure)

    def _timings(self, active: ActiveJob, native_seconds: float) -> Timings:
        job = active.job
        started_at = job.started_at or utc_now()
        return Timings(
            queued_seconds=max(0.0, round((started_at - job.created_at).total_seconds(), 6)),
            load_seconds=round(active.load_seconds, 6),
            native_seconds=round(native_seconds, 6),
        )


def _log_trouble(finishing: Future[None]) -> None:
    """Not even the row could be written. The files are in place: the next start completes the job."""
    error = finishing.exception()
    if error is not None:
        log.error("the end of a job was not written down", exc_info=error)
