"""Picture jobs of the native API: the views that hand what was asked for to the submission service, in native
words, and bring its refusals back in the client's."""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.openapi import Error, documents
from sdcpp_rest.routes.http.pools import blocking_when, transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
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


def _may_wait(raw: bytes) -> bool:
    """Whether a body may be SDCN's, or names a model, which may have to be looked for in files."""
    return b'"model_name"' in raw or may_be_sdcn(raw)


@generation.post("/txt2img")
@needs("generate")
@documents({202: Accepted, 200: SdcnPictures}, errors=(404, 409, 429, 503), body=Txt2ImgBody, refusals=_REFUSALS)
@blocking_when(_may_wait)
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
@needs("generate")
@documents({202: Accepted, 200: SdcnPictures}, errors=(404, 409, 429, 503), body=Img2ImgBody, refusals=_REFUSALS)
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
    return answer_accepted(*submit_picture("img2img", body, warnings))
