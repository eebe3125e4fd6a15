"""Conversion of model files over HTTP: other weight types, baked-in VAEs, merged parts. The job does the work."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import optional, validate
from sdcpp_rest.routes.native.wire.conversion_bodies import ConvertBody
from sdcpp_rest.services.models.model_conversion import ConvertRequest

conversion = Blueprint("conversion", __name__)


class ConversionAccepted(Answer):
    """A job in the queue."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    status: Literal["pending"]
    position: int = Field(ge=1, description="Place among the jobs that wait.")
    output_path: str = Field(description="Where the result will lie, and under which name it will be listed.")
    warnings: list[str] = optional("What was ignored or corrected.")


@conversion.post("/convert")
@needs("models")
@documents({202: ConversionAccepted}, errors=(404, 409, 429, 503), body=ConvertBody)
@transfer
@submitting
def convert() -> Response:
    """Write a model file anew with another weight type. Answers with a job id at once; the result is listed when it is
    whole. A model that is split into GGUF files becomes one file, with `output_type` `keep` as it is."""
    body, warnings = validate(ConvertBody, read_body())
    sent = body.sent_fields()
    asked = ConvertRequest(**{name: sent[name] for name in sent.keys() & ConvertRequest.model_fields.keys()})
    device = runtime().submission.engine_choice.check(body.device)
    job, position, target = runtime().models.conversions.submit(
        asked, title=body.title or None, origin="native", warnings=warnings, device=device
    )
    shown: dict[str, Any] = {
        "job_id": job.id,
        "status": "pending",
        "position": position,
        "output_path": str(target),
    }
    if job.warnings:
        shown["warnings"] = list(job.warnings)
    return answer(shown, 202)
