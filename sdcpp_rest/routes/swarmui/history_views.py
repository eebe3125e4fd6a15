"""SwarmUI's image history: the files themselves, their list, stars, deleting, and pictures that clients bring along."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from flask import Blueprint, Response, request, send_file

from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import ANY_FILE, documents
from sdcpp_rest.routes.http.pools import blocking, drawing, transfer
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.calls import arguments, open_view, session
from sdcpp_rest.routes.swarmui.errors import SwarmError, file_not_found
from sdcpp_rest.routes.swarmui.history import list_history
from sdcpp_rest.routes.swarmui.history_paths import read_path, split_star
from sdcpp_rest.routes.swarmui.opening import open_calls_here
from sdcpp_rest.routes.swarmui.picture_files import read_as
from sdcpp_rest.routes.swarmui.wire import (
    SwarmCall,
    SwarmKeptPictures,
    SwarmObject,
    SwarmPicturePath,
    SwarmStarred,
    SwarmSuccess,
)
from sdcpp_rest.services.pictures.thumbnails import ENDINGS, thumbnail

swarmui_history = Blueprint("swarmui_history", __name__)
swarmui_history.before_request(open_view)

_REFUSALS = (SwarmError,)
_KEPT_SECONDS = 3600


@swarmui_history.get("/View/<path:path>")
@needs("read")
@documents({200: ANY_FILE, 206: ANY_FILE, 304: ()}, errors=(400, 404), path=SwarmPicturePath, refusals=_REFUSALS)
@transfer
def view_picture(path: str) -> Response:
    """Get a picture of the history, or with `preview=true` a small JPEG of it, as SwarmUI's page does."""
    return _send(path)


@swarmui_history.get("/Output/<path:path>")
@needs("read")
@documents({200: ANY_FILE, 206: ANY_FILE, 304: ()}, errors=(400, 404), path=SwarmPicturePath, refusals=_REFUSALS)
@transfer
def output_picture(path: str) -> Response:
    """Get a picture of the history by the path of SwarmUI's earlier versions."""
    return _send(path)


@swarmui_history.post("/API/ListImages")
@needs("read")
@documents({200: (SwarmObject, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def list_images() -> Response:
    """List the image history, as SwarmUI's page does."""
    sent = arguments()
    folder = read_path(sent.text("path"))
    shown = list_history(
        runtime().jobs.history,
        folder,
        sent.integer("depth"),
        sent.text("sortBy", "Name"),
        sent.switch("sortReverse", False),
        runtime().version,
    )
    return answer(shown)


@swarmui_history.post("/API/ToggleImageStarred")
@needs("generate")
@documents({200: (SwarmStarred, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def toggle_image_starred() -> Response:
    """Star a picture, or take its star, as SwarmUI's page does."""
    path, _ = split_star(read_path(arguments().text("path")))
    try:
        return answer({"new_state": runtime().jobs.history.toggle_star(path)})
    except NotFound:
        raise InvalidRequest("That file does not exist, cannot star.", field="path") from None


@swarmui_history.post("/API/DeleteImage")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@blocking
def delete_image() -> Response:
    """Delete a picture, as SwarmUI's page does; its starred copy stays."""
    path, starred = split_star(read_path(arguments().text("path")))
    try:
        runtime().jobs.history.delete(path, starred=starred)
    except NotFound:
        raise InvalidRequest("That file does not exist, cannot delete.", field="path") from None
    return answer({"success": True})


@swarmui_history.post("/API/AddImageToHistory")
@needs("generate")
@documents({200: (SwarmKeptPictures, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@drawing
@submitting
def add_image_to_history() -> Response:
    """Keep a picture that the client brings along, as SwarmUI does; nothing is drawn."""
    calls = open_calls_here()
    kept = calls.keep(arguments(), session())
    return answer({"images": [kept]})


@swarmui_history.post("/API/ExtractVideoAudio")
@needs("generate")
@documents({200: (SwarmError,)}, body=SwarmCall, refusals=_REFUSALS)
def extract_video_audio() -> Response:
    """Refuse to take the sound out of a video, as SwarmUI does: those that are made here have none."""
    path, starred = split_star(read_path(arguments().text("path")))
    try:
        runtime().jobs.history.find(path, starred=starred)
    except NotFound:
        raise InvalidRequest("That file does not exist, cannot extract audio.", field="path") from None
    raise InvalidRequest("That video has no audio: the models of this server make none.", field="path")


def _send(path: str) -> Response:
    _, _, below = path.partition("/")
    name, starred = split_star(below)
    try:
        history = runtime().jobs.history
        found = history.find(name, starred=starred)
        file = history.file_of(found)
    except NotFound:
        return file_not_found()
    if request.args.get("preview", "").lower() == "true" and file.suffix.lower() in ENDINGS:
        small = thumbnail(file)
        response = Response(small.body, mimetype=small.media_type)
    else:
        response = _send_whole(file, name, found.job)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = f"private, max-age={_KEPT_SECONDS}"
    return response


def _send_whole(file: Path, name: str, job: Job) -> Response:
    kind, ending = mimetypes.guess_type(name)[0] or "application/octet-stream", Path(name).suffix
    if ending == file.suffix:
        return send_file(file, mimetype=kind, conditional=True, etag=True, download_name=Path(name).name)
    response = Response(read_as(file, ending, job), mimetype=kind)
    response.make_conditional(request, accept_ranges=True, complete_length=response.content_length)
    return response
