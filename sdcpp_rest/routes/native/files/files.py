"""Finished pictures over HTTP: files with caching and ranges, folders as a page or as JSON, and their removal.

What may be read, and what stays hidden, is decided by the outputs service alone.
"""

from __future__ import annotations

import logging
import mimetypes
import os
from pathlib import Path
from typing import Literal

from flask import Blueprint, Response, request, send_file
from pydantic import Field

from sdcpp_rest.core.media_types import MEDIA_TYPES
from sdcpp_rest.errors import Conflict, JobNotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import ANY_FILE, HTML, Answer, documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.routes.native.files.file_browser import TEMPLATES, Listing, OutputQuery, listing
from sdcpp_rest.services.pictures.outputs import is_version_of

log = logging.getLogger(__name__)

files = Blueprint("files", __name__, template_folder=str(TEMPLATES))

_JSON = "application/json"
# Types a browser runs scripts in: offered for saving, never shown under the server's own origin.
_ACTIVE = frozenset({".htm", ".html", ".xhtml", ".xht", ".xml", ".svg", ".js", ".mjs", ".pdf"})


class OutputPath(Wire):
    path: str = Field(description="As the outputs of a job name it.", examples=["550e8400-e29b-41d4-a716-446655440000"])


class Removed(Answer):
    """What is gone."""

    success: Literal[True]
    path: str = Field(description="As it was given.")


@files.get("/output")
@needs("read")
@documents({200: (HTML, Listing)}, query=OutputQuery)
@transfer
def output_root() -> Response:
    """Browse the output folder. A page for browsers; JSON for who accepts that rather than HTML."""
    return listing("", runtime().jobs.outputs.path_of(""), as_json=_wants_json())


@files.get("/output/<path:path>")
@needs("read")
@documents(
    # JSON twice: a folder as `Listing`, or a file that is JSON itself.
    {200: (ANY_FILE, Listing, _JSON), 206: ANY_FILE, 304: ()},
    errors=(400, 404, 416),
    path=OutputPath,
    query=OutputQuery,
)
@transfer
def output(path: str) -> Response:
    """Get a file, or browse a folder. A folder is a page for browsers, and JSON for who accepts that rather than HTML.
    A 400 for a path that tries to leave the output folder, a 404 for one that is not there. Parts of files can be asked
    for."""
    relative = path.rstrip("/")
    found = runtime().jobs.outputs.path_of(relative)
    if found.is_dir():
        return listing(relative, found, as_json=_wants_json())
    return _file(found, request.args.get("v", ""))


@files.delete("/output/<path:path>")
@needs("generate")
@documents({200: Removed}, errors=(400, 404, 409), path=OutputPath)
@transfer
def remove_output(path: str) -> Response:
    """Remove a file or a folder. The folder of a job takes the job with it, into the recycle bin if that is on;
    anything else is gone for good. A 409 where the disk refuses it."""
    found = runtime().jobs.outputs.path_of(path.rstrip("/"))
    # By another name it is a link, which goes alone.
    is_itself = Path(path.replace("\\", "/")).name == found.name
    try:
        if not (is_itself and _delete_job(found)):
            runtime().jobs.outputs.remove(path.rstrip("/"))
    except OSError as error:
        log.warning("an output could not be removed: %s", error)
        raise Conflict(f"It cannot be removed: {error.strerror or 'the disk refuses'}") from None
    return answer({"success": True, "path": os.fsencode(path).decode("utf-8", "replace")})


def _delete_job(found: Path) -> bool:
    """Delete the job whose folder this is; says whether it is one. A row alone would promise pictures that are gone.

    Raises Conflict when the job has not ended.
    """
    job_id = found.name
    if found != runtime().jobs.outputs.path_of("") / job_id:
        return False
    try:
        runtime().jobs.queue.get(job_id)
    except JobNotFound:
        return False
    _, refused = runtime().jobs.recycle_bin.delete([job_id])
    if refused:
        raise Conflict(refused[job_id])
    return True


def _wants_json() -> bool:
    """Whether the client names JSON, and HTML not before it. A browser, and who takes anything, gets the page."""
    accepted = request.accept_mimetypes
    named = dict(accepted)
    json_quality = named.get(_JSON, 0)
    return json_quality > named.get(HTML, 0) and json_quality >= accepted.quality(HTML)


def _file(path: Path, version: str) -> Response:
    ending = path.suffix.lower()
    content_type = MEDIA_TYPES.get(ending) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    response = send_file(
        path,
        mimetype=content_type,
        conditional=True,
        etag=True,
        as_attachment=ending in _ACTIVE,
        download_name=path.name,
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    if version and is_version_of(path, version):
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return response
