"""What a job would take, over HTTP, before it is submitted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field, JsonValue

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire, optional, validate
from sdcpp_rest.routes.native.jobs.asked_params import named_upscaler, to_params, to_upscale_request, to_video_params
from sdcpp_rest.routes.native.jobs.given_pictures import with_given_pictures
from sdcpp_rest.routes.native.jobs.job_groups import read_group
from sdcpp_rest.routes.native.jobs.submission_of_bodies import find_named_model
from sdcpp_rest.routes.native.jobs.submitted import in_client_words
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, SamplingBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from sdcpp_rest.services.pictures.input_images import check_inputs
from sdcpp_rest.services.submission.job_estimates import Estimate

estimates = Blueprint("estimates", __name__)

Kind = Literal["txt2img", "img2img", "txt2vid", "upscale"]
Fits = Literal["yes", "tight", "no"]
_BODIES: dict[str, type[SamplingBody]] = {"txt2img": Txt2ImgBody, "img2img": Img2ImgBody, "txt2vid": Txt2VidBody}
_EXAMPLE: dict[str, JsonValue] = {
    "kind": "txt2img",
    "request": {"prompt": "a red circle", "width": 64, "height": 64, "steps": 12},
}


class EstimateBody(Wire):
    """A request that is not submitted: of which kind, and its body."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    kind: Kind = Field(description="Which endpoint it would be sent to.")
    request: dict[str, Any] = Field(description="The body of `POST /txt2img`, `/img2img`, `/txt2vid` or `/upscale`.")


class MemoryShown(Answer):
    """One of the memories that the job takes."""

    name: str = Field(description="A device as `GET /memory` names it, or `main memory`.")
    is_gpu: bool
    needed_bytes: int
    free_bytes: int = Field(description="Now, with what the loaded model holds: that makes room.")
    total_bytes: int
    fits: Fits


class JobAdviceShown(Answer):
    """A change that takes less, estimated in its turn."""

    text: str
    target: Literal["request", "load"] = Field(description="Whose fields these are; load: `POST /models/load`.")
    change: dict[str, Any] = Field(
        description="Fields with their new values; of a load, its whole body.", examples=[{"vae_tiling": True}]
    )
    needed_bytes: int = Field(description="Of the same memory, with the change.")
    saves_bytes: int
    fits: Fits = Field(description="Whether all memories would do then.")


class SecondsShown(Answer):
    """How long the parts of the job take; `null` for what has never been timed here."""

    total: float = Field(ge=0, description="Of all parts that are known.")
    load: float | None = Field(description="Of the model; 0 when it is there.")
    conditioning: float | None = Field(description="Text encoders, and reading of input pictures.")
    sampling: float | None
    hires: float | None
    decoding: float | None
    upscaling: float | None
    saving: float | None


class BasedOn(Answer):
    """What the time was learned from."""

    jobs: int = Field(ge=1)
    how: Literal["exact", "scaled"] = Field(description="exact: jobs of the same size and kind; scaled: others.")


class EstimateShown(Answer):
    """What a job would take, if it were submitted now."""

    fits: Fits | None = Field(description="`null` where a file of the model cannot be read.")
    needed_bytes: int | None = Field(description="Of the scarcest memory.")
    free_bytes: int | None
    total_bytes: int | None
    memories: list[MemoryShown] = Field(description="All that it needs, the scarcest one first.")
    advice: list[JobAdviceShown] = Field(description="What takes less, the best first; empty where it fits.")
    seconds_estimate: SecondsShown | None = Field(description="`null` until such a job was done here.")
    seconds_per_step: float | None
    based_on: BasedOn | None
    queue_seconds_before: float | None = Field(description="Until the engine is free for it; `null` if not known.")
    warnings: list[str] = optional("What the submission would warn of.")


@estimates.post("/estimate")
@needs("read")
@documents({200: EstimateShown}, errors=(404, 409), body=EstimateBody)
@transfer
def estimate_job() -> Response:
    """Tell whether a job would fit into memory, what would make it, and how long it would take. Checks the request as
    its own endpoint does, with the same refusals, and creates nothing."""
    body, warnings = validate(EstimateBody, read_body())
    given = with_given_pictures(body.request)
    try:
        found = _upscaling(given, warnings) if body.kind == "upscale" else _drawing(body.kind, given, warnings)
    except InvalidRequest as error:
        raise in_client_words(error) from None
    shown = _show(found)
    return answer({**shown, "warnings": warnings} if warnings else shown)


def _drawing(kind: Literal["txt2img", "img2img", "txt2vid"], given: dict[str, Any], warnings: list[str]) -> Estimate:
    """Adds what the submission would warn of to ``warnings``."""
    body, unknown = validate(_BODIES[kind], given)
    read_group(body.group)
    runtime().submission.engine_choice.check(body.device)
    warnings += unknown
    asked, images = to_video_params(body) if isinstance(body, Txt2VidBody) else to_params(_picture(body))
    submission = runtime().submission
    spec, told = find_named_model(body)
    asked, found = submission.expansion.word(
        kind, asked, styles=body.styles, resolves_tags=body.expand_prompt, spec=spec
    )
    warnings += [*told, *found]
    if kind == "txt2vid":
        video, made = submission.videos.check(asked, images=images, spec=spec)
        warnings += made.warnings
        inputs = check_inputs(made.images, (video.width, video.height), warn=warnings.append)
        return runtime().estimates.jobs.drawing(video, made.spec, inputs)
    checked = submission.pictures.check(kind, asked, images=images, spec=spec)
    warnings += checked.warnings
    params: ImageParams = checked.params
    resizes = params.auto_resize_ref_image
    size = (params.width, params.height)
    inputs = check_inputs(checked.images, size, resizes_references=resizes, warn=warnings.append)
    return runtime().estimates.jobs.drawing(params, checked.spec, inputs, resizes_references=resizes)


def _picture(body: SamplingBody) -> Txt2ImgBody:
    assert isinstance(body, Txt2ImgBody)
    return body


def _upscaling(given: dict[str, Any], warnings: list[str]) -> Estimate:
    body, unknown = validate(UpscaleBody, given)
    read_group(body.group)
    runtime().submission.engine_choice.check(body.device)
    params, picture, found = runtime().submission.upscales.check(to_upscale_request(body), named_upscaler(body))
    warnings += [*unknown, *found]
    return runtime().estimates.jobs.upscaling(params, picture.size)


def _show(found: Estimate) -> dict[str, Any]:
    fit = found.fit
    scarcest = fit.scarcest if fit is not None else None
    how = "exact" if found.is_exact else "scaled"
    return {
        "fits": scarcest.fits if scarcest else None,
        "needed_bytes": scarcest.needed_bytes if scarcest else None,
        "free_bytes": scarcest.free_bytes if scarcest else None,
        "total_bytes": scarcest.total_bytes if scarcest else None,
        "memories": [{**asdict(memory), "fits": memory.fits} for memory in fit.memories] if fit else [],
        "advice": [asdict(one) for one in fit.advice] if fit else [],
        "seconds_estimate": asdict(found.seconds) if found.seconds else None,
        "seconds_per_step": found.seconds_per_step,
        "based_on": {"jobs": found.jobs, "how": how} if found.jobs else None,
        "queue_seconds_before": found.queue_seconds,
    }
