"""Small pictures of outputs over HTTP. Which files may be looked at is decided by the outputs service, how they are
drawn by the thumbnails service.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import drawing
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire, read_query
from sdcpp_rest.services.pictures.thumbnails import SIDE, Fit, Shape, Size, stamp_of, thumbnail

thumbs = Blueprint("thumbs", __name__)

# An SVG may hold scripts and links; ours does not, and no browser is to look for any.
_POLICY = "default-src 'none'; frame-ancestors 'none'"


class ThumbPath(Wire):
    path: str = Field(
        description="Of a picture or a video, as the outputs of a job name it.",
        examples=["550e8400-e29b-41d4-a716-446655440000/image_0.png"],
    )


class ThumbQuery(Wire):
    size: Literal["120", "256", "512", "1024"] = Field("120", description="Of the longer side, in pixels.")
    fit: Fit = Field("cover", description="`cover`: the middle, square. `inside`: all of it.")
    v: str = Field(
        "", description="The version that is meant, as `GET /output` tells it: the answer to that may be kept for ever."
    )


@thumbs.get("/thumb/<path:path>")
@needs("read")
@documents(
    {200: ("image/jpeg", "image/webp", "image/svg+xml"), 304: ()}, errors=(400, 404), path=ThumbPath, query=ThumbQuery
)
@drawing
def thumb(path: str) -> Response:
    """Get a thumbnail of a picture, or of a video's first frame. A JPEG of 120x120 pixels, the middle, if nothing else
    is asked for; other sizes are WebP for who accepts that by name, and never larger than the picture. An SVG where
    the file cannot be drawn: it is damaged, or has more pixels than 8192x8192 (a WebP 4096x4096, a video 8192x4096)."""
    query = read_query(ThumbQuery)
    shape = _shape_of(query)
    found = runtime().jobs.outputs.path_of(path.rstrip("/"))
    stamp = stamp_of(found)
    tag = stamp if shape.is_usual else f"{stamp}{shape.ending}"
    # The same file as the client has seen: nothing is opened.
    if request.if_none_match.contains(tag):
        return _with_version(Response(status=304, headers=_vary(query)), tag, stamp, query.v)
    small = thumbnail(found, shape)
    response = Response(small.body, mimetype=small.media_type, headers=_vary(query))
    if small.is_placeholder:
        # Once it can be drawn (the file was still being written, say) it is to be asked for again.
        response.headers["Cache-Control"] = "private, max-age=60"
    else:
        _with_version(response, tag, stamp, query.v)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _with_version(response: Response, tag: str, stamp: str, wanted: str) -> Response:
    """``response`` with its tag; one that was asked for by the version that the file has may be kept for ever."""
    is_meant = wanted == stamp
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable" if is_meant else "private, no-cache"
    response.set_etag(tag)
    return response


def _vary(query: ThumbQuery) -> dict[str, str]:
    """What else the answer depends on: the usual one is the same for all."""
    return {} if query.size == str(SIDE) and query.fit == "cover" else {"Vary": "Accept"}


def _shape_of(query: ThumbQuery) -> Shape:
    sizes: dict[str, Size] = {"120": 120, "256": 256, "512": 512, "1024": 1024}
    shape = Shape(sizes[query.size], query.fit)
    # By name: who accepts anything may be a program that knows JPEGs alone.
    takes_webp = any(kind == "image/webp" and quality for kind, quality in request.accept_mimetypes)
    return shape if shape.is_usual or not takes_webp else replace(shape, is_webp=True)
