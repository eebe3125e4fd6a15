"""Picture jobs of the native API: the wire models, and the views that hand them to the submission service.

Only types and fixed ranges are checked here; what depends on the model, the configuration or the files is the
submission's business, and so are all defaults.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field, JsonValue

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, NotSupported
from sdcpp_rest.routes.http import (
    AtMost,
    Flag,
    Integer,
    Number,
    Text,
    Wire,
    answer,
    left_out,
    read_body,
    runtime,
    transfer,
    validate,
)
from sdcpp_rest.routes.openapi import Answer, documented

generation = Blueprint("generation", __name__)


_EXAMPLE: dict[str, JsonValue] = {
    "prompt": "a red circle on a blue background",
    "width": 64,
    "height": 64,
    "steps": 12,
    "seed": 42,
}
_RED_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"


class Txt2ImgBody(Wire):
    """What to draw. The defaults are the API's; a model's own (its sidecar file) replace them where it has some."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    prompt: Annotated[Text, AtMost("prompt_characters")] = Field(
        description="What the picture shows. `<lora:name:weight>` applies a LoRA, `(word:1.2)` weighs a word.",
        examples=["a red circle on a blue background"],
    )
    negative_prompt: Annotated[Text, AtMost("prompt_characters")] = Field("", description="What it must not show.")
    width: Annotated[Integer, AtMost("side")] = Field(512, ge=8, description="In pixels.", examples=[64])
    height: Annotated[Integer, AtMost("side")] = Field(512, ge=8, description="In pixels.", examples=[64])
    steps: Annotated[Integer, AtMost("steps")] = Field(20, ge=1, description="Sampling steps.", examples=[12])
    cfg_scale: Number = Field(7.0, ge=0, le=1000, description="How closely the prompt is followed.", examples=[2.5])
    distilled_guidance: Number = Field(3.5, ge=0, le=1000, description="Guidance of distilled models (Flux).")
    eta: Number = Field(0.0, ge=0, le=1000, description="Noise that ancestral samplers add.")
    shifted_timestep: Integer = Field(0, ge=0, le=1000, description="For NitroFusion models: their shifted timestep.")
    seed: Integer = Field(-1, ge=-1, le=2**63 - 1, description="Of the first picture, plus k of picture k; -1: drawn.")
    sampler: Text = Field("euler_a", description="One of the samplers of `GET /options`.", examples=["euler"])
    scheduler: Text = Field("discrete", description="One of the schedulers of `GET /options`.", examples=["discrete"])
    batch_count: Annotated[Integer, AtMost("batch")] = Field(1, ge=1, description="How many pictures.")
    clip_skip: Integer = Field(-1, ge=-1, le=12, description="CLIP layers left out at the end; -1: the model's own.")
    slg_scale: Number = Field(0.0, ge=0, le=1000, description="Skip-layer guidance of DiT models; 0: none.")
    skip_layers: list[Integer] = Field([7, 8, 9], max_length=256, description="Layers that it skips; each 0 to 1023.")
    slg_start: Number = Field(
        0.01, ge=0, le=1, description="Where skip-layer guidance begins, as a share of the steps."
    )
    slg_end: Number = Field(0.2, ge=0, le=1, description="Where skip-layer guidance ends, as a share of the steps.")
    custom_sigmas: list[Number] = Field([], max_length=10001, description="Noise levels instead of the scheduler's.")
    ref_images: list[Text] = Field([], max_length=16, description="Reference pictures, each base64 or a data URL.")
    auto_resize_ref_image: Flag = Field(True, description="Resize the reference pictures to what the model likes.")
    increase_ref_index: Flag = Field(False, description="Number the reference pictures for the model.")
    control_image_base64: Text = Field("", description="ControlNet's picture. Not available in this version.")
    control_strength: Number = Field(0.9, ge=0, le=1, description="How much ControlNet has to say.")
    vae_tiling: Flag = Field(False, description="Decode in tiles: less memory for large pictures.")
    vae_tile_size_x: Annotated[Integer, AtMost("side")] = Field(
        0, ge=0, description="Width of a tile in latent pixels; 0: automatic."
    )
    vae_tile_size_y: Annotated[Integer, AtMost("side")] = Field(
        0, ge=0, description="Height of a tile in latent pixels; 0: automatic."
    )
    vae_tile_overlap: Number = Field(0.5, ge=0, le=1, description="How much tiles overlap, as a share of a tile.")
    easycache: Flag = Field(False, description="Reuse results of earlier steps where little changes: faster, coarser.")
    easycache_threshold: Number = Field(0.2, ge=0, le=1000, description="How much may change for a step to be reused.")
    easycache_start: Number = Field(0.15, ge=0, le=1, description="Where reuse may begin, as a share of the steps.")
    easycache_end: Number = Field(0.95, ge=0, le=1, description="Where reuse ends, as a share of the steps.")
    pm_id_images: list[Text] = Field([], max_length=16, description="PhotoMaker's faces. Not available yet.")
    pm_id_embed_path: Text = Field("", description="PhotoMaker's embedding. Not available in this version.")
    pm_style_strength: Number = Field(20.0, ge=0, description="PhotoMaker's style strength.")
    upscale: Flag = Field(False, description="Upscale when drawn. Not available in this version.")
    upscale_repeats: Integer = Field(1, ge=1, le=16, description="How often to upscale.")
    upscale_auto_unload: Flag = Field(True, description="Unload the upscaler afterwards.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")


