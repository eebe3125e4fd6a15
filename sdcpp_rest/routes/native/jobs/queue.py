"""Single jobs over HTTP: look, cancel, rename, move to the front, preview; and the queue's pause."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import Conflict, InvalidRequest, JobNotFound, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Text, Wire, optional, validate
from sdcpp_rest.routes.native.jobs.job_shown import JobPath, JobShown, live_job_object

queue = Blueprint("queue", __name__)


class RenameBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "the red one"}]})

    title: Text = Field(max_length=200, description="A name for lists; found by their search. Empty: none.")


class MoveBody(Wire):
    """One of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "last"}]})

    before: Text = optional("The job, which waits too, that is to come right after this one.", min_length=1)
    to: Literal["first", "last"] = optional("Before or behind all others that wait.")

    def place(self) -> str:
        """``first``, ``last`` or ``before``. Raises InvalidRequest where both are given, or neither."""
        sent = self.sent_fields()
        if len(sent) != 1:
            allowed = "either before (a job's id) or to (first or last)"
            raise InvalidRequest(f"give {allowed}", field="before", allowed=allowed)
        return str(sent.get("to", "before"))


class PendingCancelled(Answer):
    """How many jobs waited and are cancelled."""

    success: Literal[True]
    cancelled: int = Field(ge=0)


class Cancelled(Answer):
    success: Literal[True]
    message: str
    status: Literal["cancelled", "cancelling"] = optional("Of a job that was running: cancelling until it has stopped.")


class QueueState(Answer):
    """Whether jobs are taken off the queue."""

    success: Literal[True]
    paused: bool
    changed: bool = Field(description="Whether it was otherwise before.")


@queue.get("/queue/<job_id>")
@needs("read")
@documents({200: JobShown}, errors=(404,), path=JobPath)
def show_job(job_id: str) -> Response:
    """Look at a job."""
    job = _find_job(job_id)
    return answer(_job_object(job))


@queue.delete("/queue/<job_id>")
@needs("generate")
@documents({200: Cancelled}, errors=(400,), path=JobPath)
def delete_job(job_id: str) -> Response:
    """Cancel a job that waits or runs. A 400 for any other. A running one stops at its next step, and the model stays
    loaded."""
    try:
        return _cancel(job_id)
    except (Conflict, JobNotFound):
        raise InvalidRequest("Cannot cancel job (not found or already processing)") from None


@queue.post("/queue/<job_id>/cancel")
@needs("generate")
@documents({200: Cancelled}, errors=(404, 409), path=JobPath)
def cancel_job(job_id: str) -> Response:
    """Cancel a job, telling an unknown one (404) from a finished one (409)."""
    _find_job(job_id)
    return _cancel(job_id)


@queue.get("/jobs/<job_id>/preview")
@needs("read")
@documents({200: "image/jpeg"}, errors=(404,), path=JobPath)
def show_preview(job_id: str) -> Response:
    """Get the latest preview of a running job. A 404 before the first one, and when the job is over."""
    active = runtime().jobs.active.get(job_id)
    if active is None:
        status = _find_job(job_id).status
        raise NotFound(f"There is no preview: the job is {status}", status=status)
    jpeg = runtime().jobs.previews.read(active)
    if jpeg is None:
        raise NotFound("There is no preview of this job at the moment", status=active.job.status)
    response = Response(jpeg, mimetype="image/jpeg")
    response.headers["Cache-Control"] = "no-store"
    return response


@queue.patch("/queue/<job_id>")
@needs("generate")
@documents({200: JobShown}, errors=(404,), path=JobPath, body=RenameBody)
def rename_job(job_id: str) -> Response:
    """Give a job another title. Whatever its status."""
    _find_job(job_id)
    body, _ = validate(RenameBody, read_body())
    return answer(_job_object(runtime().jobs.queue.retitle(job_id, body.title or None)))


@queue.post("/queue/<job_id>/front")
@needs("generate")
@documents({200: JobShown}, errors=(404, 409), path=JobPath)
def move_job_to_front(job_id: str) -> Response:
    """Make a waiting job the next one. A 409 for one that does not wait."""
    return answer(_job_object(runtime().jobs.queue.to_front(job_id)))


@queue.post("/queue/<job_id>/move")
@needs("generate")
@documents({200: JobShown}, errors=(404, 409), path=JobPath, body=MoveBody)
def move_job(job_id: str) -> Response:
    """Give a waiting job another place. Right before another one that waits, or first or last of all. A 409
    where one of the two does not wait."""
    body, _ = validate(MoveBody, read_body())
    place = body.place()
    jobs = runtime().jobs.queue
    return answer(_job_object(jobs.to_front(job_id) if place == "first" else jobs.move(job_id, body.before)))


@queue.delete("/queue/pending")
@needs("generate")
@documents({200: PendingCancelled})
def cancel_pending_jobs() -> Response:
    """Cancel all jobs that wait. The one that runs goes on."""
    return answer({"success": True, "cancelled": runtime().jobs.queue.cancel_pending()})


@queue.post("/queue/pause")
@needs("generate")
@documents({200: QueueState})
def pause_queue() -> Response:
    """Let no further job begin. What runs goes on, jobs can be submitted and models loaded; a restart changes
    nothing."""
    return answer({"success": True, "paused": True, "changed": runtime().jobs.queue.pause()})


@queue.post("/queue/resume")
@needs("generate")
@documents({200: QueueState})
def resume_queue() -> Response:
    """Let jobs begin again."""
    return answer({"success": True, "paused": False, "changed": runtime().jobs.queue.resume()})


def _job_object(job: Job) -> dict[str, Any]:
    return live_job_object(job, runtime().jobs.queue.position(job.id) if job.status == "pending" else None)


def _find_job(job_id: str) -> Job:
    try:
        return runtime().jobs.queue.get(job_id)
    except JobNotFound:
        raise JobNotFound("Job not found") from None


def _cancel(job_id: str) -> Response:
    was_running = runtime().jobs.queue.get(job_id).status == "processing"
    outcome = runtime().jobs.queue.cancel(job_id)
    body: dict[str, Any] = {"success": True, "message": "Job cancelled"}
    if was_running or outcome != "cancelled":
        body["status"] = outcome
    return answer(body)
