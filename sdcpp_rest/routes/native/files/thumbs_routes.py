"""Small pictures of outputs over HTTP. Which files may be looked at is decided by the outputs service, how they are
drawn by the thumbnails service.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import drawing
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.services.pictures.thumbnails import stamp_of, thumbnail

thumbs = Blueprint("thumbs", __name__)

# An SVG may hold scripts and links; ours does not, and no browser is to look for any.
_POLICY = "default-src 'none'; frame-ancestors 'none'"


class ThumbPath(Wire):
    path: str = Field(
        description="Of a picture or a video, as the outputs of a job name it.",
        examples=["550e8400-e29b-41d4-a716-446655440000/image_0.png"],
    )


@thumbs.get("/thumb/<path:path>")
@documents({200: ("image/jpeg", "image/svg+xml"), 304: ()}, errors=(400, 404), path=ThumbPath)
@drawing
def thumb(path: str) -> Response:
    """Get the thumbnail of a picture or a video. A JPEG of 120x120 pixels: the middle of a picture or of a video's
    first frame. An SVG where the file cannot be drawn: it is damaged, or has more pixels than 8192x8192 (a WebP
    4096x4096, a video 8192x4096)."""
    found = runtime().jobs.outputs.path_of(path.rstrip("/"))
    stamp = stamp_of(found)
    # The same file as the client has seen: nothing is opened.
    if request.if_none_match.contains(stamp):
        return _with_headers(Response(status=304), stamp)
    small = thumbnail(found)
    response = Response(small.body, mimetype=small.media_type)
    if small.is_placeholder:
        # Once it can be drawn (the file was still being written, say) it is to be asked for again.
        response.headers["Cache-Control"] = "private, max-age=60"
    else:
        _with_headers(response, stamp)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _with_headers(response: Response, stamp: str) -> Response:
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(stamp)
    return response
