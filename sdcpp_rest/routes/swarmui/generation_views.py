"""SwarmUI's calls that draw and wait: GenerateText2Image, and the list of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response

from sdcpp_rest.errors import EngineDied, GenerationFailed
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.calls import arguments, open_view, session, swarm_options
from sdcpp_rest.routes.swarmui.errors import SwarmError
from sdcpp_rest.routes.swarmui.opening import list_parameters, open_calls_here
from sdcpp_rest.routes.swarmui.picture_calls import INTERRUPTED, PictureCall, PictureCalls
from sdcpp_rest.routes.swarmui.user_data import read_param_edits
from sdcpp_rest.routes.swarmui.wire import SwarmCall, SwarmObject, SwarmPictures
from sdcpp_rest.services.submission.picture_rounds import Round

swarmui_generation = Blueprint("swarmui_generation", __name__)
swarmui_generation.before_request(open_view)


@swarmui_generation.post("/API/GenerateText2Image")
@needs("generate")
@documents({200: (SwarmPictures, SwarmError)}, body=SwarmCall, refusals=(SwarmError,))
@blocking
@submitting
def generate_text2image() -> Response:
    """Draw pictures and answer with their paths, as SwarmUI does. Waits its turn in the queue."""
    calls = open_calls_here()
    call = calls.read(arguments())
    with calls.open(call, session()) as opened:
        calls.submit(call, opened)
        images = take_images(calls, call, opened)
    return answer({"images": images} if images else {"error": INTERRUPTED})


@swarmui_generation.post("/API/ListT2IParams")
@needs("read")
@documents({200: (SwarmObject, SwarmError)}, body=SwarmCall, refusals=(SwarmError,))
@blocking
def list_t2i_params() -> Response:
    """List the parameters of pictures, with what can be chosen from, as SwarmUI's page needs them."""
    running = runtime()
    return answer(list_parameters(running.models, running.status, read_param_edits(swarm_options())))


def take_images(calls: PictureCalls, call: PictureCall, opened: Round) -> Sequence[str]:
    """Wait for the pictures of a request; those that were finished, as they are answered. Raises GenerationFailed,
    EngineDied at the first that failed, unless the request goes on then."""
    images = []
    failure: GenerationFailed | EngineDied | None = None
    for index in range(len(opened.jobs)):
        try:
            taken = calls.take(opened, index)
        except (GenerationFailed, EngineDied) as error:
            if not call.goes_on:
                raise
            failure = error
            continue
        if taken.job.status == "completed":
            images.append(calls.answer(call, taken.job).image)
    if failure is not None and not images:
        raise failure
    return images
