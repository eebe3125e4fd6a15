"""Upscaling over HTTP: which upscaler the engine holds, and jobs that make pictures larger."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import EngineDied, LoadFailed, ModelNotFound
from sdcpp_rest.routes.generation import Accepted
from sdcpp_rest.routes.http import (
    Integer,
    Text,
    Wire,
    answer,
    blocking,
    left_out,
    read_body,
    runtime,
    transfer,
    validate,
)
from sdcpp_rest.routes.models import ModelNotThere
from sdcpp_rest.routes.openapi import Answer, documented
from sdcpp_rest.services.upscale_submission import UpscaleRequest

upscaling = Blueprint("upscaling", __name__)

_RED_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"


class UpscalerBody(Wire):
    """Which upscaler to load."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_name": "esrgan_x2.safetensors"}]})

    model_name: Text = Field(
        min_length=1, description="An ESRGAN file as `GET /models` names it.", examples=["esrgan_x2.safetensors"]
    )
    n_threads: Integer = Field(-1, ge=-1, le=256, description="CPU threads; -1: as many as physical cores.")
    tile_size: Integer = Field(128, ge=16, le=4096, description="Pixels of the input that are worked on at a time.")


class UpscalerShown(Answer):
    """An upscaler that is in the engine's memory now."""

    success: Literal[True]
    message: str
    model_name: str
    upscale_factor: int = Field(ge=1, description="How many times wider and higher it makes a picture.")
    warnings: list[str] = left_out("What was ignored.")


class NoBody(Wire):
    """May be left out."""


class UpscalerGone(Answer):
    success: Literal[True]
    message: str
    warnings: list[str] = left_out("What was ignored.")


class UpscaleBody(Wire):
    """Which picture to make larger, and how much."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image_base64": _RED_PIXEL, "upscale_factor": 2}]})

    image_base64: Text = Field("", description="The picture, as base64 or a data URL. This, or `job_id`.")
    job_id: Text = Field("", max_length=200, description="A finished job whose picture is meant instead.")
    image_index: Integer = Field(0, ge=0, le=100_000, description="Which of that job's pictures; the first is 0.")
    upscale_factor: Integer = Field(
        4, ge=1, le=16, description="How many times wider and higher. Left out: what the upscaler is made for."
    )
    tile_size: Integer = Field(
        128, ge=16, le=4096, description="Pixels worked on at a time. Left out: as the upscaler was loaded."
    )
    repeats: Integer = Field(1, ge=1, le=16, description="How often; each time by the whole factor.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")


@upscaling.post("/upscaler/load")
@documented({200: UpscalerShown}, errors=(500, 503), body=UpscalerBody)
@blocking
def load_upscaler() -> Response:
    """Load an upscaler beside the model, and choose it for the jobs to come. Answers when it is loaded."""
    body, warnings = validate(UpscalerBody, read_body())
    try:
        outcome = runtime().upscalers.load(body.model_name, body.n_threads, body.tile_size)
    except ModelNotFound as error:
        raise ModelNotThere(f"Internal error: {error.message}", **error.detail) from None
    except EngineDied as error:
        raise LoadFailed(error.message, **error.detail) from None
    shown: dict[str, Any] = {
        "success": True,
        "message": "Upscaler loaded successfully",
        "model_name": outcome.spec.model.name,
        "upscale_factor": outcome.factor,
    }
    return answer({**shown, **({"warnings": warnings} if warnings else {})})


@upscaling.post("/upscaler/unload")
@documented({200: UpscalerGone}, body=NoBody)
@blocking
def unload_upscaler() -> Response:
    """Free the upscaler. The same answer when there was none."""
    _, warnings = validate(NoBody, read_body())
    runtime().upscalers.unload()
    return answer({"success": True, "message": "Upscaler unloaded", **({"warnings": warnings} if warnings else {})})


@upscaling.post("/upscale")
@documented({202: Accepted}, errors=(404, 429, 503), body=UpscaleBody)
@transfer
def upscale() -> Response:
    """Make a picture larger with the loaded upscaler. Answers with a job id at once."""
    body, warnings = validate(UpscaleBody, read_body())
    sent = body.sent()
    asked = UpscaleRequest(**{name: sent[name] for name in sent.keys() & UpscaleRequest.model_fields.keys()})
    job, position = runtime().upscale_submission.submit(
        asked, title=body.title or None, origin="native", warnings=warnings
    )
    shown: dict[str, Any] = {"job_id": job.id, "status": "pending", "position": position}
    if job.warnings:
        shown["warnings"] = list(job.warnings)
    return answer(shown, 202)
