"""Tells each job that begins how long its parts usually take, and learns from those that end well.

Nothing of this may cost a job anything: whatever goes wrong here is told in the log, and the job goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from sdcpp_rest.core.family_fields import SECOND_EXPERT
from sdcpp_rest.core.job import Job, Timings
from sdcpp_rest.core.job_work import Work, count_upscaling, count_work
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, Params, UpscaleParams, params_of
from sdcpp_rest.engine.protocol import Loaded
from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from sdcpp_rest.services.model_headers import autoencoders
from sdcpp_rest.services.models.speeds import Speeds
from sdcpp_rest.services.pictures.outputs import Outputs

log = logging.getLogger(__name__)


class JobTiming:
    """Foretells and measures jobs. Its methods are callbacks of those who run them, and never raise."""

    def __init__(self, speeds: Speeds, outputs: Outputs) -> None:
        self._speeds = speeds
        self._outputs = outputs

    def begin(self, active: ActiveJob, is_resident: bool, device: str | None = None) -> None:
        """Give a job that begins on ``device`` what is known of its kind there."""
        try:
            job = active.job
            if job.kind == "convert":
                return
            bound = self._speeds.bind(job.load_spec, upscaler_of(params_of(job.kind, job.params)), device)
            work = work_of_job(job, self._outputs)
            forecast = self._speeds.forecast(bound, work, is_resident=is_resident)
            active.bound, active.times.work, active.times.expected = bound, work, forecast.expected
        except Exception:
            log.exception("job %s is not timed", active.job.id)

    def learn(self, active: ActiveJob, timings: Timings) -> None:
        """Take in how long a completed job took."""
        try:
            if active.bound is not None:
                self._speeds.note_job(active.bound, active.times, timings.encode_seconds)
        except Exception:
            log.exception("nothing was learned from job %s", active.job.id)

    def learn_load(self, spec: LoadSpec, loaded: Loaded) -> None:
        """Take in how long a load took."""
        try:
            self._speeds.note_load(spec, loaded.seconds)
        except Exception:
            log.exception("nothing was learned from loading %s", spec.model.name)


def upscaler_of(params: Params) -> UpscalerSpec | None:
    """The upscaler that a job of ``params`` needs."""
    if isinstance(params, UpscaleParams):
        return params.upscaler
    return params.upscaler if isinstance(params, ImageParams) and params.upscale else None


def work_of_job(job: Job, outputs: Outputs) -> Work:
    """What a job in the queue computes. Raises OSError for a picture that is gone."""
    params = params_of(job.kind, job.params)
    if isinstance(params, UpscaleParams):
        # Here, because it brings Pillow along.
        from sdcpp_rest.services.pictures.input_images import stored_size

        size = stored_size(outputs.inputs_of(job.id) / job.inputs["image"])
        return count_upscaling(params, size, factor_of(params.upscaler))
    return work_of(params, job.inputs, job.load_spec)


def work_of(params: Params, roles: Collection[str], spec: LoadSpec | None) -> Work:
    """What a job of ``params`` computes, from pictures of these ``roles``, with the model ``spec``."""
    has_two_experts = spec is not None and SECOND_EXPERT in spec.components
    return count_work(params, roles, has_two_experts=has_two_experts, factor=factor_of(upscaler_of(params)))


def factor_of(upscaler: UpscalerSpec | None) -> int:
    """How many times larger ``upscaler`` makes a picture in one pass, by its file."""
    return 1 if upscaler is None else autoencoders.upscale_factor(upscaler.model)
