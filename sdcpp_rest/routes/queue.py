"""The queue over HTTP: look, filter, cancel. Here a `Job` gets its wire shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.events import preview_url
from sdcpp_rest.core.job import Job, JobKind, JobStatus, Phase, Progress, Timings
from sdcpp_rest.errors import Conflict, InvalidRequest, JobNotFound, NotFound
from sdcpp_rest.routes.http import Integer, Text, Wire, answer, left_out, read_query, runtime
from sdcpp_rest.routes.openapi import Answer, documented

queue = Blueprint("queue", __name__)

MAX_LIMIT = 1000


class QueueQuery(Wire):
    limit: Integer = left_out(
        "How many finished jobs at most. Default: the configuration's queue.listed_finished (200).", ge=1, le=MAX_LIMIT
    )
    offset: Integer = Field(0, ge=0, le=2**31 - 1, description="How many finished jobs to skip; above 0 only those.")
    status: list[JobStatus] = Field([], description="Only jobs with one of these.", examples=[["completed", "failed"]])
    type: JobKind = left_out("Only jobs of this type.")
    search: Text = left_out("Only jobs whose title, prompt, model or id contain every one of these words.")
    order: Literal["asc", "desc"] = Field("desc", description="desc: newest first.")


class JobPath(Wire):
    job_id: str = Field(
        description="As told when the job was submitted.", examples=["550e8400-e29b-41d4-a716-446655440000"]
    )


class ProgressShown(Answer):
    """Where a job stands."""

    step: int = Field(ge=0, description="Within the current picture.")
    total_steps: int = Field(ge=0, description="Of each picture.")
    current_image: int = Field(ge=0, description="From 0.")
    total_images: int = Field(ge=0)
    all_steps: int = Field(ge=0, description="total_steps x total_images.")
    current_all_steps: int = Field(ge=0)
    percentage: float = Field(ge=0, le=100)
    phase: Phase


class JobShown(Answer):
    """A job."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    type: JobKind
    status: JobStatus
    progress: ProgressShown
    created_at: str = Field(examples=["2024-01-01T12:00:00Z"])
    started_at: str = left_out("When the engine took it.", examples=["2024-01-01T12:00:05Z"])
    completed_at: str = left_out("When it ended, well or not.", examples=["2024-01-01T12:01:00Z"])
    outputs: list[str] = Field(
        description="Paths below `/output/`.", examples=[["550e8400-e29b-41d4-a716-446655440000/image_0.png"]]
    )
    params: dict[str, Any] = Field(description="What was asked for, with every default filled in.")
    error: str = left_out("Why it failed.")
    error_code: str = left_out("The same for programs.", examples=["engine_crashed"])
    position: int = left_out("Place among the jobs that wait, from 1.", ge=1)
    preview_url: str = left_out("Where the latest preview is, while the job runs and has one.")
    title: str | None
    origin: str = Field(description="Which way it came in.", examples=["native"])
    model: str | None = Field(description="Name of the model that it was drawn with, or will be.")
    seed: int | None = Field(description="The real one, also where -1 was asked for.")
    timings: Timings
    warnings: list[str] = Field(description="What was ignored or corrected, and what will not look right.")


class QueueShown(Answer):
    """Counts of all jobs, whatever the filters, and the jobs that were asked for."""

    pending_count: int
    processing_count: int = Field(ge=0, le=1)
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    items: list[JobShown]


class Cancelled(Answer):
    success: Literal[True]
    message: str
    status: Literal["cancelled", "cancelling"] = left_out("Of a job that was running: cancelling until it has stopped.")


@queue.get("/queue")
@documented({200: QueueShown}, query=QueueQuery)
def list_jobs() -> Response:
    """List jobs: every active one, and the newest finished ones. The running job comes first, then those that wait in
    the order in which they will run; ``limit`` and ``offset`` page through the finished ones."""
    query = read_query(QueueQuery)
    jobs = runtime().queue.list(
        limit=query.sent().get("limit", runtime().config.queue.listed_finished),
        offset=query.offset,
        status=query.status or None,
        kind=query.sent().get("type"),
        search=query.search or None,
        order=query.order,
    )
    positions = runtime().queue.positions() if any(job.status == "pending" for job in jobs) else {}
    counts = runtime().queue.counts()
    named = ("pending", "processing", "completed", "failed", "cancelled", "total")
    shown = [_shown(job, positions.get(job.id)) for job in jobs]
    return answer({**{f"{name}_count": counts.get(name, 0) for name in named}, "items": shown})


@queue.get("/queue/<job_id>")
@documented({200: JobShown}, errors=(404,), path=JobPath)
def show_job(job_id: str) -> Response:
    """Look at a job."""
    job = _found(job_id)
    return answer(_shown(job, runtime().queue.position(job.id) if job.status == "pending" else None))


