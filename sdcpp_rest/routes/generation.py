"""Picture jobs of the native API: the wire models, and the views that hand them to the submission service.

Only types and fixed ranges are checked here; what depends on the model, the configuration or the files is the
submission's business, and so are all defaults.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import NotSupported
from sdcpp_rest.routes.http import AtMost, Flag, Integer, Number, Text, Wire, answer, read_body, runtime, validate

generation = Blueprint("generation", __name__)


class Txt2ImgBody(Wire):
    """Body of ``POST /txt2img``. Sizes in pixels; the defaults are the API's, a model's own may replace them."""

    prompt: Annotated[Text, AtMost("prompt_characters")]
    negative_prompt: Annotated[Text, AtMost("prompt_characters")] = ""
    width: Annotated[Integer, AtMost("side")] = Field(512, ge=8)
    height: Annotated[Integer, AtMost("side")] = Field(512, ge=8)
    steps: Annotated[Integer, AtMost("steps")] = Field(20, ge=1)
    cfg_scale: Number = Field(7.0)
    distilled_guidance: Number = Field(3.5)
    eta: Number = Field(0.0)
    shifted_timestep: Integer = Field(0, ge=0, le=1000)
    seed: Integer = Field(-1, ge=-1, le=2**63 - 1)
    sampler: Text = "euler_a"
    scheduler: Text = "discrete"
    batch_count: Annotated[Integer, AtMost("batch")] = Field(1, ge=1)
    clip_skip: Integer = Field(-1, ge=-1, le=99)
    slg_scale: Number = Field(0.0)
    skip_layers: list[Integer] = Field([7, 8, 9], max_length=1000)
    slg_start: Number = Field(0.01, ge=0, le=1)
    slg_end: Number = Field(0.2, ge=0, le=1)
    custom_sigmas: list[Number] = Field([], max_length=10001)
    ref_images: list[Text] = Field([], max_length=16)
    auto_resize_ref_image: Flag = True
    increase_ref_index: Flag = False
    control_image_base64: Text = ""
    control_strength: Number = Field(0.9, ge=0, le=1)
    vae_tiling: Flag = False
    vae_tile_size_x: Integer = Field(0, ge=0, le=65536)
    vae_tile_size_y: Integer = Field(0, ge=0, le=65536)
    vae_tile_overlap: Number = Field(0.5, ge=0, le=1)
    easycache: Flag = False
    easycache_threshold: Number = Field(0.2, ge=0)
    easycache_start: Number = Field(0.15, ge=0, le=1)
    easycache_end: Number = Field(0.95, ge=0, le=1)
    pm_id_images: list[Text] = Field([], max_length=16)
    pm_id_embed_path: Text = ""
    pm_style_strength: Number = Field(20.0, ge=0)
    upscale: Flag = False
    upscale_repeats: Integer = Field(1, ge=1, le=16)
    upscale_auto_unload: Flag = True
    title: Text = Field("", max_length=200)


class Img2ImgBody(Txt2ImgBody):
    """Body of ``POST /img2img``: what `Txt2ImgBody` has, and the picture to start from."""

    init_image_base64: Text = Field(min_length=1)
    strength: Number = Field(0.75, ge=0, le=1)
    img_cfg_scale: Number = Field(-1.0)
    mask_image_base64: Text = ""


_NOT_YET = {
    "control_image_base64": "ControlNet is not available in this version yet",
    "pm_id_images": "PhotoMaker is not available in this version yet",
    "pm_id_embed_path": "PhotoMaker is not available in this version yet",
    "upscale": "Upscaling after generation is not available in this version yet",
}


@generation.post("/txt2img")
def txt2img() -> Response:
    body, warnings = validate(Txt2ImgBody, read_body())
    return _accepted("txt2img", body, warnings)


@generation.post("/img2img")
def img2img() -> Response:
    body, warnings = validate(Img2ImgBody, read_body())
    return _accepted("img2img", body, warnings)


def _accepted(kind: Literal["txt2img", "img2img"], body: Txt2ImgBody, warnings: list[str]) -> Response:
    asked, images = to_params(body)
    job, position = runtime().submission.picture(
        kind, asked, images=images, title=body.title or None, origin="native", warnings=warnings
    )
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
