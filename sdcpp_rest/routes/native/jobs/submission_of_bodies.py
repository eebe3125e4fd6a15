"""Hands checked native bodies to the submission services, and brings their refusals back in the client's words.

What the views that take such bodies share with the one that makes a job again. Knows no route.
"""

from __future__ import annotations

from typing import Any, Literal

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, VideoParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.native.jobs.job_groups import read_group
from sdcpp_rest.routes.native.jobs.submitted import in_client_words
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest

_VIDEO_ROLES = ("init_image", "end_image", "control_image")


def submit_picture(
    kind: Literal["txt2img", "img2img"],
    body: Txt2ImgBody,
    warnings: list[str],
    *,
    spec: LoadSpec | None = None,
    upscaler: UpscalerSpec | None = None,
) -> tuple[Job, int]:
    """Submit a picture; ``spec``, ``upscaler``: what it binds to in place of what is selected."""
    asked, images = to_params(body)
    try:
        asked, found = runtime().submission.expansion.word(
            kind, asked, styles=body.styles, resolves_tags=body.expand_prompt
        )
        return runtime().submission.pictures.picture(
            kind,
            asked,
            images=images,
            title=body.title or None,
            warnings=[*warnings, *found],
            spec=spec,
            upscaler=upscaler,
            group=read_group(body.group),
        )
    except InvalidRequest as error:
        raise in_client_words(error) from None


def submit_video(body: Txt2VidBody, warnings: list[str], *, spec: LoadSpec | None = None) -> tuple[Job, int]:
    asked, images = to_video_params(body)
    try:
        asked, found = runtime().submission.expansion.word(
            "txt2vid", asked, styles=body.styles, resolves_tags=body.expand_prompt
        )
        return runtime().submission.videos.video(
            asked,
            images=images,
            title=body.title or None,
            warnings=[*warnings, *found],
            spec=spec,
            group=read_group(body.group),
        )
    except InvalidRequest as error:
        raise in_client_words(error) from None


def submit_upscaling(body: UpscaleBody, warnings: list[str]) -> tuple[Job, int]:
    sent = body.sent_fields()
    asked = UpscaleRequest(**{name: sent[name] for name in sent.keys() & UpscaleRequest.model_fields.keys()})
    spec = _upscaler_of(body)
    return runtime().submission.upscales.submit(
        asked, spec=spec, title=body.title or None, warnings=warnings, group=read_group(body.group)
    )


def to_params(body: Txt2ImgBody) -> tuple[dict[str, Any], dict[str, str]]:
    """What was asked in native words, and the images by role."""
    sent = body.sent_fields()
    images = {f"ref_images.{index}": image for index, image in enumerate(body.ref_images)}
    images |= {f"pm_id_images.{index}": image for index, image in enumerate(body.pm_id_images)}
    if body.control_image_base64:
        images["control_image"] = body.control_image_base64
    if isinstance(body, Img2ImgBody):
        images["init_image"] = body.init_image_base64
        if body.mask_image_base64:
            images["mask_image"] = body.mask_image_base64
    if "img_cfg_scale" in sent and body.img_cfg_scale < 0:
        sent["img_cfg_scale"] = None  # the API's way of saying "the same as cfg_scale"
    asked = {name: value for name, value in sent.items() if name in ImageParams.model_fields}
    if body.pm_id_embed_path:
        asked["pm_id_embed_path"] = body.pm_id_embed_path
    return asked, images


def to_video_params(body: Txt2VidBody) -> tuple[dict[str, Any], dict[str, str]]:
    """What was asked in native words, and the images by role."""
    asked = {name: value for name, value in body.sent_fields().items() if name in VideoParams.model_fields}
    images = {role: image for role in _VIDEO_ROLES if (image := getattr(body, f"{role}_base64"))}
    images |= {f"control_frames.{index}": image for index, image in enumerate(body.control_frames)}
    return asked, images


def _upscaler_of(body: UpscaleBody) -> UpscalerSpec | None:
    """The upscaler that the request names; ``None``: the chosen one."""
    if "upscaler" not in body.model_fields_set:
        return None
    named = body.upscaler
    return runtime().models.upscalers.build_spec(named.model.name, named.n_threads, named.tile_size)