@queue.delete("/queue/<job_id>")
@documented({200: Cancelled}, errors=(400,), path=JobPath)
def delete_job(job_id: str) -> Response:
    """Cancel a job that waits or runs. A 400 for any other. A running one stops at its next step, and the model stays
    loaded."""
    try:
        return _cancel(job_id)
    except (Conflict, JobNotFound):
        raise InvalidRequest("Cannot cancel job (not found or already processing)") from None


@queue.post("/queue/<job_id>/cancel")
@documented({200: Cancelled}, errors=(404, 409), path=JobPath)
def cancel_job(job_id: str) -> Response:
    """Cancel a job, telling an unknown one (404) from a finished one (409)."""
    _found(job_id)
    return _cancel(job_id)


@queue.get("/jobs/<job_id>/preview")
@documented({200: "image/jpeg"}, errors=(404,), path=JobPath)
def show_preview(job_id: str) -> Response:
    """Get the latest preview of a running job. A 404 before the first one, and when the job is over."""
    active = runtime().active.get(job_id)
    if active is None:
        status = _found(job_id).status
        raise NotFound(f"There is no preview: the job is {status}", status=status)
    try:
        jpeg = Path(active.preview_path or "").read_bytes()
    except OSError:
        # Not made yet, or moved away with the rest of the spool: the job has just ended.
        raise NotFound("There is no preview of this job at the moment", status=active.job.status) from None
    response = Response(jpeg, mimetype="image/jpeg")
    response.headers["Cache-Control"] = "no-store"
    return response


def job_object(
    job: Job,
    progress: Progress,
    position: int | None = None,
    *,
    has_preview: bool = False,
    input_sizes: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The native job object: the contract's fields, then ours. Absent times and errors are left out, not ``null``."""
    shown: dict[str, Any] = {
        "job_id": job.id,
        "type": job.kind,
        "status": job.status,
        "progress": {
            "step": progress.step,
            "total_steps": progress.total_steps,
            "current_image": progress.current_image,
            "total_images": progress.total_images,
            "all_steps": progress.all_steps,
            "current_all_steps": progress.current_all_steps,
            "percentage": progress.percentage,
            "phase": progress.phase,
        },
        "created_at": _iso(job.created_at),
    }
    if job.started_at is not None:
        shown["started_at"] = _iso(job.started_at)
    if job.completed_at is not None:
        shown["completed_at"] = _iso(job.completed_at)
    shown["outputs"] = list(job.outputs)
    shown["params"] = _shown_params(job.params) | _shown_inputs(job.inputs, input_sizes or {})
    if job.status == "failed":
        shown["error"] = job.error or "unknown error"
        if job.error_code:
            shown["error_code"] = job.error_code
    if position is not None:
        shown["position"] = position
    if has_preview:
        shown["preview_url"] = preview_url(job.id)
    shown |= {
        "title": job.title,
        "origin": job.origin,
        "model": job.model_name,
        "seed": job.params.get("seed"),
        "timings": job.timings.model_dump(),
        "warnings": list(job.warnings),
    }
    return shown


def _shown(job: Job, position: int | None) -> dict[str, Any]:
    active = runtime().active.get(job.id) if job.status == "processing" else None
    has_preview = active is not None and active.preview_path is not None
    sizes = runtime().outputs.input_sizes(job.id, job.inputs)
    return job_object(job, runtime().queue.progress(job), position, has_preview=has_preview, input_sizes=sizes)


def _shown_params(params: dict[str, Any]) -> dict[str, Any]:
    """Where files lie on the server's disk is nobody's business: LoRAs are shown by name."""
    shown = dict(params)
    if isinstance(shown.get("loras"), (list, tuple)):
        shown["loras"] = [{key: value for key, value in lora.items() if key != "path"} for lora in shown["loras"]]
    return shown


def _shown_inputs(inputs: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The pictures a job was given, under the names they came in, as ``{"omitted": bytes}``: listings carry none."""
    shown: dict[str, Any] = {}
    for role in inputs:
        omitted = {"omitted": sizes.get(role, 0)}
        if role.startswith("ref_images."):
            shown.setdefault("ref_images", []).append(omitted)
        else:
            shown[f"{role}_base64"] = omitted
    return shown


def _found(job_id: str) -> Job:
    try:
        return runtime().queue.get(job_id)
    except JobNotFound:
        raise JobNotFound("Job not found") from None


def _cancel(job_id: str) -> Response:
    was_running = runtime().queue.get(job_id).status == "processing"
    outcome = runtime().queue.cancel(job_id)
    body: dict[str, Any] = {"success": True, "message": "Job cancelled"}
    if was_running or outcome != "cancelled":
        body["status"] = outcome
    return answer(body)


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
