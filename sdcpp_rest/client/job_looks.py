"""Looks at a job, and makes sure that it is one: what follows a job goes by a few of its fields."""

from __future__ import annotations

from sdcpp_rest.client.answers import take
from sdcpp_rest.client.steps import Doing, Request
from sdcpp_rest.client.wire.jobs import JobShown


def look_at(job_id: str) -> Doing[JobShown]:
    """Ask for a job. Raises UnexpectedAnswer for what is none."""
    request = Request(JobShown, "GET", "/queue/{job_id}", {"job_id": job_id})
    shown = yield from request
    check_job(shown, f"GET {request.path}")
    return shown


def check_job(job: JobShown, asked: str) -> None:
    """Raise UnexpectedAnswer for an object that lacks what a job has."""
    for name in ("job_id", "status"):
        take(job, name, str, asked)
    take(job, "outputs", list, asked)
    take(job, "progress", dict, asked)
