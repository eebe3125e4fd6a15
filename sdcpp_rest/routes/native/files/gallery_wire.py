"""Wire models of the gallery: which pictures are asked for, and what is told of each. Knows no route."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from pydantic import Field

from sdcpp_rest.core.events import iso_text
from sdcpp_rest.core.gallery import (
    GalleryFilter,
    GalleryOrder,
    GalleryPicture,
    Marks,
    PictureKind,
    PictureRow,
    Place,
    Seat,
    is_searchable,
    original_path,
)
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.http.links import url_path
from sdcpp_rest.routes.http.moments import MOMENT, read_moment
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional
from sdcpp_rest.services.pictures.outputs import version_of

MOST_PER_PAGE = 1000
BOARD_CHARACTERS = 100
GROUPED = "One row for the pictures of a job, or of a group of jobs: the newest of those that pass."
_PROMPT_CHARACTERS = 120
_MOST_WORDS = 16
_WORD = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_SEAT = re.compile(r"([0-9a-f]{1,14})\.([0-9a-f]{1,14})(?:\.([0-9a-f]{1,14}))?")


class GalleryFilterBody(Wire):
    """Which pictures: those that pass all of it."""

    q: Text = optional(
        "Only those where each of these words begins a word of prompt, negative prompt, title, model or a LoRA. "
        '`"two words"` stand beside each other, `-word` does not occur.',
        max_length=500,
    )
    model: Text = optional("Only those of this model, by its whole name.", max_length=1000)
    lora: Text = optional("Only those with this LoRA, by its whole name in any case.", max_length=1000)
    architecture: Text = optional("Only those of this family.", max_length=100)
    kind: PictureKind = optional("Only pictures, or only videos.")
    starred: Flag = optional("Only those with a star, or only those without.")
    board: Text = optional("Only those on this board.", max_length=BOARD_CHARACTERS)
    rating: Integer = optional("Only those with this rating or a better one.", ge=1, le=5)
    seed: Integer = optional("Only those with this seed.", ge=0, le=2**63 - 1)
    width: Integer = optional("Only those of this width, in pixels.", ge=1, le=2**31 - 1)
    height: Integer = optional("Only those of this height, in pixels.", ge=1, le=2**31 - 1)
    job_id: Text = optional("Only those of this job.", max_length=200)
    group: Text = optional(
        "Only those that belong together: `group:` and the id of a group of jobs, or `job:` and that of a job in none. "
        "As `group.id` of a row tells with `grouped`.",
        max_length=300,
    )
    before: Text = optional(f"Only those finished before this moment: {MOMENT}; without a zone, in UTC.")
    after: Text = optional(f"Only those finished at this moment or later: {MOMENT}; without a zone, in UTC.")
    deleted: Flag = Field(False, description="Those in the recycle bin instead of the others; `q` cannot search these.")


class GalleryQuery(GalleryFilterBody):
    limit: Integer = Field(100, ge=1, le=MOST_PER_PAGE, description="How many at most.")
    cursor: Text = optional("Where the page before ended, as its `next` tells.", max_length=100)
    offset: Integer = Field(
        0, ge=0, le=2**31 - 1, description="Instead of cursor: how many to leave out, for jumps to a place."
    )
    order: GalleryOrder = Field("desc", description="desc: newest first.")
    grouped: Flag = Field(False, description=GROUPED)


class GroupOfPictures(Answer):
    """The pictures that a row stands for: those of a job, or of a group of jobs, that pass."""

    id: str = Field(description="As `group` finds them.", examples=["job:550e8400-e29b-41d4-a716-446655440000"])
    count: int = Field(ge=1)
    ids: list[int] = Field(description="Their numbers, newest first.")


class PictureItem(Answer):
    """A picture or a video, in short."""

    id: int = Field(description="Its number in the gallery, for good.")
    job_id: str = optional("The job that made it; absent for a file that was put there.")
    index: int = Field(ge=0, description="Its place among the outputs of its job.")
    path: str = Field(description="Below `/output/`.", examples=["550e8400-e29b-41d4-a716-446655440000/image_0.png"])
    version: str = Field(description="As `?v=` of `/output/` and `/thumb/`: that answer may be kept for good.")
    thumb: str = Field(description="A thumbnail of 256 pixels, all of it. Other sizes: `size` and `fit`.")
    kind: PictureKind
    width: int = optional("In pixels, where it is known.")
    height: int = optional("In pixels, where it is known.")
    frames: int = optional("Of a video.")
    duration: float = optional("Of a video, in seconds.")
    prompt: str = Field(description=f"Its first {_PROMPT_CHARACTERS} characters.")
    model: str = optional("The model that drew it.")
    seed: int = optional("Its seed.")
    created_at: str = Field(description="When it was finished.", examples=["2024-01-01T12:01:00Z"])
    starred: bool
    rating: int = Field(ge=0, le=5, description="0: none.")
    board: str = optional("The board that it is on.")
    group: GroupOfPictures = optional("Of a listing that is `grouped`; absent for a file of no job.")


class GalleryShown(Answer):
    """A page of pictures."""

    total: int = Field(ge=0, description="How many pass, on all pages; how many rows where it is `grouped`.")
    pictures: int = optional("Of a listing that is `grouped`: how many pictures pass.", ge=0)
    next: str | None = Field(description="As `cursor` of the next page; `null` where this is the last.")
    items: list[PictureItem]


class PictureShown(PictureItem):
    """All that the gallery knows of a picture; with what it was drawn, its job tells."""

    prompt: str
    negative_prompt: str
    title: str = optional("The title of its job.")
    architecture: str = optional("The family of its model.")
    loras: list[str]
    size_bytes: int = Field(ge=0)
    place: Place = Field(description="shown; bin: deleted by itself; job_bin: deleted with its job.")
    deleted_at: str = optional("Since when it is in the recycle bin.")
    warnings: list[str] = optional("What was ignored.")


def gallery_filter(body: GalleryFilterBody) -> GalleryFilter:
    """What the store is asked for. Raises InvalidRequest."""
    sent = body.sent_fields()
    words, phrases, without = _words(sent.get("q", ""))
    if body.deleted and (words or phrases or without):
        raise InvalidRequest("q cannot search what is deleted: leave one of q and deleted out", field="q")
    same = ("model", "lora", "architecture", "kind", "board", "seed", "width", "height", "job_id", "group")
    return GalleryFilter(
        words=words,
        phrases=phrases,
        without=without,
        is_starred=sent.get("starred"),
        rating_min=sent.get("rating"),
        before=read_moment("before", sent.get("before")),
        after=read_moment("after", sent.get("after")),
        is_deleted=body.deleted,
        **{name: sent[name] for name in same if name in sent},
    )


def read_cursor(text: str | None) -> Seat | None:
    """The seat that `write_cursor` wrote. Raises InvalidRequest for anything else."""
    if text is None:
        return None
    try:
        seat = _SEAT.fullmatch(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii"))
    except (ValueError, UnicodeError):
        seat = None
    if seat is None:
        raise InvalidRequest(
            f'cursor must be the next of the page before, got "{shorten(text)}"', field="cursor", value=shorten(text)
        )
    return Seat(int(seat[1], 16), int(seat[2], 16), None if seat[3] is None else int(seat[3], 16))


def write_cursor(picture: GalleryPicture, until_ms: int | None = None) -> str:
    """Where a page ends whose last picture this is; ``until_ms``: see `Seat`."""
    parts = (picture.facts.taken_ms, picture.id, *(() if until_ms is None else (until_ms,)))
    return base64.b64encode(".".join(f"{part:x}" for part in parts).encode(), altchars=b"-_").decode("ascii")


def picture_item(picture: GalleryPicture) -> dict[str, Any]:
    """A picture in the shape of `PictureItem`."""
    facts = picture.facts
    path = original_path(picture.id, facts.path)
    version = version_of(facts.size_bytes, facts.modified_ns)
    may_be_absent = {
        "width": facts.width,
        "height": facts.height,
        "frames": facts.frames,
        "duration": facts.duration,
        "model": facts.model or None,
        "seed": facts.seed,
        "board": picture.board,
        "job_id": facts.job_id,
    }
    return {
        "id": picture.id,
        "index": facts.number,
        "path": path,
        "version": version,
        "thumb": url_path(f"/thumb/{quote(path)}?size=256&fit=inside&v={version}"),
        "kind": facts.kind,
        "prompt": facts.prompt[:_PROMPT_CHARACTERS],
        "created_at": iso_text(datetime.fromtimestamp(facts.taken_ms / 1000, timezone.utc)),
        "starred": picture.is_starred,
        "rating": picture.rating,
        **{name: value for name, value in may_be_absent.items() if value is not None},
    }


def row_item(row: PictureRow) -> dict[str, Any]:
    """A row of a grouped listing in the shape of `PictureItem`."""
    item, fold = picture_item(row.picture), row.picture.facts.fold
    return item if fold is None else {**item, "group": {"id": fold, "count": len(row.ids), "ids": list(row.ids)}}


def picture_object(picture: GalleryPicture) -> dict[str, Any]:
    """A picture in the shape of `PictureShown`."""
    facts = picture.facts
    deleted_at = picture.deleted_at and iso_text(datetime.fromisoformat(picture.deleted_at))
    may_be_absent = {
        "title": facts.title or None,
        "architecture": facts.architecture or None,
        "deleted_at": deleted_at,
    }
    return {
        **picture_item(picture),
        "prompt": facts.prompt,
        "negative_prompt": facts.negative_prompt,
        "loras": list(facts.loras),
        "size_bytes": facts.size_bytes,
        "place": picture.place,
        **{name: value for name, value in may_be_absent.items() if value is not None},
    }


def _words(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What is searched for, as words, as phrases, and what must not be there.

    Raises InvalidRequest for too much, and for signs alone.
    """
    words: list[str] = []
    phrases: list[str] = []
    without: list[str] = []
    for minus, phrase, word in _WORD.findall(text):
        part = phrase or word
        if not is_searchable(part):
            # Left out, it would let pass what was not asked for.
            raise InvalidRequest(
                f'q must be words with a letter or a digit, got "{shorten(part)}"', field="q", value=shorten(part)
            )
        (without if minus else phrases if phrase else words).append(part)
    if len(words) + len(phrases) + len(without) > _MOST_WORDS:
        raise InvalidRequest(f"q may have {_MOST_WORDS} words at most", field="q")
    return tuple(words), tuple(phrases), tuple(without)


def board_name(name: str) -> str:
    """The name without blanks around it. Raises InvalidRequest for one that no URL can name."""
    wanted = name.strip()
    if not wanted or len(wanted) > BOARD_CHARACTERS or not wanted.isprintable() or "/" in wanted:
        raise InvalidRequest(
            f"a board's name must be a text of 1 to {BOARD_CHARACTERS} printable characters without /",
            field="board",
            value=shorten(wanted),
        )
    return wanted


def marks_of(is_starred: bool | None, rating: int | None, board: str | None) -> Marks:
    """What is to be noted; a blank board is none. Raises InvalidRequest for a board that no URL can name."""
    return Marks(is_starred, rating, board_name(board) if board and board.strip() else board and "")
