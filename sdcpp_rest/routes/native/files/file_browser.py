"""A folder of outputs as a page for people and as JSON for programs. Pages run their own script only, and load nothing
from elsewhere. What may be shown is decided by the outputs service.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from flask import Response, render_template
from markupsafe import Markup
from pydantic import Field

from sdcpp_rest.errors import OutputNotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.links import page_link, url_path
from sdcpp_rest.routes.http.openapi import HTML, Answer
from sdcpp_rest.routes.http.wire_models import Integer, Wire, optional, read_query
from sdcpp_rest.services.pictures.outputs import Entry
from sdcpp_rest.services.pictures.thumbnails import IMAGE_ENDINGS, VIDEO_ENDINGS

Column: TypeAlias = Literal["name", "size", "date"]
Order: TypeAlias = Literal["asc", "desc"]
Kind: TypeAlias = Literal["folder", "image", "video", "text", "file"]
Link: TypeAlias = Callable[[str], str]
"""Makes of a path of this server what the answer says."""

TEMPLATES = Path(__file__).parent / "templates"
MAX_LIMIT = 1000
_TITLE_CHARACTERS = 200

_TEXT_ENDINGS = frozenset({".json", ".txt", ".log", ".md", ".csv"})
# Browsers show these; nobody here makes thumbnails of them.
_SHOWN_ENDINGS = frozenset({".avif"})
_COLUMNS: dict[Column, str] = {"name": "Name", "size": "Size", "date": "Modified (UTC)"}
_ARROWS: dict[Order, str] = {"asc": "\u2191", "desc": "\u2193"}


class OutputQuery(Wire):
    sort: Column = Field(
        "name",
        description="Of a folder: by what its files are sorted; folders come first. The page at /output begins with "
        "the newest where neither this nor `order` is given.",
    )
    order: Order = Field("asc", description="Of a folder: which way.")
    page: Integer = Field(
        1, ge=1, le=1_000_000, description="Of a folder with more than ``limit`` entries: which part."
    )
    limit: Integer = Field(500, ge=1, le=MAX_LIMIT, description="Of a folder: how many entries at a time.")
    v: str = Field("", description="Of a file: the version that is meant. The answer to that may be kept for ever.")


class EntryShown(Answer):
    """A file or a folder."""

    name: str = Field(description="What is no UTF-8 in it is replaced; ``url`` has the true name.")
    kind: Kind
    url: str = Field(examples=["/output/550e8400-e29b-41d4-a716-446655440000/image_0.png"])
    size_bytes: int = optional("Of a file.", ge=0)
    version: str = optional("Of a file: behind its URL or its thumbnail's as `?v=`, the answer may be kept for ever.")
    modified_at: str = Field(description="ISO 8601, UTC.", examples=["2026-01-31T12:00:00.000Z"])
    title: str = optional("Of a job's folder: the job's title, or the beginning of its prompt.")
    thumb_url: str = optional("Of a picture, a video, or a folder with one of them in it.")


class Listing(Answer):
    """A part of a folder."""

    path: str = Field(description="Below the output folder, which is the empty one.")
    sort: Column
    order: Order
    page: int = Field(ge=1)
    pages: int = Field(ge=1, description="How many there are.")
    limit: int = Field(ge=1)
    folder_count: int = Field(ge=0, description="In the whole folder, as the two below.")
    file_count: int = Field(ge=0)
    total_bytes: int = Field(ge=0, description="Of the files; what is in folders is not counted.")
    entries: list[EntryShown] = Field(description="Folders first. Empty behind the last page.")


@dataclass(frozen=True)
class _Part:
    """What of a folder is shown."""

    relative: str
    query: OutputQuery
    folder_count: int
    file_count: int
    total_bytes: int
    shown: tuple[EntryShown, ...]

    @property
    def pages(self) -> int:
        return max(1, ceil((self.folder_count + self.file_count) / self.query.limit))


def listing(relative: str, folder: Path, *, as_json: bool) -> Response:
    """The answer for a folder that the outputs service gave. Raises OutputNotFound when it is gone meanwhile."""
    query = read_query(OutputQuery)
    if not (as_json or relative) and query.model_fields_set.isdisjoint(("sort", "order")):
        query = query.model_copy(update={"sort": "date", "order": "desc"})
    # A program resolves a path against the host it called; a page's links lead below any path that a proxy has put it.
    part = _part_of(relative, folder, query, url_path if as_json else page_link)
    response = _json(part) if as_json else _page(part)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Accept")
    return response


def _part_of(relative: str, folder: Path, query: OutputQuery, link: Link) -> _Part:
    entries = runtime().jobs.outputs.entries(folder)
    folders, others = ([entry for entry in entries if entry.is_folder is wanted] for wanted in (True, False))
    for group in (folders, others):
        group.sort(key=lambda entry: _sort_key(entry, query.sort), reverse=query.order == "desc")
    start = (query.page - 1) * query.limit
    on_page = [*folders, *others][start : start + query.limit]
    shown = [_entry_shown(relative, folder, entry, link) for entry in on_page]
    total = sum(entry.size_bytes for entry in others)
    return _Part(relative, query, len(folders), len(others), total, tuple(shown))


def _sort_key(entry: Entry, column: Column) -> tuple[Any, ...]:
    value = {"name": 0, "size": entry.size_bytes, "date": entry.modified_ns}[column]
    return (value, entry.name.lower(), entry.name)


def _entry_shown(relative: str, folder: Path, entry: Entry, link: Link) -> EntryShown:
    path = f"{relative}/{entry.name}" if relative else entry.name
    more: dict[str, Any] = {}
    thumb = _cover(path, folder / entry.name) if entry.is_folder else _thumb(path, entry)
    if thumb is not None:
        more["thumb_url"] = link(thumb)
    if not entry.is_folder:
        more |= {"size_bytes": entry.size_bytes, "version": entry.version}
    elif (title := runtime().jobs.outputs.title_of(folder / entry.name)) is not None:
        more["title"] = title[:_TITLE_CHARACTERS]
    modified = datetime.fromtimestamp(entry.modified_ns / 1e9, timezone.utc)
    return EntryShown(
        name=_readable(entry.name),
        kind=_kind(entry),
        url=link(url_of("/output", path)),
        modified_at=modified.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **more,
    )


def _thumb(path: str, entry: Entry) -> str | None:
    if Path(entry.name).suffix.lower() not in IMAGE_ENDINGS | VIDEO_ENDINGS:
        return None
    return url_of("/thumb", path)


def _cover(path: str, folder: Path) -> str | None:
    """The thumbnail that stands for a folder: of the first picture or video in it."""
    try:
        entries = runtime().jobs.outputs.entries(folder)
    except OutputNotFound:
        return None
    first = min((entry for entry in entries if _kind(entry) in ("image", "video")), key=lambda e: e.name, default=None)
    return _thumb(f"{path}/{first.name}", first) if first is not None else None


def _kind(entry: Entry) -> Kind:
    ending = Path(entry.name).suffix.lower()
    if entry.is_folder:
        return "folder"
    if ending in IMAGE_ENDINGS | _SHOWN_ENDINGS:
        return "image"
    if ending in VIDEO_ENDINGS:
        return "video"
    return "text" if ending in _TEXT_ENDINGS else "file"


def _json(part: _Part) -> Response:
    query = part.query
    return answer(
        {
            "path": _readable(part.relative),
            "sort": query.sort,
            "order": query.order,
            "page": query.page,
            "pages": part.pages,
            "limit": query.limit,
            "folder_count": part.folder_count,
            "file_count": part.file_count,
            "total_bytes": part.total_bytes,
            "entries": [entry.model_dump(exclude_none=True) for entry in part.shown],
        }
    )


# --- the page -------------------------------------------------------------------------------------------------------


def _page(part: _Part) -> Response:
    query, pages = part.query, part.pages
    style, script, policy = _inline_assets()
    page = render_template(
        "file_browser.html",
        title=_readable(f"/output/{part.relative}"),
        style=style,
        script=script,
        crumbs=list(_crumbs(part.relative)),
        totals=_totals(part),
        heads=[_head(column, query) for column in _COLUMNS],
        rows=[_row(entry) for entry in part.shown],
        empty="Nothing is here." if query.page == 1 else "Nothing is on this page.",
        page=query.page,
        pages=pages,
        previous_url=_page_url(query, min(query.page - 1, pages)) if query.page > 1 else None,
        next_url=_page_url(query, query.page + 1) if query.page < pages else None,
    )
    response = Response(page, mimetype=HTML)
    response.headers["Content-Security-Policy"] = policy
    return response


@lru_cache(maxsize=1)
def _inline_assets() -> tuple[Markup, Markup, str]:
    """The style and the script that stand in every page, and the policy that allows these two and nothing else."""
    texts = [(TEMPLATES / f"file_browser.{ending}").read_text(encoding="utf-8") for ending in ("css", "js")]
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    policy = (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src 'self'; "
        "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Markup(texts[0]), Markup(texts[1]), policy


def _crumbs(relative: str) -> Iterator[dict[str, str]]:
    """The way from the output folder to here."""
    yield {"name": "output", "url": page_link("/output")}
    parts = relative.split("/") if relative else []
    for end, part in enumerate(parts, start=1):
        yield {"name": _readable(part), "url": page_link(url_of("/output", "/".join(parts[:end])))}


def _head(column: Column, query: OutputQuery) -> dict[str, str]:
    """A column's title: a link that sorts by it, or turns the order round where it does already."""
    is_sorted = column == query.sort
    order: Order = "desc" if is_sorted and query.order == "asc" else "asc"
    head = {"name": _COLUMNS[column], "url": _query_url(query, column, order, 1)}
    if is_sorted:
        head |= {"arrow": _ARROWS[query.order], "sorted": "ascending" if query.order == "asc" else "descending"}
    return head


