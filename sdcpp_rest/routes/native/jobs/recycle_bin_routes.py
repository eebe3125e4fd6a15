"""Deleting finished jobs over HTTP, and the recycle bin they go to."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.jobs.job_shown import JobPath, JobShown, live_job_object
from sdcpp_rest.services.jobs.recycle_bin import BinItem

recycle_bin = Blueprint("recycle_bin", __name__)

MAX_JOBS = 1000


class DeleteJobsBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"job_ids": ["550e8400-e29b-41d4-a716-446655440000"]}]})

    job_ids: list[Text] = Field(min_length=1, max_length=MAX_JOBS, description="Which finished jobs to delete.")


class NotDeleted(Answer):
    job_id: str
    error: str


class JobsDeleted(Answer):
    """What became of each job; those that wait or run are not deleted."""

    success: bool = Field(description="Whether all of them are deleted.")
    deleted: int = Field(ge=0)
    failed: int = Field(ge=0)
    total: int = Field(ge=0, description="How many were asked for, each once.")
    failed_job_ids: list[str]
    errors: list[NotDeleted] = Field(description="Why, for each that is not deleted.")


class BinQuery(Wire):
    limit: Integer = Field(200, ge=1, le=1000, description="How many jobs at most.")
    offset: Integer = Field(0, ge=0, le=2**31 - 1, description="How many to skip.")


class BinnedJobShown(JobShown):
    """A deleted job. Its files are not below `/output/` until it is restored."""

    deleted_at: str = Field(examples=["2024-01-01T12:00:00Z"])
    expires_at: str = Field(description="When it is removed for good.", examples=["2024-01-08T12:00:00Z"])
    previous_status: str = Field(description="The same as `status`.", examples=["completed"])


class BinShown(Answer):
    """The recycle bin: its rules and what is in it, deleted last first."""

    success: Literal[True]
    enabled: bool = Field(description="Whether deleted jobs come here; if not, they are gone for good.")
    retention_minutes: int = Field(description="How long they stay.")
    count: int = Field(description="How many there are, on all pages.")
    items: list[BinnedJobShown]


class Emptied(Answer):
    success: Literal[True]
    purged: int
    message: str
    pictures: int = optional("How many pictures were there by themselves, if any.")


class Moved(Answer):
    success: Literal[True]
    message: str


@recycle_bin.delete("/queue/jobs")
@needs("generate")
@documents({200: JobsDeleted}, body=DeleteJobsBody)
@blocking
def delete_jobs() -> Response:
    """Delete finished jobs with their pictures, into the recycle bin or, where that is off, for good. Those that wait
    or run, and unknown ones, are named in the answer and left alone."""
    body, _ = validate(DeleteJobsBody, read_body())
    deleted, refused = runtime().jobs.recycle_bin.delete(body.job_ids)
    return answer(
        {
            "success": not refused,
            "deleted": len(deleted),
            "failed": len(refused),
            "total": len(deleted) + len(refused),
            "failed_job_ids": list(refused),
            "errors": [{"job_id": job_id, "error": error} for job_id, error in refused.items()],
        }
    )


@recycle_bin.get("/queue/recycle-bin")
@needs("read")
@documents({200: BinShown}, query=BinQuery)
def show_recycle_bin() -> Response:
    """List deleted jobs. What was deleted last comes first."""
    query = read_query(BinQuery)
    rules = runtime().settings.user.recycle_bin()
    items = runtime().jobs.recycle_bin.items(query.limit, query.offset)
    shown_items = [_bin_object(item) for item in items]
    count = runtime().jobs.recycle_bin.count()
    return answer({"success": True, **rules.model_dump(), "count": count, "items": shown_items})


@recycle_bin.delete("/queue/recycle-bin")
@needs("generate")
@documents({200: Emptied})
@blocking
def empty_recycle_bin() -> Response:
    """Remove everything in the recycle bin for good."""
    purged, pictures = runtime().jobs.recycle_bin.empty(), runtime().jobs.gallery.empty_bin()
    message = f"{purged} job(s) removed for good"
    shown = {"success": True, "purged": purged, "message": message}
    return answer({**shown, "pictures": pictures} if pictures else shown)


@recycle_bin.post("/queue/<job_id>/restore")
@needs("generate")
@documents({200: Moved}, errors=(404, 409), path=JobPath)
@blocking
def restore_job(job_id: str) -> Response:
    """Bring a deleted job back, with its pictures."""
    runtime().jobs.recycle_bin.restore(job_id)
    return answer({"success": True, "message": "Job restored"})


@recycle_bin.delete("/queue/<job_id>/purge")
@needs("generate")
@documents({200: Moved}, errors=(404, 409), path=JobPath)
@blocking
def purge_job(job_id: str) -> Response:
    """Remove a deleted job for good. Only one that is in the recycle bin."""
    runtime().jobs.recycle_bin.purge(job_id)
    return answer({"success": True, "message": "Job removed for good"})


def _bin_object(item: BinItem) -> dict[str, Any]:
    times = {"deleted_at": _iso(item.deleted_at), "expires_at": _iso(item.expires_at)}
    return {**live_job_object(item.job, None), **times, "previous_status": item.job.status}


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
