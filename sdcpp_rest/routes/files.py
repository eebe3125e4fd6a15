"""Finished pictures over HTTP: files with caching and ranges, folders as a plain list of links.

What may be read, and what stays hidden, is decided by the outputs service alone.
"""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from flask import Blueprint, Response, send_file
from markupsafe import Markup
from pydantic import Field

from sdcpp_rest.errors import OutputNotFound
from sdcpp_rest.routes.http import Wire, read_query, runtime, transfer
from sdcpp_rest.routes.openapi import ANY_FILE, HTML, documented

files = Blueprint("files", __name__)

Column = Literal["name", "size", "date"]

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

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
:root { color-scheme: light dark }
table { border-collapse: collapse; width: 100% }
td, th { padding: .15rem 1rem .15rem 0; text-align: left; overflow-wrap: anywhere }
td:nth-child(2), th:nth-child(2) { text-align: right; white-space: nowrap }
td:last-child { white-space: nowrap }
"""
_LISTING = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{crumbs}</h1>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>{totals}</p>
</body>
</html>
""")
_LINK = Markup('<a href="{url}">{name}</a>')
_ROW = Markup("<tr><td>{link}</td><td>{size}</td><td>{modified}</td></tr>")
_COLUMNS: dict[Column, str] = {"name": "Name", "size": "Size", "date": "Modified (UTC)"}
_ARROWS = {"asc": "\u2191", "desc": "\u2193"}


class OutputQuery(Wire):
    sort: Column = Field("name", description="Of a folder: by what its files are sorted; folders come first.")
    order: Literal["asc", "desc"] = Field("asc", description="Of a folder: which way.")


class OutputPath(Wire):
    path: str = Field(description="As the outputs of a job name it.", examples=["550e8400-e29b-41d4-a716-446655440000"])


@dataclass(frozen=True)
class Entry:
    """One line of a listing. ``name`` may hold lone surrogates, where the disk's bytes are no UTF-8."""

    name: str
    is_folder: bool
    size_bytes: int
    modified_at: float

    def sort_key(self, column: Column) -> tuple[Any, ...]:
        value = {"name": 0, "size": 0 if self.is_folder else self.size_bytes, "date": self.modified_at}[column]
        return (value, self.name.lower(), self.name)


@files.get("/output")
@documented({200: HTML}, query=OutputQuery)
@transfer
def output_root() -> Response:
    """Browse the output folder. A page for browsers."""
    return _listing("", runtime().outputs.path_of(""))


@files.get("/output/<path:path>")
@documented({200: ANY_FILE, 206: ANY_FILE, 304: ()}, errors=(400, 404, 416), path=OutputPath, query=OutputQuery)
@transfer
def output(path: str) -> Response:
    """Get a file, or browse a folder. A 400 for a path that tries to leave the output folder, a 404 for one that is not
    there. Parts of files can be asked for."""
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
    query = read_query(OutputQuery)
    try:
        entries = list(_entries(folder))
    except OSError:
        # Removed since it was looked at, or not readable.
        raise OutputNotFound(f"Not found: {relative}") from None
    folders, others = ([entry for entry in entries if entry.is_folder is wanted] for wanted in (True, False))
    rows = []
    for group in (folders, others):
        group.sort(key=lambda entry: entry.sort_key(query.sort), reverse=query.order == "desc")
        rows += [_row(relative, entry) for entry in group]
    total = sum(entry.size_bytes for entry in others)
    page = _LISTING.format(
        title=_readable(f"/output/{relative}"),
        style=Markup(_STYLE),
        crumbs=_crumbs(relative),
        heads=Markup("").join(_head(column, query) for column in _COLUMNS),
        rows=Markup("\n").join(rows),
        totals=f"{len(folders)} folders, {len(others)} files, {total:,} bytes",
    )
    response = Response(str(page), mimetype=HTML)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


def _entries(folder: Path) -> Iterator[Entry]:
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat()
        except OSError:
            # Removed between the listing and the look.
            continue
        is_folder = stat.S_ISDIR(status.st_mode)
        yield Entry(entry.name, is_folder, 0 if is_folder else status.st_size, status.st_mtime)


def _row(relative: str, entry: Entry) -> Markup:
    modified = datetime.fromtimestamp(entry.modified_at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    path = f"{relative}/{entry.name}" if relative else entry.name
    link = _LINK.format(url=_url(path), name=_readable(entry.name) + ("/" if entry.is_folder else ""))
    return _ROW.format(link=link, size="" if entry.is_folder else f"{entry.size_bytes:,}", modified=modified)


def _crumbs(relative: str) -> Markup:
    """The way from the output folder to here, each part a link."""
    parts = relative.split("/") if relative else []
    links = [
        _LINK.format(url=_url("/".join(parts[: end + 1])), name=_readable(parts[end])) for end in range(len(parts))
    ]
    return Markup(" / ").join([_LINK.format(url="/output", name="output"), *links])


def _head(column: Column, query: OutputQuery) -> Markup:
    """A column's title: a link that sorts by it, or turns the order round where it does already."""
    is_sorted = column == query.sort
    order = "desc" if is_sorted and query.order == "asc" else "asc"
    name = _COLUMNS[column] + (f" {_ARROWS[query.order]}" if is_sorted else "")
    return Markup("<th>{link}</th>").format(link=_LINK.format(url=f"?sort={column}&order={order}", name=name))


def _url(path: str) -> str:
    return "/output/" + quote(os.fsencode(path))


def _readable(name: str) -> str:
    """A name that can be sent, whatever bytes it has on the disk."""
    return os.fsencode(name).decode("utf-8", "replace")
