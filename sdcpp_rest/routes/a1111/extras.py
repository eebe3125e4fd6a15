"""AUTOMATIC1111's work on finished pictures: making them larger, reading what their files say, describing them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response
from PIL import Image

from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.a1111 import infotext, painting
from sdcpp_rest.routes.a1111.answers import A1111Caption, A1111Extra, A1111ExtrasMade, A1111PngText
from sdcpp_rest.routes.a1111.choices import open_choices
from sdcpp_rest.routes.a1111.describing import DESCRIBERS, describe_picture
from sdcpp_rest.routes.a1111.errors import A1111Error, HTTPException, RuntimeFailure
from sdcpp_rest.routes.a1111.reading import caller, read
from sdcpp_rest.routes.a1111.wire import (
    A1111Extras,
    A1111ExtrasBatch,
    A1111ExtrasSingle,
    A1111InterrogateBody,
    A1111PictureBody,
)
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.services.pictures import picture_formats
from sdcpp_rest.services.submission.picture_enlarging import Enlargement, PictureEnlarging, blend

a1111_extras = Blueprint("a1111_extras", __name__)


@a1111_extras.post("/sdapi/v1/extra-single-image")
@needs("generate")
@documents({200: A1111Extra}, errors=(422, 429), body=A1111ExtrasSingle, refusals=(A1111Error,))
@blocking
@submitting
def a1111_extra_single() -> Response:
    """Make a picture larger. Upscalers that are models wait their turn in the queue."""
    body = read(A1111ExtrasSingle)
    file, told = _process(runtime().submission.enlarging, open_choices().list_options(), body, body.image)
    return painting.pictures_answer([file], "image", {"html_info": told}, is_list=False)


@a1111_extras.post("/sdapi/v1/extra-batch-images")
@needs("generate")
@documents({200: A1111ExtrasMade}, errors=(422, 429), body=A1111ExtrasBatch, refusals=(A1111Error,))
@blocking
@submitting
def a1111_extra_batch() -> Response:
    """Make pictures larger, one after the other."""
    body = read(A1111ExtrasBatch)
    enlarging, options = runtime().submission.enlarging, open_choices().list_options()
    painting.refuse_addresses(*(one.data for one in body.imageList))
    made = [_process(enlarging, options, body, one.data) for one in body.imageList]
    return painting.pictures_answer([file for file, _ in made], "images", {"html_info": made[-1][1] if made else ""})


@a1111_extras.post("/sdapi/v1/png-info")
@needs("read")
@documents({200: A1111PngText}, errors=(422,), body=A1111PictureBody, refusals=(A1111Error,))
@blocking
def a1111_png_text() -> Response:
    """Read what a picture's file says about how it was made."""
    body = read(A1111PictureBody)
    with painting.at_work():
        texts = picture_formats.texts_of(painting.open_input(body.image))
    info = texts.pop(picture_formats.KEY, "")
    return answer({"info": info, "items": texts, "parameters": infotext.parse(info)})


@a1111_extras.post("/sdapi/v1/interrogate")
@needs("generate")
@documents({200: A1111Caption}, errors=(404, 422, 501, 502, 504), body=A1111InterrogateBody, refusals=(A1111Error,))
@blocking
def a1111_interrogate() -> Response:
    """Describe a picture in words. Answers 501 where no model for it is set up."""
    body = read(A1111InterrogateBody)
    if not body.image:
        raise HTTPException(404, "Image not found")
    if body.model not in DESCRIBERS:
        raise HTTPException(404, "Model not found")
    painting.refuse_addresses(body.image)
    describer, options = runtime().language.interrogation, open_choices().list_options()
    return answer({"caption": describe_picture(describer, body.model, body.image, options)})


def _process(
    enlarging: PictureEnlarging, options: Mapping[str, Any], body: A1111Extras, text: str
) -> tuple[bytes, str]:
    """A picture's file after the upscalers, and what is told about it."""
    if not text:
        raise HTTPException(500, "Invalid encoded image")
    with painting.at_work():
        opened = painting.open_input(text)
        texts = picture_formats.texts_of(opened)
        picture = painting.load_pixels(opened)
    wanted, facts = _enlargement(body)
    first = _enlarge(enlarging, picture, body.upscaler_1, wanted)
    if first is not None:
        facts["Postprocess upscaler"] = body.upscaler_1
        picture = first
        share = body.extras_upscaler_2_visibility
        second = _enlarge(enlarging, painting.load_pixels(opened), body.upscaler_2, wanted) if share > 0 else None
        if second is not None:
            facts["Postprocess upscaler 2"] = body.upscaler_2
            picture = blend(picture, second, share)
    else:
        facts = {}
    said = infotext.write("", "", facts)
    if said:
        before = texts.get(picture_formats.KEY, "")
        texts = {**texts, "postprocessing": said, picture_formats.KEY: f"{before}, {said}" if before else said}
    with painting.at_work():
        kept = picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGB")
        form, quality = str(options["samples_format"]), int(options["jpeg_quality"])
        file = picture_formats.encode(kept, form, quality, texts if options["enable_pnginfo"] else {})
    shown = texts.get(picture_formats.KEY, "")
    return file, "".join(f"<p>{html.escape(line)}</p>" for line in shown.split("\n")) if shown else "<p></p>"


def _enlargement(body: A1111Extras) -> tuple[Enlargement, dict[str, Any]]:
    if body.resize_mode == 0:
        return Enlargement(factor=body.upscaling_resize), {"Postprocess upscale by": body.upscaling_resize}
    width, height = body.upscaling_resize_w, body.upscaling_resize_h
    facts: dict[str, Any] = {"Postprocess upscale to": f"{width}x{height}"}
    if body.upscaling_crop:
        facts["Postprocess crop to"] = f"{width}x{height}"
    return Enlargement(width=width, height=height, crops=body.upscaling_crop), facts


def _enlarge(enlarging: PictureEnlarging, picture: Image.Image, name: str, wanted: Enlargement) -> Image.Image | None:
    try:
        upscaler = enlarging.upscaler(name)
    except (ModelNotFound, InvalidRequest):
        raise RuntimeFailure(f"could not find upscaler named {name[:100]}") from None
    if upscaler is None:
        return None
    return enlarging.enlarge(picture, upscaler, wanted, origin="a1111", owner=caller())
