"""Writes down how a finished job was made: the caption inside each picture, the record beside them.

Pure: makes values, writes nothing.
"""

from __future__ import annotations

from typing import Any

from sdcpp_rest.core import infotext
from sdcpp_rest.core.job import Failure, Job, Timings
from sdcpp_rest.core.params import Params, SamplingParams, UpscaleParams
from sdcpp_rest.engine.protocol import Ready


def captions(job: Job, params: Params, version: str) -> tuple[str, ...]:
    """The text inside each file: the job's own, or as AUTOMATIC1111's tools read it; picture k has seed
    ``params.seed + k``."""
    by, is_img2img = f"sdcpp-rest {version}", job.kind == "img2img"
    if isinstance(params, UpscaleParams):
        return (infotext.upscale_text(params.caption, params),)
    if not isinstance(params, SamplingParams):
        return ()
    if job.caption is not None:
        return (job.caption,) * params.picture_count
    return tuple(
        infotext.write(params, job.model_name, None, by, picture=k, is_img2img=is_img2img)
        for k in range(params.picture_count)
    )


def record(
    job: Job,
    timings: Timings,
    warnings: tuple[str, ...],
    version: str,
    ready: Ready | None,
    failure: Failure | None = None,
) -> dict[str, Any]:
    """Everything needed to draw the pictures again, and where they came from: the body of ``config.json``. That of a
    job that failed says why, under ``error`` and ``error_code``."""
    told = {"error": failure.message, "error_code": failure.code} if failure else {}
    return {
        "job_id": job.id,
        "type": job.kind,
        "created_at": job.created_at.isoformat(),
        "title": job.title,
        "group": job.group.model_dump(mode="json") if job.group else None,
        "origin": job.origin,
        "device": job.device,
        "engine": job.engine,
        "params": strip_paths(job.params),
        "inputs": job.inputs,
        "model": strip_paths(job.load_spec.model_dump(mode="json")) if job.load_spec else None,
        "warnings": list(warnings),
        "timings": timings.model_dump(),
        "version": version,
        "library_version": ready.library_version if ready else None,
        "library_commit": ready.library_commit if ready else None,
        **told,
    }


_SOURCES = ("init_image", "image", "ref_images.0")
"""What a job begins with: of these the first that it has."""


def given_pictures(job: Job) -> dict[str, str]:
    """The pictures that the job was given and that lie beside those it made: name there -> name among its inputs."""
    source = next((role for role in _SOURCES if role in job.inputs), "")
    roles = {"source.png": source, "mask.png": "mask_image", "control.png": "control_image"}
    return {name: job.inputs[role] for name, role in roles.items() if role in job.inputs}


_PLAIN = frozenset({str, int, float, bool, type(None)})


def strip_paths(value: Any) -> Any:
    """Files by the names that ``GET /models`` shows: the record lies in a folder that is served."""
    if isinstance(value, dict):
        # Most of a job's eighty values are plain: a call for each would be most of what a listing takes.
        return {
            name: inner if type(inner) in _PLAIN else strip_paths(inner)
            for name, inner in value.items()
            if name != "path"
        }
    return [strip_paths(inner) for inner in value] if isinstance(value, (list, tuple)) else value
