"""The pictures that jobs were given, as files."""

from __future__ import annotations

from flask import Blueprint, Response, send_file
from pydantic import Field

from sdcpp_rest.errors import NotFound
from sdcpp_rest.routes.http.answers import runtime, shorten
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.native.jobs.job_shown import JobPath

given = Blueprint("given", __name__)


class GivenPath(JobPath):
    role: str = Field(
        description="Which picture: init_image, mask_image, control_image, end_image, image, or one of several, such "
        "as ref_images.0.",
        examples=["mask_image"],
    )


@given.get("/jobs/<job_id>/inputs/<role>")
@needs("read")
@documents({200: "image/png", 304: ()}, errors=(404,), path=GivenPath)
@transfer
def show_given_picture(job_id: str, role: str) -> Response:
    """Get a picture that a job was given, as the job has it: scaled to the size that was asked for."""
    jobs = runtime().jobs
    name = jobs.queue.get(job_id).inputs.get(role)
    path = jobs.outputs.inputs_of(job_id) / name if name is not None else None
    if path is None or not path.is_file():
        raise NotFound(f"The job was given no such picture: {shorten(role)}", field="role")
    response = send_file(path, mimetype="image/png", conditional=True, etag=True)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
