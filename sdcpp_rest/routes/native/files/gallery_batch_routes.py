"""Whole selections of the gallery's pictures: marked, deleted, restored, sent as one zip; and their boards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.gallery import GalleryFilter, Marks
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking, transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.files.gallery_wire import (
    BOARD_CHARACTERS,
    GalleryFilterBody,
    board_name,
    gallery_filter,
    marks_of,
)
from sdcpp_rest.services.jobs.gallery import MOST_PICTURES
from sdcpp_rest.services.pictures.zip_stream import ZipEntry, name_picture, stream_zip

gallery_batch = Blueprint("gallery_batch", __name__)

_TOLD_FAULTS = 100
_ZIP = "application/zip"
_Selection = TypeVar("_Selection", bound="SelectionBody")


class SelectionBody(Wire):
    """Which pictures: by their numbers, or all that pass a filter."""

    ids: list[Integer] = optional(f"Their numbers; {MOST_PICTURES} at most.", min_length=1, max_length=MOST_PICTURES)
    filter: GalleryFilterBody = optional(
        f"All that pass this, as `GET /gallery` takes it; more than {MOST_PICTURES} are refused."
    )


class BatchBody(SelectionBody):
    """What is to become of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [1, 2], "action": "star"}]})

    action: Literal["star", "unstar", "rate", "board", "delete", "restore"] = Field(
        description="delete: into the recycle bin or, where that is off, for good."
    )
    rating: Integer = optional("Of the action rate. 0: none.", ge=0, le=5)
    board: Text = optional("Of the action board; empty: off the board they are on.", max_length=BOARD_CHARACTERS)


class NotChanged(Answer):
    id: int
    error: str


class BatchDone(Answer):
    """What became of them."""

    success: bool = Field(description="Whether it was done to all of them.")
    changed: int = Field(ge=0)
    failed: int = Field(ge=0)
    errors: list[NotChanged] = Field(description=f"Why, for the first {_TOLD_FAULTS} that it was not done to.")


class ZipQuery(GalleryFilterBody):
    ids: list[Text] = Field([], max_length=MOST_PICTURES, description="Their numbers, instead of a filter.")


class BoardPath(Wire):
    name: str = Field(description="Of a board, in any case.", examples=["Lighthouses"])


class BoardBody(Wire):
    name: Text = Field(min_length=1, max_length=BOARD_CHARACTERS, description="Its other name.")


class BoardShown(Answer):
    name: str
    count: int = Field(ge=0, description="How many pictures are on it.")
    cover: str | None = Field(description="The path of its newest picture below `/output/`.")


class BoardsShown(Answer):
    boards: list[BoardShown]


class BoardChanged(Answer):
    success: Literal[True]
    name: str
    warnings: list[str] = optional("What was ignored.")


class Scanned(Answer):
    success: Literal[True]
    read: int = Field(ge=0, description="How many pictures were new, changed, or read again.")
    total: int = Field(ge=0)
    warnings: list[str] = optional("What was ignored.")


class ScanBody(Wire):
    anew: bool = Field(False, description="Forget the index first, and read every folder.")


@gallery_batch.post("/gallery/batch")
@needs("generate")
@documents({200: BatchDone}, errors=(409,), body=BatchBody)
@blocking
def change_pictures() -> Response:
    """Star, rate, delete or restore pictures, or put them on a board. Those that are named, or all that pass a
    filter."""
    body = _read_selection(BatchBody)
    gallery, marks, chosen = runtime().jobs.gallery, _marks(body), _choose(body)
    if marks is None:
        done, refused = (gallery.delete if body.action == "delete" else gallery.restore)(chosen)
    else:
        done = gallery.mark(chosen, marks)
        refused = dict.fromkeys(set(chosen) - set(done), "There is no picture with that id")
    errors = [{"id": one, "error": error} for one, error in list(refused.items())[:_TOLD_FAULTS]]
    return answer({"success": not refused, "changed": len(done), "failed": len(refused), "errors": errors})


@gallery_batch.get("/gallery/zip")
@needs("read")
@documents({200: _ZIP}, query=ZipQuery)
@transfer
def zip_by_link() -> Response:
    """Get pictures as one zip: those that pass the filters of `GET /gallery`, or `ids`. For links; long lists of
    numbers are for POST."""
    query = read_query(ZipQuery)
    if not query.ids:
        return _zip(_select(query))
    if not all(one.isascii() and one.isdigit() and len(one) < 19 for one in query.ids):
        raise InvalidRequest("ids must be numbers of pictures, separated by commas", field="ids")
    return _zip([int(one) for one in query.ids])


