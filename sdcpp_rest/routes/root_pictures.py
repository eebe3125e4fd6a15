"""Picture jobs of the native API: the views that hand what was asked for to the submission service, in native
words, and bring its refusals back in the client's."""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.openapi import Error, documents
from sdcpp_rest.routes.http.pools import blocking_when, transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.wire_models import validate
from sdcpp_rest.routes.native.jobs.given_pictures import with_given_pictures
from sdcpp_rest.routes.native.jobs.submission_of_bodies import submit_picture
from sdcpp_rest.routes.native.jobs.submitted import answer_accepted
from sdcpp_rest.routes.native.wire.generation_bodies import Accepted, Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.sdcn.errors import SdcnError
from sdcpp_rest.routes.sdcn.views import sdcn_picture
from sdcpp_rest.routes.sdcn.wire import SdcnPictures, is_sdcn, may_be_sdcn

generation = Blueprint("generation", __name__)
ROOT_PICTURES = Dialect("pictures at the root", blueprints=(generation,))

_REFUSALS = (Error, SdcnError)


@generation.post("/txt2img")
@documents({202: Accepted, 200: SdcnPictures}, errors=(409, 429, 503), body=Txt2ImgBody, refusals=_REFUSALS)
@blocking_when(may_be_sdcn)
@submitting
def txt2img() -> Response:
    """Draw pictures from words. Answers with a job id at once; the pictures come later, in the order of the queue. A
    body that names a `model` is SDCN's, and answered with the picture."""
    sent = read_body()
    if is_sdcn(sent):
        return sdcn_picture("txt2img", sent)
    body, warnings = validate(Txt2ImgBody, with_given_pictures(sent))
    return answer_accepted(*submit_picture("txt2img", body, warnings))


@generation.post("/img2img")
@documents({202: Accepted, 200: SdcnPictures}, errors=(409, 429, 503), body=Img2ImgBody, refusals=_REFUSALS)
@transfer
@blocking_when(may_be_sdcn)
@submitting
def img2img() -> Response:
    """Draw pictures from a picture and words. A model that was loaded with ``vae_decode_only`` is loaded again with the
    VAE's encoder for it. A body that names a `model` is SDCN's, and answered with the picture."""
    sent = read_body()
    if is_sdcn(sent):
        return sdcn_picture("img2img", sent)
    body, warnings = validate(Img2ImgBody, with_given_pictures(sent))
    return _submit("img2img", body, warnings)


def _submit(kind: Literal["txt2img", "img2img"], body: Txt2ImgBody, warnings: list[str]) -> Response:
    asked, images = to_params(body)
    try:
        asked, found = runtime().submission.expansion.word(
            kind, asked, styles=body.styles, resolves_tags=body.expand_prompt
        )
        job, position = runtime().submission.pictures.picture(
            kind, asked, images=images, title=body.title or None, origin="native", warnings=[*warnings, *found]
        )
    except InvalidRequest as error:
        raise in_client_words(error) from None
    return answer_accepted(job, position)


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
    return answer_accepted(*submit_picture("img2img", body, warnings))
