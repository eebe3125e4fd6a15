"""Estimates what a checked request would take if it were submitted now: memory, time, and the jobs before it.

Creates nothing. What is not known is told as `None`, never as a guess from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.job_work import Work, count_upscaling
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, UpscaleParams, VideoParams, params_of
from sdcpp_rest.services.dispatch.job_timing import factor_of, upscaler_of, work_of, work_of_job
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.jobs.job_reader import ENGINE_KINDS
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.job_fit import JobFit, JobFits, JobPlan
from sdcpp_rest.services.models.speeds import Forecast, Speeds
from sdcpp_rest.services.pictures.outputs import Outputs

_MOST_WAITING = 200
"""Jobs of which it is foretold how long they take; of a longer queue nobody asks for seconds."""


@dataclass(frozen=True)
class Seconds:
    """How long the parts of a job take; ``None`` where that is not known, and 0 for what it has not. ``total`` is of
    all that are known."""

    total: float
    load: float | None
    conditioning: float | None
    sampling: float | None
    hires: float | None
    decoding: float | None
    upscaling: float | None
    saving: float | None


@dataclass(frozen=True)
class Estimate:
    """What a job would take. ``fit`` of ``None``: its files cannot be read. ``jobs``: how many were learned from."""

    fit: JobFit | None
    seconds: Seconds | None
    seconds_per_step: float | None
    jobs: int
    is_exact: bool
    queue_seconds: float | None


class JobEstimates:
    """Estimates jobs that were checked and not submitted.

    Args:
        count_engines: how many engines share out the jobs that wait.
    """

    def __init__(
        self,
        speeds: Speeds,
        fits: JobFits,
        models: ModelSlot,
        queue: JobQueue,
        active: ActiveJobs,
        outputs: Outputs,
        count_engines: Callable[[], int],
    ) -> None:
        self._speeds = speeds
        self._fits = fits
        self._models = models
        self._queue = queue
        self._active = active
        self._outputs = outputs
        self._count_engines = count_engines

    def drawing(
        self,
        params: ImageParams | VideoParams,
        spec: LoadSpec,
        inputs: Mapping[str, tuple[int, int]],
        *,
        resizes_references: bool = True,
    ) -> Estimate:
        """Of pictures or a video, from input pictures of these sizes by role."""
        most = min(1024 * 1024, params.width * params.height) if resizes_references else 1 << 62
        shown = sum(min(most, size[0] * size[1]) for role, size in inputs.items() if role.startswith("ref_images."))
        has_control = any(role.startswith("control_") for role in inputs)
        plan = JobPlan(params, spec, has_control=has_control, reference_pixels=shown)
        return self._estimate(plan, spec, upscaler_of(params), work_of(params, inputs.keys(), spec))

    def upscaling(self, params: UpscaleParams, size: tuple[int, int]) -> Estimate:
        """Of enlarging a picture of ``size``."""
        work = count_upscaling(params, size, factor_of(params.upscaler))
        return self._estimate(JobPlan(params, source_size=size), None, params.upscaler, work)

    def _estimate(self, plan: JobPlan, spec: LoadSpec | None, upscaler: UpscalerSpec | None, work: Work) -> Estimate:
        try:
            fit = self._fits.of(plan)
        except NotAModel:
            fit = None
        before, last = self._queue_seconds()
        forecast = self._forecast(spec, upscaler, work, last)
        return Estimate(
            fit=fit,
            seconds=_seconds_of(forecast, work),
            seconds_per_step=_round(forecast.expected.step),
            jobs=forecast.jobs,
            is_exact=forecast.is_exact,
            queue_seconds=_round(before),
        )

    def _forecast(
        self, spec: LoadSpec | None, upscaler: UpscalerSpec | None, work: Work, last: LoadSpec | None
    ) -> Forecast:
        """``last``: the model that is loaded when the job begins."""
        is_resident = spec is None or (last is not None and last.serves(spec))
        return self._speeds.forecast(self._speeds.bind(spec, upscaler), work, is_resident=is_resident)

    def _queue_seconds(self) -> tuple[float | None, LoadSpec | None]:
        """How long until an engine is free for one more job, and what is loaded then. Several share out the work."""
        left: float | None = 0.0
        last, engines = self._models.resident, max(1, self._count_engines())
        running = [active for active in self._active.all() if active.job.kind in ENGINE_KINDS]
        for active in running:
            pace, last = active.pace, active.job.load_spec or last
            left = _add(left, pace.eta_seconds)
        waiting = self._queue.list(limit=_MOST_WAITING + 1, status={"pending"}, order="asc")
        mine = [job for job in waiting if job.kind in ENGINE_KINDS]
        if len(waiting) > _MOST_WAITING or self._queue.is_paused:
            return None, last
        if len(running) + len(mine) < engines:
            return 0.0, last
        for job in mine:
            left = _add(left, self._seconds_of_job(job, last))
            last = job.load_spec or last
        return None if left is None else left / engines, last

    def _seconds_of_job(self, job: Job, last: LoadSpec | None) -> float | None:
        if job.kind == "convert":
            return None
        try:
            work = work_of_job(job, self._outputs)
        except (OSError, KeyError):
            return None
        seconds = _seconds_of(
            self._forecast(job.load_spec, upscaler_of(params_of(job.kind, job.params)), work, last), work
        )
        return None if seconds is None else seconds.total


def _seconds_of(forecast: Forecast, work: Work) -> Seconds | None:
    """``None`` where what takes longest has never been timed."""
    expected = forecast.expected
    if (expected.step if work.steps else expected.upscaling) is None:
        return None
    sampling = expected.step * work.steps * work.pictures if expected.step is not None else 0.0
    hires = expected.hires if work.hires_steps else 0.0
    if hires is None and expected.step is not None:
        hires = expected.step * work.hires_share * work.pictures
    parts = {
        "load": expected.load,
        "conditioning": expected.conditioning if work.steps else 0.0,
        "sampling": sampling,
        "hires": hires,
        "decoding": expected.decoding if work.decoded else 0.0,
        "upscaling": expected.upscaling if work.enlarged else 0.0,
        "saving": expected.saving,
    }
    total = sum(seconds for seconds in parts.values() if seconds is not None)
    return Seconds(total=round(total, 3), **{name: _round(seconds) for name, seconds in parts.items()})


def _add(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
