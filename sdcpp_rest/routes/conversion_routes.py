"""Conversion of model files over HTTP: other weight types, baked-in VAEs. The job does the work."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http import Flag, Text, Wire, answer, left_out, read_body, runtime, transfer, validate
from sdcpp_rest.routes.openapi import Answer, documented
from sdcpp_rest.services.model_conversion import ConvertRequest

conversion = Blueprint("conversion", __name__)


class ConvertBody(Wire):
    """Which model to write anew, and how."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input_path": "demo_dit_q8_0.gguf", "output_type": "q4_0"}]}
    )

    input_path: Text = Field(
        min_length=1,
        max_length=4096,
        description="The model: a name of `GET /models`, or an absolute path inside the model folders.",
        examples=["demo_dit_q8_0.gguf"],
    )
    output_type: Text = Field(
        min_length=1, description="One of the quantization_types of `GET /options`.", examples=["q4_0"]
    )
    output_path: Text = Field(
        "",
        max_length=4096,
        description="Where to write: relative to the folder of the model's type, ending in .gguf or .safetensors. Left "
        "out: the model's name with the type in it.",
    )
    vae_path: Text = Field("", max_length=4096, description="A VAE to put into the result.")
    tensor_type_rules: Text = Field(
        "", max_length=2000, description="Other types for some tensors: `^vae\\.=f16`, say; the first that fits counts."
    )
    overwrite: Flag = Field(False, description="Replace a file that has the result's name.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")


class ConversionAccepted(Answer):
    """A job in the queue."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    status: Literal["pending"]
    position: int = Field(ge=1, description="Place among the jobs that wait.")
    output_path: str = Field(description="Where the result will lie, and under which name it will be listed.")
    warnings: list[str] = left_out("What was ignored or corrected.")


@conversion.post("/convert")
@documented({202: ConversionAccepted}, errors=(404, 409, 429, 503), body=ConvertBody)
@transfer
def convert() -> Response:
    """Write a model file anew with another weight type. Answers with a job id at once; the result is listed when it is
    whole."""
    body, warnings = validate(ConvertBody, read_body())
    sent = body.sent()
    asked = ConvertRequest(**{name: sent[name] for name in sent.keys() & ConvertRequest.model_fields.keys()})
    job, position, target = runtime().conversions.submit(
        asked, title=body.title or None, origin="native", warnings=warnings
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
