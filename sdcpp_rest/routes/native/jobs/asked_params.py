"""Bodies of generation requests in the words of the submission: for the views that submit them, and for those that only
ask what they would take."""

from __future__ import annotations

from typing import Any

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.core.params import ImageParams, VideoParams
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest

_BASE64_ROLES = ("init_image", "end_image", "control_image")


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
    images = {role: image for role in _BASE64_ROLES if (image := getattr(body, f"{role}_base64"))}
    images |= {f"control_frames.{index}": image for index, image in enumerate(body.control_frames)}
    return asked, images


def to_upscale_request(body: UpscaleBody) -> UpscaleRequest:
    """What was asked for, without the upscaler."""
    sent = body.sent_fields()
    return UpscaleRequest(**{name: sent[name] for name in sent.keys() & UpscaleRequest.model_fields.keys()})


def named_upscaler(body: UpscaleBody) -> UpscalerSpec | None:
    """The upscaler that the request names; ``None``: the chosen one."""
    if "upscaler" not in body.model_fields_set:
        return None
    named = body.upscaler
    return runtime().models.upscalers.build_spec(named.model.name, named.n_threads, named.tile_size)
