"""Finished pictures over HTTP: files with caching and ranges, folders as a plain list of links.

What may be read, and what stays hidden, is decided by the outputs service alone.
"""

from __future__ import annotations

import mimetypes
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, Response, send_file
from markupsafe import Markup

from sdcpp_rest.routes.http import runtime, transfer

files = Blueprint("files", __name__)

# Named here because what the platform's own table knows differs from machine to machine.
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".json": "application/json",
    ".txt": "text/plain",
}
# Types a browser runs scripts in: offered for saving, never shown under the server's own origin.
_ACTIVE = frozenset({".htm", ".html", ".xhtml", ".xht", ".xml", ".svg", ".js", ".mjs", ".pdf"})

_LISTING = Markup("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<table>
{rows}
</table>
</body>
</html>
""")
_ROW = Markup('<tr><td><a href="{url}">{name}</a></td><td>{size}</td><td>{modified}</td></tr>')


@files.get("/output")
@transfer
def output_root() -> Response:
    return _listing("", runtime().outputs.path_of(""))


@files.get("/output/<path:path>")
@transfer
def output(path: str) -> Response:
    """A file, or the list of a folder. 400 for a path that tries to leave the output folder, 404 for one not there."""
    relative = path.rstrip("/")
    found = runtime().outputs.path_of(relative)
    return _listing(relative, found) if found.is_dir() else _file(found)


def _file(path: Path) -> Response:
    ending = path.suffix.lower()
    content_type = _TYPES.get(ending) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    response = send_file(
        path,
        mimetype=content_type,
        conditional=True,
        etag=True,
        as_attachment=ending in _ACTIVE,
        download_name=path.name,
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _listing(relative: str, folder: Path) -> Response:
    prefix = "/output/" + (quote(relative) + "/" if relative else "")
    rows = []
    if relative:
        parent = relative.rpartition("/")[0]
        rows.append(
            _ROW.format(url="/output" + ("/" + quote(parent) if parent else ""), name="..", size="", modified="")
        )
    for entry in sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir(), entry.name.lower())):
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat()
        except OSError:
            # Removed between the listing and the look.
            continue
        is_folder = entry.is_dir()
        modified = datetime.fromtimestamp(status.st_mtime, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        name = entry.name + ("/" if is_folder else "")
        rows.append(
            _ROW.format(
                url=prefix + quote(entry.name), name=name, size="" if is_folder else status.st_size, modified=modified
            )
        )
    page = _LISTING.format(title="/output/" + relative, rows=Markup("\n").join(rows))
    response = Response(str(page), mimetype="text/html")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'"
    return response