@gallery_batch.post("/gallery/zip")
@needs("read")
@documents({200: _ZIP}, body=SelectionBody)
@transfer
def zip_pictures() -> Response:
    """Get pictures as one zip, named by prompt and seed. What is gone by the time it is its turn is named in
    `missing.txt`."""
    return _zip(_choose(_read_selection(SelectionBody)))


@gallery_batch.post("/gallery/scan")
@needs("generate")
@documents({200: Scanned}, body=ScanBody)
@blocking
def scan_pictures() -> Response:
    """Look for pictures that were put into the output folder, or taken away, by hand. Done at the start and every five
    minutes anyway."""
    body, warnings = validate(ScanBody, read_body())
    read = runtime().jobs.gallery.index.scan(anew=body.anew)
    shown = {"success": True, "read": read, "total": runtime().jobs.gallery.count(GalleryFilter())}
    return answer({**shown, "warnings": warnings} if warnings else shown)


@gallery_batch.get("/gallery/boards")
@needs("read")
@documents({200: BoardsShown})
def list_boards() -> Response:
    """List the boards, by name."""
    boards = runtime().jobs.gallery.boards()
    return answer({"boards": [{"name": one.name, "count": one.count, "cover": one.cover} for one in boards]})


@gallery_batch.put("/gallery/boards/<name>")
@needs("generate")
@documents({200: BoardChanged, 201: BoardChanged}, errors=(400, 409), path=BoardPath)
def put_board(name: str) -> Response:
    """Make a board. A 201 where it is new."""
    wanted = board_name(name)
    is_new = runtime().jobs.gallery.put_board(wanted)
    return answer({"success": True, "name": wanted}, 201 if is_new else 200)


@gallery_batch.patch("/gallery/boards/<name>")
@needs("generate")
@documents({200: BoardChanged}, errors=(404, 409), path=BoardPath, body=BoardBody)
def rename_board(name: str) -> Response:
    """Give a board another name. Its pictures go along."""
    body, warnings = validate(BoardBody, read_body())
    to = board_name(body.name)
    runtime().jobs.gallery.rename_board(board_name(name), to)
    return answer({"success": True, "name": to, **({"warnings": warnings} if warnings else {})})


@gallery_batch.delete("/gallery/boards/<name>")
@needs("generate")
@documents({200: BoardChanged}, errors=(400, 404), path=BoardPath)
def delete_board(name: str) -> Response:
    """Forget a board. Its pictures stay where they are."""
    runtime().jobs.gallery.drop_board(board_name(name))
    return answer({"success": True, "name": name})


def _choose(body: SelectionBody) -> list[int]:
    """Raises InvalidRequest for neither or both, and for too many."""
    sent = body.model_fields_set
    if ("ids" in sent) == ("filter" in sent):
        raise InvalidRequest("one of ids and filter must be given, and not both", field="ids")
    return _select(body.filter) if "filter" in sent else list(dict.fromkeys(body.ids))


def _select(body: GalleryFilterBody) -> list[int]:
    chosen = runtime().jobs.gallery.select(gallery_filter(body))
    if len(chosen) > MOST_PICTURES:
        raise InvalidRequest(
            f"more than {MOST_PICTURES} pictures pass this filter: narrow it", field="filter", allowed=MOST_PICTURES
        )
    return chosen


def _read_selection(model: type[_Selection]) -> _Selection:
    """The body. Raises InvalidRequest also for a field that is not known: a filter without it would be another one."""
    body, ignored = validate(model, read_body())
    if ignored:
        raise InvalidRequest(ignored[0].replace(" ignored", " is not known here", 1))
    return body


def _marks(body: BatchBody) -> Marks | None:
    """What the action notes; ``None`` for one that moves pictures. Raises InvalidRequest where what is to be noted is
    not told, or belongs to another action."""
    sent = body.sent_fields()
    for field, action in (("rating", "rate"), ("board", "board")):
        if (field in sent) != (body.action == action):
            words = "is required with" if body.action == action else "does not go with"
            raise InvalidRequest(f"{field} {words} the action {body.action}", field=field)
    if body.action in ("delete", "restore"):
        return None
    is_starred = body.action == "star" if body.action in ("star", "unstar") else None
    return marks_of(is_starred, sent.get("rating"), sent.get("board"))


def _zip(ids: list[int]) -> Response:
    found = runtime().jobs.gallery.files_of(ids)

    def entries() -> Iterator[ZipEntry]:
        for picture, file in found:
            facts = picture.facts
            yield ZipEntry(name_picture(facts.prompt, facts.seed, facts.path), file)

    headers: dict[str, Any] = {
        "Content-Disposition": 'attachment; filename="pictures.zip"',
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }
    return Response(stream_zip(entries()), mimetype=_ZIP, headers=headers)