class Img2ImgBody(Txt2ImgBody):
    """What to draw, and the picture to start from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_EXAMPLE, "init_image_base64": _RED_PIXEL, "strength": 0.75}]}
    )

    init_image_base64: Text = Field(
        min_length=1, description="The picture to start from, as base64 or a data URL; resized to width x height."
    )
    strength: Number = Field(0.75, ge=0, le=1, description="How much is drawn anew: 0 keeps the picture, 1 ignores it.")
    img_cfg_scale: Number = Field(
        -1.0, le=1000, description="Guidance by the picture (edit models); negative: as cfg_scale."
    )
    mask_image_base64: Text = Field("", description="What to draw anew: white is, black is kept. Empty: everything.")


class Accepted(Answer):
    """A job in the queue. Its picture is not there yet: look at `GET /queue/{job_id}`."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    status: Literal["pending"]
    position: int = Field(ge=1, description="Place among the jobs that wait.")
    warnings: list[str] = left_out("What was ignored or corrected, and what will not look right.")


_NOT_YET = {
    "control_image_base64": "ControlNet is not available in this version yet",
    "pm_id_images": "PhotoMaker is not available in this version yet",
    "pm_id_embed_path": "PhotoMaker is not available in this version yet",
    "upscale": "Upscaling after generation is not available in this version yet",
}


@generation.post("/txt2img")
@documented({202: Accepted}, errors=(429, 501, 503), body=Txt2ImgBody)
def txt2img() -> Response:
    """Draw pictures from words. Answers with a job id at once; the pictures come later, in the order of the queue."""
    body, warnings = validate(Txt2ImgBody, read_body())
    return _accepted("txt2img", body, warnings)


@generation.post("/img2img")
@documented({202: Accepted}, errors=(429, 501, 503), body=Img2ImgBody)
@transfer
def img2img() -> Response:
    """Draw pictures from a picture and words. The model must have been loaded with ``vae_decode_only`` off: this needs
    the VAE's encoder."""
    body, warnings = validate(Img2ImgBody, read_body())
    return _accepted("img2img", body, warnings)


def _accepted(kind: Literal["txt2img", "img2img"], body: Txt2ImgBody, warnings: list[str]) -> Response:
    asked, images = to_params(body)
    try:
        job, position = runtime().submission.picture(
            kind, asked, images=images, title=body.title or None, origin="native", warnings=warnings
        )
    except InvalidRequest as error:
        role = error.detail.get("field")
        if role not in ("init_image", "mask_image"):
            raise
        # The house speaks of roles; the client knows the names of its own fields.
        field = f"{role}_base64"
        raise InvalidRequest(error.message.replace(role, field, 1), **{**error.detail, "field": field}) from None
    shown: dict[str, Any] = {"job_id": job.id, "status": "pending", "position": position}
    if job.warnings:
        shown["warnings"] = list(job.warnings)
    return answer(shown, 202)


def to_params(body: Txt2ImgBody) -> tuple[dict[str, Any], dict[str, str]]:
    """What was asked in the house's words, and the images by role. Raises NotSupported for what is not built yet."""
    sent = body.sent()
    for field, sentence in _NOT_YET.items():
        if sent.get(field):
            raise NotSupported(sentence, field=field)
    images = {f"ref_images.{index}": image for index, image in enumerate(body.ref_images)}
    if isinstance(body, Img2ImgBody):
        images["init_image"] = body.init_image_base64
        if body.mask_image_base64:
            images["mask_image"] = body.mask_image_base64
        if body.img_cfg_scale < 0:
            # The API's way of saying "the same as cfg_scale", which is what leaving it out means.
            sent.pop("img_cfg_scale", None)
    return {name: value for name, value in sent.items() if name in ImageParams.model_fields}, images
