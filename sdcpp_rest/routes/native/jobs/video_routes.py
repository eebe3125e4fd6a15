"""Video jobs of the native API: the view that hands what was asked for to the submission service."""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import validate
from sdcpp_rest.routes.native.jobs.given_pictures import with_given_pictures
from sdcpp_rest.routes.native.jobs.submission_of_bodies import submit_video
from sdcpp_rest.routes.native.jobs.submitted import answer_accepted
from sdcpp_rest.routes.native.wire.generation_bodies import Accepted
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody

video = Blueprint("video", __name__)


@video.post("/txt2vid")
@needs("generate")
@documents({202: Accepted}, errors=(404, 429, 503), body=Txt2VidBody)
@transfer
@submitting
def txt2vid() -> Response:
    """Make a video from words, and from pictures where the model looks at them. Answers with a job id at once; the
    file comes later, in the order of the queue."""
    body, warnings = validate(Txt2VidBody, with_given_pictures(read_body()))
    return answer_accepted(*submit_video(body, warnings))
