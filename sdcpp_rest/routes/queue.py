"""The queue over HTTP: look, filter, cancel. Here a `Job` gets its wire shape."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, cast, get_args

from flask import Blueprint, Response, request

from sdcpp_rest.core.job import Job, JobKind, JobStatus, Progress
from sdcpp_rest.errors import Conflict, InvalidRequest, JobNotFound
from sdcpp_rest.routes.http import answer, query_choices, query_integer, runtime

queue = Blueprint("queue", __name__)

MAX_LIMIT = 1000


@queue.get("/queue")
def list_jobs() -> Response:
    """Counts of all jobs, and those that the query asks for: ``limit offset status type search order``."""
    limit = query_integer("limit", runtime().config.queue.listed_finished, 1, MAX_LIMIT)
    offset = query_integer("offset", 0, 0, 2**31 - 1)
    status = cast(tuple[JobStatus, ...], query_choices("status", get_args(JobStatus)))
    kinds = cast(tuple[JobKind, ...], query_choices("type", get_args(JobKind)))
    if len(kinds) > 1:
        raise InvalidRequest(f"type must be a single job type, got {len(kinds)}", field="type")
    order = query_choices("order", ("asc", "desc"))
    if len(order) > 1:
        raise InvalidRequest("order must be asc or desc, got both", field="order")
    search = request.args.get("search") or None
    jobs = runtime().queue.list(
        limit=limit,
        offset=offset,
        status=status or None,
        kind=kinds[0] if kinds else None,
        search=search,
        order="asc" if order == ("asc",) else "desc",
    )
    counts = runtime().queue.counts()
    named = ("pending", "processing", "completed", "failed", "cancelled", "total")
    return answer({**{f"{name}_count": counts.get(name, 0) for name in named}, "items": [_shown(job) for job in jobs]})


@queue.get("/queue/<job_id>")
def show_job(job_id: str) -> Response:
    return answer(_shown(_found(job_id)))


@queue.delete("/queue/<job_id>")
def delete_job(job_id: str) -> Response:
    """Cancel, in the native contract's words: one 400 for everything that cannot be cancelled."""
    try:
        return _cancel(job_id)
    except (Conflict, JobNotFound):
        raise InvalidRequest("Cannot cancel job (not found or already processing)") from None


@queue.post("/queue/<job_id>/cancel")
def cancel_job(job_id: str) -> Response:
    """Cancel, telling an unknown job (404) from a finished one (409)."""
    _found(job_id)
    return _cancel(job_id)


def job_object(job: Job, progress: Progress, position: int | None = None) -> dict[str, Any]:
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
    shown["params"] = _shown_params(job.params)
    if job.status == "failed":
        shown["error"] = job.error or "unknown error"
        if job.error_code:
            shown["error_code"] = job.error_code
    if position is not None:
        shown["position"] = position
    shown |= {
        "title": job.title,
        "origin": job.origin,
        "model": job.model_name,
        "seed": job.params.get("seed"),
        "timings": job.timings.model_dump(),
        "warnings": list(job.warnings),
    }
    return shown


def _shown(job: Job) -> dict[str, Any]:
    position = runtime().queue.position(job.id) if job.status == "pending" else None
    return job_object(job, runtime().queue.progress(job), position)


def _shown_params(params: dict[str, Any]) -> dict[str, Any]:
    """Where files lie on the server's disk is nobody's business: LoRAs are shown by name."""
    shown = dict(params)
    if isinstance(shown.get("loras"), (list, tuple)):
        shown["loras"] = [{key: value for key, value in lora.items() if key != "path"} for lora in shown["loras"]]
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
