"""What the views of the native API's jobs share: the answer to an accepted job, and refusals in the client's words."""

from __future__ import annotations

from typing import Any

from flask import Response

from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer
from sdcpp_rest.routes.native.jobs.job_shown import show_resolved_prompts

BASE64_ROLES = ("init_image", "mask_image", "control_image", "end_image")
"""Pictures whose field is called ``<role>_base64`` on the wire."""


def answer_accepted(job: Job, position: int) -> Response:
    """The answer to every job of the native API."""
    shown: dict[str, Any] = {"job_id": job.id, "status": "pending", "position": position} | show_resolved_prompts(job)
    if job.warnings:
        shown["warnings"] = list(job.warnings)
    return answer(shown, 202)


def in_client_words(error: InvalidRequest) -> InvalidRequest:
    """The same refusal with the field called as on the wire: the services speak of roles."""
    role = error.detail.get("field")
    if role not in BASE64_ROLES:
        return error
    field = f"{role}_base64"
    return type(error)(error.message.replace(role, field, 1), **{**error.detail, "field": field})