def _row(entry: EntryShown) -> dict[str, str | None]:
    return {
        "name": entry.name,
        "title": entry.title,
        "kind": entry.kind,
        "url": entry.url,
        "shows": entry.kind if entry.kind in ("image", "video") else None,
        "thumb_url": entry.thumb_url,
        "size": "" if entry.kind == "folder" else human_size(entry.size_bytes),
        "date": entry.modified_at[:19].replace("T", " "),
        "date_iso": entry.modified_at,
    }


def _totals(part: _Part) -> str:
    """How much is here, in words. What lies in the folders is not counted, and nothing is said of it."""
    folders = _count_words(part.folder_count, "folder")
    files = f"{_count_words(part.file_count, 'file')} of {human_size(part.total_bytes)}"
    if not part.folder_count:
        return files
    return f"{folders}, and {files} beside them" if part.file_count else folders


def _page_url(query: OutputQuery, page: int) -> str:
    return _query_url(query, query.sort, query.order, page)


def _query_url(query: OutputQuery, sort: Column, order: Order, page: int) -> str:
    url = f"?sort={sort}&order={order}"
    if "limit" in query.model_fields_set:
        url += f"&limit={query.limit}"
    return f"{url}&page={page}" if page > 1 else url


def human_size(count: int) -> str:
    """``231 bytes``, ``1.2 MB``."""
    if count < 1000:
        return _count_words(count, "byte")
    size, units = count / 1000, ["kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.1f} {units[0]}" if size < 99.95 else f"{size:,.0f} {units[0]}"


def _count_words(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def url_of(prefix: str, path: str) -> str:
    return f"{prefix}/" + quote(os.fsencode(path))


def _readable(name: str) -> str:
    """A name that can be sent, whatever bytes it has on the disk."""
    return os.fsencode(name).decode("utf-8", "replace")
