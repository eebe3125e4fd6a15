"""The worker's foreman: one thread that takes loads and jobs in turn, makes sure the right model is in the engine,
and sees every job to its end, whatever the engine does.

Finishing (waiting for the encoder, moving files, the row, the event) happens on a second thread, so that the next job
computes meanwhile. The order is always: files first, row second, event last.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sdcpp_rest.core.events import JobPreview, JobProgress, ModelLoaded, ModelLoadFailed, ModelLoading, ModelUnloaded
from sdcpp_rest.core.job import Job, Timings, utc_now
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine import spool
from sdcpp_rest.engine.client import EngineClient, RunEvent, RunHandle
from sdcpp_rest.engine.protocol import Computed, Finished, Loaded, Preview, RunJob, Step
from sdcpp_rest.engine.runner import RunCancelled, RunFailed
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineUnavailable, LoadFailed, SdcppRestError
from sdcpp_rest.services import records
from sdcpp_rest.services.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.event_bus import EventBus
from sdcpp_rest.services.job_queue import JobQueue
from sdcpp_rest.services.model_slot import ModelCall, ModelSlot
from sdcpp_rest.services.outputs import Outputs

log = logging.getLogger(__name__)

# A progress event more often than this tells a person nothing; changes of phase and last steps are always sent.
_PROGRESS_PAUSE_SECONDS = 0.05
# A load that ends the engine counts against its spec: 1 for SIGKILL (somebody killed it, or memory ran out), 2 for a
# crash. At this sum the spec is not loaded again by itself; a load that works forgives everything.
_DEADLY = 4
# Text encoding and VAE passes have no steps to stop at; a slow machine may need minutes for one.
_UNSTEPPED_PATIENCE_FACTOR = 20


class Dispatcher:
    """See the module.

    Args:
        supervisor: the engine. Its ``on_run_event`` and ``on_death`` must be `take_run_event` and `engine_died`.
        version: written into every picture and record.
        cancel_timeout_seconds: how long a cancelled run may take to stop while sampling before the engine is replaced.
        check_spec: refuses files that must not reach the library (they may have been replaced since they were chosen).
        discreet: takes out of messages what users must not know.
        on_start: runs first on the dispatcher's thread (recovery of the queue, selection of the model).
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        queue: JobQueue,
        active: ActiveJobs,
        models: ModelSlot,
        outputs: Outputs,
        bus: EventBus,
        *,
        version: str,
        cancel_timeout_seconds: float = 30.0,
        check_spec: Callable[[LoadSpec], object] = lambda spec: None,
        discreet: Callable[[str], str] = str,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._supervisor = supervisor
        self._queue = queue
        self._active = active
        self._models = models
        self._outputs = outputs
        self._bus = bus
        self._version = version
        self._cancel_timeout_seconds = cancel_timeout_seconds
        self._check_spec, self._discreet = check_spec, discreet
        self._on_start = on_start
        self._by_run: dict[int, ActiveJob] = {}
        self._loaded_into: EngineClient | None = None
        self._last_progress_at = 0.0
        self._strikes: dict[str, int] = {}
        # Selected models that failed by themselves, or rest: loaded again when a job needs them or somebody asks.
        self._not_restored: set[str] = set()
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)
        self._finisher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finisher")
        queue.on_submitted = models.on_call = self._wake.set

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Claim nothing more; give what runs ``timeout_seconds``, then put it back to pending. Idempotent."""
        self._stopping = True
        self._supervisor.begin_stop()
        self._wake.set()
        if not self._thread.is_alive():
            self._finisher.shutdown()
            return
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            for active in self._active.all():
                active.request_requeue()
            self._thread.join(2.0)
        client = self._supervisor.client
        if self._thread.is_alive() and client is not None:
            # In a load, a text encoder or a long step: nothing there can be asked to stop.
            client.kill()
            self._thread.join(5.0)
        self._finisher.shutdown()

    # --- called by the engine's reader thread -----------------------------------------------------------------------

    def take_run_event(self, event: RunEvent) -> None:
        active = self._by_run.get(event.run)
        if active is None:
            return
        if isinstance(event, Step):
            self._take_step(active, event)
        elif isinstance(event, Preview):
            self._take_preview(active, event)

    def engine_died(self, error: EngineDied) -> None:
        self._wake.set()

    def _take_step(self, active: ActiveJob, event: Step) -> None:
        before = active.progress
        after = active.advance(event.step, event.total_steps, event.image, event.phase)
        now = time.monotonic()
        urgent = after.phase != before.phase or event.step == event.total_steps
        if not urgent and now - self._last_progress_at < _PROGRESS_PAUSE_SECONDS:
            return
        self._last_progress_at = now
        self._publish_progress(active)

    def _publish_progress(self, active: ActiveJob) -> None:
        progress = active.progress
        self._bus.publish(JobProgress(job_id=active.job.id, percentage=progress.percentage, **progress.model_dump()))

    def _take_preview(self, active: ActiveJob, event: Preview) -> None:
        active.preview_path = event.path
        if not self._bus.subscriber_count:
            return
        try:
            jpeg = Path(event.path).read_bytes()
        except OSError:
            return
        shown = event.model_dump(exclude={"type", "run", "path"})
        self._bus.publish(JobPreview(job_id=active.job.id, jpeg=jpeg, **shown))

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            self._on_start()
        except Exception:
            log.exception("the queue's recovery failed")
        pause = 1.0
        while True:
            self._wake.clear()
            # Looked at after clearing: a stop that comes in between has set both, and its wake-up is gone.
            if self._stopping:
                return
            try:
                if self._turn():
                    pause = 1.0
                    continue
            except EngineUnavailable as error:
                # Not running and not to be had: jobs stay pending, and the next try comes after the back-off.
                self._models.last_error = error.message
                self._wake.wait(1.0)
                continue
            except Exception:
                # A full disk, say: the next try fails as well until somebody has done something about it.
                log.exception("the dispatcher stumbled; it goes on in %g s", pause)
                self._wake.wait(pause)
                pause = min(30.0, pause * 2)
                continue
            self._wake.wait()

    def _turn(self) -> bool:
        """Do one thing, the most important one first; false when there is nothing to do."""
        call = self._models.next_call()
        if call is not None:
            self._answer(call)
            return True
        self._engine()
        active = self._queue.claim()
        if active is not None:
            self._run(active)
            return True
        missing = self._models.missing()
        if missing is not None and missing.key not in self._not_restored:
            self._restore(missing)
            return True
        if self._models.selected is None and self._models.resident is not None:
            # The last job bound to a model that somebody has unloaded by force is done.
            self._unload()
            return True
        self._supervisor.state = "idle"
        return False

    def _engine(self) -> EngineClient:
        """A living engine. What its predecessor held is forgotten here, on the thread that wrote it down: the reader
        thread's "it died" may come before this thread has noted "it is loaded"."""
        client = self._supervisor.ensure()
        if client is not self._loaded_into:
            self._models.resident = self._models.loaded = None
        return client

    # --- models -----------------------------------------------------------------------------------------------------

    def _answer(self, call: ModelCall) -> None:
        try:
            if call.spec is None:
                if call.verb == "rest" and self._models.selected is not None:
                    self._not_restored.add(self._models.selected.key)
                self._unload()
                call.answer.set_result(None)
            else:
                self._strikes.pop(call.spec.key, None)
                self._not_restored.discard(call.spec.key)
                call.answer.set_result(self._load(call.spec))
        except SdcppRestError as error:
            # An engine that is not to be had, or that ends because the server stops, says nothing about the model; one
            # that died under it not much, until it does so again: it is restored like any other selected model.
            if isinstance(error, LoadFailed) and call.spec is not None and not self._stopping:
                self._models.deselect(call.spec, forget=call.is_choice)
            call.answer.set_exception(error)
        except Exception as error:
            log.exception("a model call failed")
            call.answer.set_exception(error)

    def _restore(self, spec: LoadSpec) -> None:
        """Bring the selected model back after another model's job, or after the engine was replaced."""
        try:
            self._load(spec)
        except LoadFailed:
            self._not_restored.add(spec.key)
            self._models.deselect(spec, forget=False)
        except EngineDied:
            log.info("the selected model is loaded again by the next engine")

    def _load(self, spec: LoadSpec) -> Loaded:
        """Make ``spec`` resident. Raises LoadFailed or EngineDied; both are in ``last_error`` then."""
        client = self._engine()
        if self._models.resident == spec and self._models.loaded is not None:
            return self._models.loaded
        if self._strikes.get(spec.key, 0) >= _DEADLY:
            raise LoadFailed(f"{spec.model.name} is not loaded again by itself: it ended the engine process repeatedly")
        try:
            self._check_spec(spec)
        except SdcppRestError as error:
            self._models.last_error = self._discreet(f"Failed to load model: {spec.model.name}: {error.message}")
            raise LoadFailed(self._models.last_error) from error
        previous = self._models.resident
        self._models.resident = self._models.loaded = None
        self._models.loading = spec
        self._supervisor.state = "loading"
        if previous is not None:
            self._bus.publish(ModelUnloaded(model_name=previous.model.name))
        self._bus.publish(ModelLoading(model_name=spec.model.name, progress=0.0))
        try:
            name = spec.model.name
            loaded = client.load(spec, lambda part: self._bus.publish(ModelLoading(model_name=name, progress=part)))
        except (LoadFailed, EngineDied) as error:
            message = self._discreet(f"Failed to load model: {spec.model.name}: {error.message}")
            if isinstance(error, EngineDied) and not self._stopping:
                points = 1 if error.detail.get("signal") == "SIGKILL" else 2
                self._strikes[spec.key] = self._strikes.get(spec.key, 0) + points
            self._models.last_error = message
            self._bus.publish(ModelLoadFailed(model_name=spec.model.name, error=message))
            raise type(error)(message, **error.detail) from error
        finally:
            self._models.loading = None
            self._supervisor.state = "idle" if client.alive else "dead"
        self._supervisor.succeeded()
        self._loaded_into = client
        self._not_restored.discard(spec.key)
        self._strikes.pop(spec.key, None)
        self._models.resident, self._models.loaded, self._models.last_error = spec, loaded, None
        self._bus.publish(
            ModelLoaded(
                model_name=spec.model.name,
                model_type=spec.kind,
                model_architecture=loaded.architecture,
                load_seconds=loaded.seconds,
            )
        )
        return loaded

    def _unload(self) -> None:
        previous = self._models.resident
        if previous is None:
            return
        client = self._supervisor.client
        self._models.resident = self._models.loaded = None
        if client is not None and client.alive:
            client.unload()
        self._bus.publish(ModelUnloaded(model_name=previous.model.name))

    # --- one job ----------------------------------------------------------------------------------------------------

    def _run(self, active: ActiveJob) -> None:
        """See a claimed job through its compute; its finishing goes on elsewhere. Never raises for the job's sake."""
        job = active.job
        try:
            client = self._prepare(active)
            if client is None:
                return
            self._supervisor.state = "running"
            self._supervisor.prepare_previews(client, is_watched=self._bus.subscriber_count > 0)
            try:
                run = client.run(lambda number: self._command(number, active))
            except EngineDied:
                # It died before it was told of the job, which therefore is not to blame and keeps its turn.
                self._put_back(active)
                return
            active.attach(client, run)
            computed = self._compute(active, client, run)
        except EngineUnavailable as error:
            if not isinstance(error, EngineDied):
                # Nothing is wrong with the job: it waits for an engine.
                self._put_back(active)
                raise
            self._end_badly(active, error.code, error.message)
        except (RunFailed, SdcppRestError) as error:
            self._end_badly(active, error.code, error.message)
        except Exception as error:
            log.exception("job %s failed", job.id)
            self._end_badly(active, "internal_error", f"{type(error).__name__}: {error}")
        else:
            if computed is None:
                self._end_cancelled(active)
                return
            # Told before it is marked: from then on a cancel wins the row at once, and nothing may follow its event.
            active.advance(0, 0, 0, "encoding")
            self._publish_progress(active)
            if not active.mark_computed():
                self._end_cancelled(active)
                return
            self._supervisor.succeeded()
            self._finisher.submit(self._finish, active, run, computed).add_done_callback(_log_trouble)

    def _prepare(self, active: ActiveJob) -> EngineClient | None:
        """The engine, with the job's model in it; ``None`` when the job was cancelled meanwhile and has been ended."""
        client, spec = self._engine(), active.job.load_spec
        if spec is not None and self._models.resident != spec:
            started = time.perf_counter()
            try:
                self._load(spec)
            except EngineDied:
                # Maybe not the model's fault: the next engine tries again.
                self._put_back(active)
                return None
            finally:
                active.load_seconds = time.perf_counter() - started
        if active.stop_requested_at is not None:
            self._end_cancelled(active)
            return None
        return client

    def _command(self, number: int, active: ActiveJob) -> RunJob:
        # Known before it is sent: the engine's first event may arrive before the call that sent it has returned.
        self._by_run[number] = active
        job = active.job
        params = ImageParams.model_validate(job.params)
        return RunJob(
            run=number,
            job_id=job.id,
            params=params,
            inputs={role: str(self._outputs.inputs_of(job.id) / name) for role, name in job.inputs.items()},
            spool=str(self._outputs.spool_of(job.id)),
            captions=records.captions(job, params, self._version),
        )

    def _compute(self, active: ActiveJob, client: EngineClient, run: RunHandle) -> Computed | None:
        """Wait for the pixels; ``None`` when the run was cancelled (or killed, for not hearing it).

        Raises RunFailed, EngineDied.
        """
        killed = False
        try:
            if not active.wait_computed(run, self._patience_seconds):
                log.warning("job %s did not stop when cancelled; the engine is replaced", active.job.id)
                killed = True
                client.kill()
            return run.computed.result()
        except RunCancelled:
            return None
        except EngineDied:
            if killed or active.stop_requested_at is not None:
                return None
            raise
        finally:
            self._by_run.pop(run.number, None)

    def _patience_seconds(self, active: ActiveJob) -> float:
        if active.engine_phase == "sampling":
            return max(self._cancel_timeout_seconds, 3 * active.last_step_seconds)
        return self._cancel_timeout_seconds * _UNSTEPPED_PATIENCE_FACTOR

    # --- the ends of a job ------------------------------------------------------------------------------------------

    def _finish(self, active: ActiveJob, run: RunHandle, computed: Computed) -> None:
        """On the finisher thread: wait for the encoder, publish the files, complete the row."""
        job = active.job
        timings = self._timings(active, computed.native_seconds)
        try:
            finished = self._encoded(job, run)
            timings = timings.model_copy(update={"encode_seconds": round(finished.encode_seconds, 6)})
            warnings = job.warnings + computed.warnings
            record = self._record(job, timings, warnings)
            outputs = self._outputs.publish(job.id, finished.files, record)
        except (RunFailed, SdcppRestError) as error:
            self._end_badly(active, error.code, error.message, timings)
        except (OSError, ValueError) as error:
            self._end_badly(active, "output_failed", f"The picture was not saved: {error}", timings)
        except Exception as error:
            log.exception("job %s could not be finished", job.id)
            self._end_badly(active, "internal_error", f"{type(error).__name__}: {error}", timings)
        else:
            if not self._queue.complete(active, outputs, timings, warnings):
                self._outputs.discard(job.id)

    def _encoded(self, job: Job, run: RunHandle) -> Finished:
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
            return self._outputs.publish(
                job.id, spool.encode_pixels(folder), self._record(job, job.timings, job.warnings)
            )
        except Exception:  # whatever a power cut has left there must not keep the server from starting
            log.exception("the spool of job %s could not be encoded", job.id)
            return None

    def _end_cancelled(self, active: ActiveJob) -> None:
        """The engine has stopped it, because a user wanted so or because the server stops."""
        self._outputs.discard_spool(active.job.id)
        if active.cancel_requested:
            self._queue.cancelled(active, self._timings(active, 0.0))
        else:
            self._put_back(active)

    def _put_back(self, active: ActiveJob) -> None:
        self._queue.requeue(active, self._timings(active, 0.0))

    def _end_badly(self, active: ActiveJob, code: str, message: str, timings: Timings | None = None) -> None:
        self._outputs.discard_spool(active.job.id)
        if active.cancel_requested:
            self._queue.cancelled(active, timings or self._timings(active, 0.0))
        elif active.requeue_requested or (self._stopping and code in (EngineDied.code, EngineUnavailable.code)):
            self._put_back(active)
        else:
            self._queue.fail(active, code, self._discreet(message), timings or self._timings(active, 0.0))

    def _record(self, job: Job, timings: Timings, warnings: tuple[str, ...]) -> dict[str, Any]:
        return records.record(job, timings, warnings, self._version, self._supervisor.ready)

    def _timings(self, active: ActiveJob, native_seconds: float) -> Timings:
        job = active.job
        started_at = job.started_at or utc_now()
        return Timings(
            queued_seconds=round((started_at - job.created_at).total_seconds(), 6),
            load_seconds=round(active.load_seconds, 6),
            native_seconds=round(native_seconds, 6),
        )


def _log_trouble(finishing: Future[None]) -> None:
    """Not even the row could be written. The files are in place: the next start completes the job."""
    error = finishing.exception()
    if error is not None:
        log.error("the end of a job was not written down", exc_info=error)
