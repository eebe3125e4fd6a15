"""Makes the command with which an engine is given a job."""

from __future__ import annotations

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.params import ConvertParams, LoraUse, params_of
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.services.jobs import job_record
from sdcpp_rest.services.models import model_conversion
from sdcpp_rest.services.pictures.outputs import Outputs


def make_command(number: int, job: Job, model_key: str | None, outputs: Outputs, version: str) -> RunJob:
    """The command of run ``number``, which computes ``job`` with the loaded model of that key."""
    params = params_of(job.kind, job.params)
    captions = job_record.captions(job, params, version)
    if isinstance(params, ConvertParams):
        params = model_conversion.partial(params, job.id)
    return RunJob(
        run=number,
        job_id=job.id,
        kind=job.kind,
        params=params,
        model_key=model_key,
        inputs={role: str(outputs.inputs_of(job.id) / name) for role, name in job.inputs.items()},
        spool=str(outputs.spool_of(job.id)),
        captions=captions,
    )


def loras_of(job: Job) -> tuple[LoraUse, ...]:
    """The LoRAs that a job is drawn with."""
    return tuple(LoraUse.model_validate(lora) for lora in job.params.get("loras") or ())
