"""Upscaling over HTTP: which upscaler the engine holds, and jobs that make pictures larger."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.errors import EngineDied, LoadFailed, ModelNotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking, transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire, optional, validate
from sdcpp_rest.routes.native.jobs.given_pictures import with_given_pictures
from sdcpp_rest.routes.native.jobs.submission_of_bodies import submit_upscaling
from sdcpp_rest.routes.native.jobs.submitted import answer_accepted
from sdcpp_rest.routes.native.wire.generation_bodies import Accepted
from sdcpp_rest.routes.native.wire.model_wire import ModelNotThere
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody, UpscalerBody

upscaling = Blueprint("upscaling", __name__)


class UpscalerShown(Answer):
    """An upscaler that is in the engine's memory now."""

    success: Literal[True]
    message: str
    model_name: str
    upscale_factor: int = Field(ge=1, description="How many times wider and higher it makes a picture.")
    warnings: list[str] = optional("What was ignored.")


class NoBody(Wire):
    """May be left out."""


class UpscalerGone(Answer):
    success: Literal[True]
    message: str
    warnings: list[str] = optional("What was ignored.")


@upscaling.post("/upscaler/load")
@needs("generate")
@documents({200: UpscalerShown}, errors=(500, 503, 507), body=UpscalerBody)
@blocking
def load_upscaler() -> Response:
    """Load an upscaler beside the model, and choose it for the jobs to come. Answers when it is loaded."""
    body, warnings = validate(UpscalerBody, read_body())
    try:
        outcome = runtime().models.upscalers.load(body.model_name, body.n_threads, body.tile_size)
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
@needs("generate")
@documents({200: UpscalerGone}, body=NoBody)
@blocking
def unload_upscaler() -> Response:
    """Free the upscaler. The same answer when there was none."""
    _, warnings = validate(NoBody, read_body())
    runtime().models.upscalers.unload()
    return answer({"success": True, "message": "Upscaler unloaded", **({"warnings": warnings} if warnings else {})})


@upscaling.post("/upscale")
@needs("generate")
@documents({202: Accepted}, errors=(404, 429, 503), body=UpscaleBody)
@transfer
@submitting
def upscale() -> Response:
    """Make a picture larger with the loaded upscaler. Answers with a job id at once."""
    body, warnings = validate(UpscaleBody, with_given_pictures(read_body()))
    return answer_accepted(*submit_upscaling(body, warnings))
