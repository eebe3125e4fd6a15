"""Runs jobs and loads one at a time on one engine, each with the right model loaded, whatever the engine does.

What becomes of a job after its compute is `job_finishing`'s business.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sdcpp_rest.core.job import JobKind
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import params_of
from sdcpp_rest.engine.client import EngineClient, RunHandle
from sdcpp_rest.engine.protocol import Computed, RunJob
from sdcpp_rest.engine.runner import RunCancelled, RunFailed
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineLost, EngineOutOfMemory, EngineUnavailable, OutOfMemory, SdcppRestError
from sdcpp_rest.services.dispatch.engine_calls import EngineCalls
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.dispatch.job_finishing import JobFinishing
from sdcpp_rest.services.dispatch.job_timing import upscaler_of
from sdcpp_rest.services.dispatch.read_ahead import ReadAhead
from sdcpp_rest.services.dispatch.residency import Residency
from sdcpp_rest.services.dispatch.run_commands import loras_of, make_command
from sdcpp_rest.services.dispatch.run_reports import RunReports
from sdcpp_rest.services.jobs.active_jobs import ActiveJob, ActiveJobs
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS
from sdcpp_rest.services.pictures.outputs import Outputs

log = logging.getLogger(__name__)

# Text encoding and VAE passes have no steps to stop at; a slow machine may need minutes for one.
_UNSTEPPED_PATIENCE_FACTOR = 20
_APART_STOP_SECONDS = 5.0
# An engine that hears a cancel stops at its next step; one that does not is ended.
_REQUEUE_SECONDS = 2.0
_NO_ENGINE = "This server has no engine of its own (engines.devices is none)"


@dataclass
class LaneCounts:
    """What a lane has done since the server started: seconds with a job, and jobs whose model was there."""

    busy_seconds: float = 0.0
    hits: int = 0


class Lane:
    """Runs jobs and model loads one at a time on one engine.

    Args:
        supervisor: the engine. Its ``on_run_event`` and ``on_death`` must be `RunReports.take` and `engine_died`.
        version: written into every picture.
        cancel_timeout_seconds: how long a cancelled run may take to stop while sampling before the engine is replaced.
        claim: takes the next job that this engine is to run off the queue.
        on_busy: called when it was free to take jobs and is not any more.
        on_start: runs first on the lane's thread (recovery of the queue, at home).
        on_ready: called on the lane's thread when an engine has started, before anything is loaded at the first one.
        read_ahead: reads the next model's file while a job is computed.
        has_engine: false on a server that computes nothing itself: calls are refused, jobs wait.
        kinds: the jobs that it takes.
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        queue: JobQueue,
        active: ActiveJobs,
        calls: EngineCalls,
        holding: Holding,
        residency: Residency,
        finishing: JobFinishing,
        outputs: Outputs,
        reports: RunReports,
        *,
        version: str,
        claim: Callable[[Lane], ActiveJob | None],
        cancel_timeout_seconds: float = 30.0,
        on_engine_trouble: Callable[[str], None] = lambda message: None,
        on_busy: Callable[[], None] = lambda: None,
        on_start: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
        read_ahead: ReadAhead | None = None,
        has_engine: bool = True,
        kinds: Collection[JobKind] = ENGINE_KINDS,
    ) -> None:
        self.supervisor = self._supervisor = supervisor
        self.calls = self._calls = calls
        self.holding = holding
        self.residency = self._residency = residency
        self.finishing = self._finishing = finishing
        self.has_engine = has_engine
        self.kinds = kinds
        self.lacks: Callable[[LoadSpec], str | None] | None = None
        """The first file of a model that its engine's machine lacks, by name; none: it has what the server has."""
        self.is_held = False
        """Whether it is to take nothing more; whoever sets it wakes it."""
        self.on_rest: Callable[[], None] = lambda: None
        """Called on its thread when it is held and runs nothing."""
        self.is_waiting = False
        """Whether it has found nothing to do, and would take a job at once."""
        self.job_id: str | None = None
        self.trouble: str | None = None  # why its engine cannot be had, while it cannot
        self.counts = LaneCounts()
        self._active = active
        self._claim = claim
        self._on_ready = on_ready
        self._read_ahead = read_ahead
        self._ready_seen: EngineClient | None = None
        self._outputs = outputs
        self.reports = reports
        self._version = version
        self._cancel_timeout_seconds = cancel_timeout_seconds
        self._on_engine_trouble = on_engine_trouble
        self._on_busy = on_busy
        self._on_start = on_start
        self._on_begin: Callable[[ActiveJob, bool], None] = lambda active, is_resident: None
        self._stopping = False
        self._wake = threading.Event()
        self.wake = self._wake.set
        """Have it look for something to do."""
        self._thread = threading.Thread(target=self._loop, name="lane", daemon=True)
        queue.wake_on_submit(self.wake)
        calls.wake_on_call(self.wake)

    @property
    def name(self) -> str:
        """What jobs and people call its engine: ``cuda:1``; empty until that is known."""
        return self._supervisor.name

    def call_on_begin(self, callback: Callable[[ActiveJob, bool], None]) -> None:
        """Have ``callback`` called with every job that begins, and whether nothing has to be loaded for it; on the
        lane's thread. For the start: not thread-safe."""
        self._on_begin = callback

    def start(self) -> None:
        self._thread.start()

    def begin_stop(self) -> None:
        """Claim nothing more. Idempotent."""
        self._stopping = self._residency.is_stopping = self._finishing.is_stopping = True
        self._supervisor.begin_stop()
        self.wake()

    def stop(self, timeout_seconds: float) -> None:
        """Claim nothing more; give what runs ``timeout_seconds``, then put it back to pending. Idempotent."""
        self.begin_stop()
        if self._read_ahead is not None:
            self._read_ahead.close()
        if not self._thread.is_alive():
            self._finishing.shutdown()
            return
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            for active in self._active.all():
                if active.job.id == self.job_id:
                    active.request_requeue()
            self._thread.join(_REQUEUE_SECONDS)
        client = self._supervisor.client
        if self._thread.is_alive() and client is not None:
            # In a load, a text encoder or a long step: nothing there can be asked to stop.
            client.kill()
            self._thread.join(5.0)
        self._finishing.shutdown()

    def engine_died(self, error: EngineDied) -> None:
        """Called by the engine's reader thread."""
        self._stop_waiting()
        self.wake()

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            self._on_start()
        except Exception:
            log.exception("the queue's recovery failed")
        # Before anything is loaded into it: it may be replaced, by one for each GPU. Told below if there is none.
        with contextlib.suppress(Exception):
            self._meet_engine()
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
                # Not to be had: jobs stay pending, and the next try comes after the back-off.
                self.trouble = error.message
                self._on_engine_trouble(error.message)
                self._wake.wait(1.0)
                continue
            except Exception:
                # A full disk, say: the next try fails as well until somebody has done something about it.
                log.exception("the lane of %s stumbled; it goes on in %g s", self.name or "the engine", pause)
                self._wake.wait(pause)
                pause = min(30.0, pause * 2)
                continue
            self._wake.wait()

    def _turn(self) -> bool:
        """Do one thing, the most important one first; false when there is nothing to do."""
        if not self.has_engine:
            return self._refuse_call()
        if self.is_held:
            self._stop_waiting()
            self.on_rest()
            return False
        call = self._calls.next()
        if call is not None or not self._supervisor.is_alive:
            self._stop_waiting()
        if call is not None:
            self._residency.execute(call)
            return True
        self._meet_engine()
        self.trouble = None
        active = self._claim(self)
        if active is not None:
            self.job_id = active.job.id
            started = time.monotonic()
            try:
                self._run(active)
            finally:
                self.job_id = None
                self.counts.busy_seconds += time.monotonic() - started
            return True
        if self._residency.reconcile():
            return True
        self._supervisor.state = "idle"
        return False

    def _stop_waiting(self) -> None:
        if self.is_waiting:
            self.is_waiting = False
            self._on_busy()

    def _meet_engine(self) -> None:
        """Have a living engine, if any, and call `on_ready` with each new one. Raises EngineUnavailable."""
        if not self.has_engine:
            return
        client = self._residency.engine()
        if client is not self._ready_seen:
            self._ready_seen = client
            self._on_ready()

    def _refuse_call(self) -> bool:
        self._supervisor.state = "none"
        if call := self._calls.next():
            call.answer.set_exception(EngineUnavailable(_NO_ENGINE))
        return call is not None

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
            self._supervisor.prepare_previews(client, is_watched=self.reports.are_watched)
            try:
                run = client.run(lambda number: self._command(number, active))
            except EngineDied:
                # It died before it was told of the job, which therefore is not to blame and keeps its turn.
                self._finishing.put_back(active)
                return
            active.attach(client, run)
            with self._read_ahead.while_computing() if self._read_ahead else contextlib.nullcontext():
                computed = self._compute(active, client, run)
            self._tidy_after(active, is_blank=computed is not None and computed.failure is not None)
        except EngineUnavailable as error:
            if not isinstance(error, EngineDied):
                # Nothing is wrong with the job: it waits for an engine.
                self._finishing.put_back(active)
                raise
            if isinstance(error, EngineLost):
                self._finishing.end_lost(active, error)
                return
            if isinstance(error, EngineOutOfMemory) and self._makes_room(active):
                self._finishing.put_back(active)
                return
            code = OutOfMemory.code if isinstance(error, EngineOutOfMemory) else error.code
            self._finishing.end_badly(active, code, error.message)
        except (RunFailed, SdcppRestError) as error:
            if error.code == OutOfMemory.code and self._makes_room(active):
                self._finishing.put_back(active)
                return
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
            self.reports.publish(active)
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
        client = self._supervisor.launch_apart() if job.kind == "convert" else residency.engine_for(job)
        upscaler, loras, started = upscaler_of(params_of(job.kind, job.params)), loras_of(job), time.perf_counter()
        is_resident = residency.is_resident(job.load_spec, upscaler, loras)
        self._on_begin(active, is_resident)
        if is_resident:
            self.counts.hits += job.load_spec is not None
            return client
        try:
            residency.ensure_resident(job.load_spec, upscaler, loras)
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
            self._residency.after_run(job.load_spec, was_cancelled=active.stop_requested_at is not None)
            if is_blank and job.params.get("loras"):
                self._residency.drop_merged_loras()
            if job.params.get("upscale") and job.params.get("upscale_auto_unload"):
                self._residency.upscaler.unload()
        except EngineDied:
            log.warning("the engine died when it was tidied up after job %s", job.id)

    def _makes_room(self, active: ActiveJob) -> bool:
        """Whether models that were only kept at hand have left, so that the job can be tried once more without them."""
        is_wanted = active.job.load_spec is not None and active.stop_requested_at is None
        return is_wanted and self._residency.make_room()

    def _command(self, number: int, active: ActiveJob) -> RunJob:
        job = active.job
        # Known before it is sent: the engine's first event may arrive before the call that sent it has returned.
        self.reports.begin(number, active)
        model_key = self._residency.before_run(job.load_spec, loras_of(job))
        return make_command(number, job, model_key, self._outputs, self._version)

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
            self.reports.end(run.number)

    def _patience_seconds(self, active: ActiveJob) -> float:
        if active.job.kind == "convert":
            # The converter hears nothing while it works, and its engine is its own.
            return 0.0
        if active.engine_phase == "sampling":
            return max(self._cancel_timeout_seconds, 3 * active.last_step_seconds)
        return self._cancel_timeout_seconds * _UNSTEPPED_PATIENCE_FACTOR
