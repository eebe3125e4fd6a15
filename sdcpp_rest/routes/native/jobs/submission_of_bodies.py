"""Hands checked native bodies to the submission services, and brings their refusals back in the client's words.

What the views that take such bodies share with the one that makes a job again. Knows no route.
"""

from __future__ import annotations

from typing import Literal

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.native.jobs.asked_params import named_upscaler, to_params, to_upscale_request, to_video_params
from sdcpp_rest.routes.native.jobs.job_groups import read_group
from sdcpp_rest.routes.native.jobs.submitted import in_client_words
from sdcpp_rest.routes.native.wire.generation_bodies import SamplingBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody


def submit_picture(
    kind: Literal["txt2img", "img2img"],
    body: Txt2ImgBody,
    warnings: list[str],
    *,
    spec: LoadSpec | None = None,
    upscaler: UpscalerSpec | None = None,
) -> tuple[Job, int]:
    """Submit a picture; ``spec``, ``upscaler``: what it binds to in place of what is selected. A model that the body
    names comes before them."""
    asked, images = to_params(body)
    named, told = find_named_model(body)
    spec = named or spec
    try:
        asked, found = runtime().submission.expansion.word(
            kind, asked, styles=body.styles, resolves_tags=body.expand_prompt, spec=spec
        )
        return runtime().submission.pictures.picture(
            kind,
            asked,
            images=images,
            title=body.title or None,
            warnings=[*warnings, *told, *found],
            spec=spec,
            upscaler=upscaler,
            group=read_group(body.group),
            device=runtime().submission.engine_choice.check(body.device),
        )
    except InvalidRequest as error:
        raise in_client_words(error) from None


def submit_video(body: Txt2VidBody, warnings: list[str], *, spec: LoadSpec | None = None) -> tuple[Job, int]:
    asked, images = to_video_params(body)
    named, told = find_named_model(body)
    spec = named or spec
    try:
        asked, found = runtime().submission.expansion.word(
            "txt2vid", asked, styles=body.styles, resolves_tags=body.expand_prompt, spec=spec
        )
        return runtime().submission.videos.video(
            asked,
            images=images,
            title=body.title or None,
            warnings=[*warnings, *told, *found],
            spec=spec,
            group=read_group(body.group),
            device=runtime().submission.engine_choice.check(body.device),
        )
    except InvalidRequest as error:
        raise in_client_words(error) from None


def find_named_model(body: SamplingBody) -> tuple[LoadSpec | None, list[str]]:
    """The model that the body names, if it names one, and what is to be told of it. Raises ModelNotFound with the
    nearest names, InvalidRequest where it cannot be loaded."""
    if not body.model_name:
        return None, []
    try:
        return runtime().submission.model_choice.spec_with_parts(body.model_name, runtime().models.detection)
    except ModelNotFound as error:
        raise ModelNotFound(error.message, **{**error.detail, "field": "model_name"}) from None


def submit_upscaling(body: UpscaleBody, warnings: list[str]) -> tuple[Job, int]:
    return runtime().submission.upscales.submit(
        to_upscale_request(body),
        spec=named_upscaler(body),
        title=body.title or None,
        warnings=warnings,
        group=read_group(body.group),
        device=runtime().submission.engine_choice.check(body.device),
    )
