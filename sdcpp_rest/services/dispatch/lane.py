"""Runs jobs and loads one at a time on the engine, each with the right model loaded, whatever the engine does.

What becomes of a job after its compute is `job_finishing`'s business.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sdcpp_rest.core.events import JobPreview, JobProgress
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.core.params import ConvertParams, LoraUse, params_of
from sdcpp_rest.engine.client import EngineClient, RunEvent, RunHandle
from sdcpp_rest.engine.protocol import Computed, Preview, RunJob, Step
from sdcpp_rest.engine.runner import RunCancelled, RunFailed
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineOutOfMemory, EngineUnavailable, OutOfMemory, SdcppRestError
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls
from sdcpp_rest.services.dispatch.job_finishing import JobFinishing
from sdcpp_rest.services.dispatch.job_timing import upscaler_of
from sdcpp_rest.services.dispatch.residency import Residency
from sdcpp_rest.services.jobs import job_record
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.models import model_conversion
from sdcpp_rest.services.pictures.outputs import Outputs

log = logging.getLogger(__name__)

# A progress event more often than this tells a person nothing; changes of phase and last steps are always sent.
_PROGRESS_PAUSE_SECONDS = 0.05
# Text encoding and VAE passes have no steps to stop at; a slow machine may need minutes for one.
_UNSTEPPED_PATIENCE_FACTOR = 20
_APART_STOP_SECONDS = 5.0
# An engine that hears a cancel stops at its next step; one that does not is ended.
_REQUEUE_SECONDS = 2.0


class Dispatcher:
    """Runs jobs and model loads one at a time on the engine.

    Args:
        supervisor: the engine. Its ``on_run_event`` and ``on_death`` must be `take_run_event` and `engine_died`.
        version: written into every picture.
        cancel_timeout_seconds: how long a cancelled run may take to stop while sampling before the engine is replaced.
        on_start: runs first on the dispatcher's thread (recovery of the queue, selection of the model).
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        queue: JobQueue,
        active: ActiveJobs,
        calls: EngineCalls,
        residency: Residency,
        finishing: JobFinishing,
        outputs: Outputs,
        bus: EventBus,
        *,
        version: str,
        cancel_timeout_seconds: float = 30.0,
        on_engine_trouble: Callable[[str], None] = lambda message: None,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._supervisor = supervisor
        self._queue = queue
        self._active = active
        self._calls = calls
        self._residency = residency
        self._finishing = finishing
        self._outputs = outputs
        self._bus = bus
        self._version = version
        self._cancel_timeout_seconds = cancel_timeout_seconds
        self._on_engine_trouble = on_engine_trouble
        self._on_start = on_start
        self._on_begin: Callable[[ActiveJob, bool], None] = lambda active, is_resident: None
        self._by_run: dict[int, ActiveJob] = {}
        self._last_progress_at = 0.0
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)
        queue.wake_on_submit(self._wake.set)
        calls.wake_on_call(self._wake.set)

    def call_on_begin(self, callback: Callable[[ActiveJob, bool], None]) -> None:
        """Have ``callback`` called with every job that begins, and whether nothing has to be loaded for it; on the
        dispatcher's thread. For the start: not thread-safe."""
        self._on_begin = callback

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Claim nothing more; give what runs ``timeout_seconds``, then put it back to pending. Idempotent."""
        self._stopping = self._residency.is_stopping = self._finishing.is_stopping = True
        self._supervisor.begin_stop()
        self._wake.set()
        if not self._thread.is_alive():
            self._finishing.shutdown()
            return
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            for active in self._active.all():
                active.request_requeue()
            self._thread.join(_REQUEUE_SECONDS)
        client = self._supervisor.client
        if self._thread.is_alive() and client is not None:
            # In a load, a text encoder or a long step: nothing there can be asked to stop.
            client.kill()
            self._thread.join(5.0)
        self._finishing.shutdown()

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
        told = {**progress.model_dump(), **active.pace._asdict()}
        self._bus.publish(JobProgress(job_id=active.job.id, percentage=progress.percentage, **told))

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
                self._on_engine_trouble(error.message)
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
        call = self._calls.next()
        if call is not None:
            self._residency.execute(call)
            return True
        self._residency.engine()
        active = self._queue.claim()
        if active is not None:
            self._run(active)
            return True
        if self._residency.reconcile():
            return True
        self._supervisor.state = "idle"
        return False

    # --- one job ----------------------------------------------------------------------------------------------------

    def _run(self, active: ActiveJob) -> None:
        """See a claimed job through its compute; its finishing goes on elsewhere. Never raises for the job's sake."""
        job = active.job
        apart: EngineClient | None = None
        try:
            client = self._prepare(active)
            if client is None:
                return
            apart = client if job.kind == "convert" else None
            if active.stop_requested_at is not None:
                self._finishing.end_cancelled(active)
                return
            self._supervisor.state = "running"
            self._supervisor.prepare_previews(client, is_watched=self._bus.subscriber_count > 0)
            try:
                run = client.run(lambda number: self._command(number, active))
            except EngineDied:
                # It died before it was told of the job, which therefore is not to blame and keeps its turn.
                self._finishing.put_back(active)
                return
            active.attach(client, run)
            computed = self._compute(active, client, run)
            self._tidy_after(active, is_blank=computed is not None and computed.failure is not None)
        except EngineUnavailable as error:
            if not isinstance(error, EngineDied):
                # Nothing is wrong with the job: it waits for an engine.
                self._finishing.put_back(active)
                raise
            code = OutOfMemory.code if isinstance(error, EngineOutOfMemory) else error.code
            self._finishing.end_badly(active, code, error.message)
        except (RunFailed, SdcppRestError) as error:
            self._finishing.end_badly(active, error.code, error.message)
        except Exception as error:
            log.exception("job %s failed", job.id)
            self._finishing.end_badly(active, "internal_error", f"{type(error).__name__}: {error}")
        else:
            if computed is None:
                self._finishing.end_cancelled(active)
                return
            # Told before it is marked: from then on a cancel wins the row at once, and nothing may follow its event.
            active.advance(0, 0, 0, "encoding")
            self._publish_progress(active)
            if not active.mark_computed():
                self._finishing.end_cancelled(active)
                return
            self._supervisor.reset_backoff()
            self._finishing.begin(active, run, computed)
        finally:
            if apart is not None:
                apart.stop(_APART_STOP_SECONDS)

    def _prepare(self, active: ActiveJob) -> EngineClient | None:
        """The engine, with what the job needs in it; ``None`` when it died meanwhile and the job waits for the next.

        A conversion gets an engine of its own: a crash in the converter must not take the model along.
        """
        job, residency = active.job, self._residency
        client = self._supervisor.launch_apart() if job.kind == "convert" else residency.engine()
        upscaler, loras, started = _upscaler_of(job), _loras_of(job), time.perf_counter()
        is_resident = residency.is_resident(job.load_spec, upscaler, loras)
        self._on_begin(active, is_resident)
        if is_resident:
            residency.before_run(job.load_spec, loras)
            return client
        try:
            residency.ensure_resident(job.load_spec, upscaler, loras)
            residency.before_run(job.load_spec, loras)
        except EngineDied:
            # Maybe not the model's fault: the next engine tries again.
            self._finishing.put_back(active)
            return None
        finally:
            active.load_seconds = time.perf_counter() - started
        return client

    def _tidy_after(self, active: ActiveJob, *, is_blank: bool) -> None:
        """Free what the job does not want to stay; an engine that dies of it does not take the job along."""
        job = active.job
        try:
            self._residency.after_run(job.load_spec)
            if is_blank and job.params.get("loras"):
                self._residency.drop_merged_loras()
            if job.params.get("upscale") and job.params.get("upscale_auto_unload"):
                self._residency.unload_upscaler()
        except EngineDied:
            log.warning("the engine died when it was tidied up after job %s", job.id)

    def _command(self, number: int, active: ActiveJob) -> RunJob:
        job = active.job
        params = params_of(job.kind, job.params)
        captions = job_record.captions(job, params, self._version)
        if isinstance(params, ConvertParams):
            params = model_conversion.partial(params, job.id)
        # Known before it is sent: the engine's first event may arrive before the call that sent it has returned.
        self._by_run[number] = active
        return RunJob(
            run=number,
            job_id=job.id,
            kind=job.kind,
            params=params,
            model_key=self._residency.key_for(job.load_spec),
            inputs={role: str(self._outputs.inputs_of(job.id) / name) for role, name in job.inputs.items()},
            spool=str(self._outputs.spool_of(job.id)),
            captions=captions,
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
        if active.job.kind == "convert":
            # The converter hears nothing while it works, and its engine is its own.
            return 0.0
        if active.engine_phase == "sampling":
            return max(self._cancel_timeout_seconds, 3 * active.last_step_seconds)
        return self._cancel_timeout_seconds * _UNSTEPPED_PATIENCE_FACTOR


def _loras_of(job: Job) -> tuple[LoraUse, ...]:
    return tuple(LoraUse.model_validate(lora) for lora in job.params.get("loras") or ())


def _upscaler_of(job: Job) -> UpscalerSpec | None:
    """The upscaler that the job needs in the engine."""
    return upscaler_of(params_of(job.kind, job.params))
