"""Jobs that are made again: with the same parameters and pictures, or with some of them changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.job import FINISHED, Job, JobKind
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import SamplingParams
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.routes.http.answers import runtime, shorten
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Text, Wire, nearest, optional, validate
from sdcpp_rest.routes.native.jobs.given_pictures import with_given_pictures
from sdcpp_rest.routes.native.jobs.job_params import shown_params
from sdcpp_rest.routes.native.jobs.job_shown import JobPath
from sdcpp_rest.routes.native.jobs.submission_of_bodies import submit_picture, submit_upscaling, submit_video
from sdcpp_rest.routes.native.jobs.submitted import answer_accepted
from sdcpp_rest.routes.native.wire.generation_bodies import Accepted, Img2ImgBody, SamplingBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody

again = Blueprint("again", __name__)

_BODIES: Mapping[JobKind, type[Wire]] = {
    "txt2img": Txt2ImgBody,
    "img2img": Img2ImgBody,
    "txt2vid": Txt2VidBody,
    "upscale": UpscaleBody,
}


class AgainBody(Wire):
    """What is to be otherwise; all of it may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"seed": -1}]})

    seed: Integer = mirror(SamplingParams, "seed", "Another seed; -1: drawn anew. Left out: the same.", default=None)
    overrides: dict[str, Any] = Field(
        {},
        description="Other fields of the endpoint that takes such a job, such as `steps`, checked as it checks them.",
    )
    model: Literal["own", "selected"] = Field(
        "own",
        description="Draw with the job's own model, or the selected one. A `model_name` among the overrides comes "
        "before both.",
    )
    title: Text = optional("Another title; empty: none. Left out: the job's.", max_length=200)


@again.post("/jobs/<job_id>/again")
@needs("generate")
@documents({202: Accepted}, errors=(404, 409, 429, 503), path=JobPath, body=AgainBody)
@transfer
@submitting
def make_again(job_id: str) -> Response:
    """Make a finished job again, as a new one. It has the parameters and pictures of the first, but for what the body
    changes. A 409 for a job that has not ended, and for one that is no picture and no video."""
    job = runtime().jobs.queue.get(job_id)
    asked, warnings = validate(AgainBody, read_body())
    body, more = validate(_body_of(job), with_given_pictures(_fields_of(job, asked)))
    return answer_accepted(*_submit(job, body, [*warnings, *more], own=asked.model == "own"))


def _body_of(job: Job) -> type[Wire]:
    if job.status not in FINISHED:
        raise Conflict(f"Only a job that has ended can be made again; this one is {job.status}", status=job.status)
    if job.kind not in _BODIES:
        kinds = ", ".join(_BODIES)
        raise Conflict(f"Only jobs of the types {kinds} can be made again; this one is {job.kind}", type=job.kind)
    return _BODIES[job.kind]


def _fields_of(job: Job, asked: AgainBody) -> dict[str, Any]:
    """The body that makes the job again. Raises InvalidRequest for what its endpoint does not know."""
    model, sent = _body_of(job), asked.sent_fields()
    changes: dict[str, Any] = {**asked.overrides, **{name: sent[name] for name in ("seed", "title") if name in sent}}
    for name in changes:
        if name not in model.model_fields:
            like = nearest(name[:80], list(model.model_fields))
            advice = f"; did you mean '{like}'?" if like else ""
            known = f"a field of POST /{job.kind}"
            text = f"overrides must have only fields of POST /{job.kind}, got '{shorten(name)}'{advice}"
            raise InvalidRequest(text, field="overrides", value=shorten(name), allowed=known)
    # What is changed is not what that place of a grid is for.
    group = None if changes or job.group is None else job.group.model_dump(mode="json")
    fields = shown_params(job)
    if job.kind == "upscale" and asked.model == "selected":
        fields.pop("upscaler", None)
    return {"title": job.title, "group": group, "device": job.device, **fields, **changes}


def _submit(job: Job, body: Wire, warnings: list[str], *, own: bool) -> tuple[Job, int]:
    if isinstance(body, UpscaleBody):
        return submit_upscaling(body, warnings)
    assert isinstance(body, SamplingBody), body
    spec = _own_model(job) if own and not body.model_name else None
    if isinstance(body, Txt2VidBody):
        return submit_video(body, warnings, spec=spec)
    assert isinstance(body, Txt2ImgBody), body
    named = job.params.get("upscaler") if own else None
    upscaler = UpscalerSpec.model_validate(named) if named else None
    kind: Literal["txt2img", "img2img"] = "img2img" if isinstance(body, Img2ImgBody) else "txt2img"
    return submit_picture(kind, body, warnings, spec=spec, upscaler=upscaler)


def _own_model(job: Job) -> LoadSpec:
    """Raises Conflict where its file is not there any more."""
    spec = job.load_spec
    if spec is None or not os.path.exists(spec.model.path):
        name = f"{spec.model.name} " if spec is not None else ""
        raise Conflict(f"The job's model {name}is not there any more; with model 'selected' another one draws it")
    return spec
