"""Estimates what a model takes of the memory that it is computed in, for keeping several at hand."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_rest.core.family_sizes import usual_side
from sdcpp_rest.core.fit import Size
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import SamplingParams, params_of
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.models.fit_needs import load_of, needs_of, on_device, share_of_gpu
from sdcpp_rest.services.models.job_fit import JobPlan, bytes_on_gpu


def job_bytes(job: Job, gpu_backend: str | None) -> int | None:
    """What ``job`` takes of the GPU of this backend; ``None`` without one, for jobs that need no model, and for files
    that cannot be read."""
    params = params_of(job.kind, job.params)
    if gpu_backend is None or job.load_spec is None or not isinstance(params, SamplingParams):
        return None
    try:
        return bytes_on_gpu(JobPlan(params, job.load_spec, has_control="control_image" in job.inputs), gpu_backend)
    except (SdcppRestError, OSError, ValueError):
        return None


def model_bytes(spec: LoadSpec, gpu_backend: str | None) -> tuple[int, int]:
    """Bytes of the weights of ``spec`` that stay, and of everything while a picture of its family's usual size is
    drawn: on the GPU of this backend, in main memory without one. Zeros for files that cannot be read."""
    is_gpu = gpu_backend is not None
    try:
        load = load_of(spec, Size(0, 0))
        side = usual_side(load.model.architecture)
        load = replace(load, size=Size(side, side), backend=gpu_backend or "")
        if not is_gpu:
            needs = needs_of(load, is_gpu=False)
            return needs.weight_bytes, needs.peak_bytes
        weights = 0 if spec.options.offload_to_cpu else sum(share_of_gpu(load)[0].values())
        return weights, on_device(load, is_gpu)
    except (SdcppRestError, OSError, ValueError):
        return 0, 0
