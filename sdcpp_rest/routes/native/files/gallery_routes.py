"""The gallery: finished pictures of all jobs, searched, paged, counted, and what users note of them."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.gallery import GalleryFilter, Seat
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.files.gallery_wire import (
    BOARD_CHARACTERS,
    GROUPED,
    GalleryFilterBody,
    GalleryQuery,
    GalleryShown,
    PictureShown,
    gallery_filter,
    marks_of,
    picture_item,
    picture_object,
    read_cursor,
    row_item,
    write_cursor,
)

gallery = Blueprint("gallery", __name__)

_FIRST_DAY = date(1970, 1, 1)
_MOST_VALUES = 200


class DaysQuery(GalleryFilterBody):
    utc_offset: Integer = Field(
        0, ge=-840, le=840, description="How many minutes the days begin before those of UTC: 60 in Berlin in winter."
    )
    grouped: Flag = Field(False, description=GROUPED)


class DayCount(Answer):
    date: str = Field(examples=["2024-01-31"])
    count: int = Field(ge=1)


class MonthCount(Answer):
    month: str = Field(examples=["2024-01"])
    count: int = Field(ge=1)
    days: list[DayCount] = Field(description="Newest first.")


class MonthsShown(Answer):
    """When pictures were finished: a scrollbar's marks."""

    total: int = Field(ge=0)
    months: list[MonthCount] = Field(description="Newest first; those without pictures are left out.")


class ValueCount(Answer):
    value: str
    count: int = Field(ge=1)


class FacetsShown(Answer):
    """What pictures are told apart by: the most frequent values first."""

    models: list[ValueCount]
    loras: list[ValueCount]
    architectures: list[ValueCount]
    kinds: list[ValueCount]


class PicturePath(Wire):
    picture_id: Integer = Field(ge=1, description="Its number in the gallery.")


class MarksBody(Wire):
    """What is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"starred": True, "board": "Lighthouses"}]})

    starred: Flag = optional("Whether it has a star.")
    rating: Integer = optional("0: none.", ge=0, le=5)
    board: Text = optional("The board that it is on, made if need be; empty: none.", max_length=BOARD_CHARACTERS)


@gallery.get("/gallery")
@needs("read")
@documents({200: GalleryShown}, query=GalleryQuery)
def list_pictures() -> Response:
    """List finished pictures and videos, newest first. A page goes on where the one before ended (`cursor`), whatever
    came in between; `offset` jumps to a place. `grouped` makes one row of the pictures of a job, or of a group of
    jobs."""
    query = read_query(GalleryQuery)
    wanted, after = gallery_filter(query), read_cursor(query.cursor)
    if after is not None and query.offset:
        raise InvalidRequest("cursor and offset say the same thing: give one of them", field="offset")
    return answer((_list_rows if query.grouped else _list_singly)(query, wanted, after))


def _list_singly(query: GalleryQuery, wanted: GalleryFilter, after: Seat | None) -> dict[str, Any]:
    # One more than asked for: that tells whether there is a next page.
    found = runtime().jobs.gallery.page(wanted, query.order, query.limit + 1, after, query.offset)
    items = found[: query.limit]
    return {
        "total": runtime().jobs.gallery.count(wanted),
        "next": write_cursor(items[-1]) if len(found) > query.limit else None,
        "items": [picture_item(picture) for picture in items],
    }


def _list_rows(query: GalleryQuery, wanted: GalleryFilter, after: Seat | None) -> dict[str, Any]:
    """As `_list_singly`, of what belongs together. A cursor keeps the moment at which its walk began."""
    jobs = runtime().jobs.gallery
    found = jobs.folded_page(wanted, query.order, query.limit + 1, after, query.offset)
    items, following = found[: query.limit], None
    if len(found) > query.limit:
        newest = jobs.page(wanted, "desc", 1) if after is None else []
        until_ms = newest[0].facts.taken_ms if newest else after and after.until_ms
        following = write_cursor(items[-1].picture, until_ms)
    total, pictures = jobs.count_folded(wanted)
    return {"total": total, "pictures": pictures, "next": following, "items": [row_item(row) for row in items]}


@gallery.get("/gallery/months")
@needs("read")
@documents({200: MonthsShown}, query=DaysQuery)
def count_by_month() -> Response:
    """Count pictures by month and day, as far as they pass the filters of `GET /gallery`."""
    query = read_query(DaysQuery)
    months: dict[str, dict[str, Any]] = {}
    wanted = gallery_filter(query)
    for number, count in runtime().jobs.gallery.days(wanted, query.utc_offset, is_folded=query.grouped):
        day = (_FIRST_DAY + timedelta(days=number)).isoformat()
        month = months.setdefault(day[:7], {"month": day[:7], "count": 0, "days": []})
        month["count"] += count
        month["days"].append({"date": day, "count": count})
    return answer({"total": sum(month["count"] for month in months.values()), "months": list(months.values())})


@gallery.get("/gallery/facets")
@needs("read")
@documents({200: FacetsShown}, query=GalleryFilterBody)
def list_facets() -> Response:
    """List the models, LoRAs, families and kinds that pictures have, with how many each has. Of those that pass the
    filters of `GET /gallery`; 200 values of each at most."""
    found = runtime().jobs.gallery.facets(gallery_filter(read_query(GalleryFilterBody)), _MOST_VALUES)
    return answer(
        {name: [{"value": one.value, "count": one.count} for one in values] for name, values in found.items()}
    )


@gallery.get("/gallery/<int:picture_id>")
@needs("read")
@documents({200: PictureShown}, errors=(404,), path=PicturePath)
def show_picture(picture_id: int) -> Response:
    """Look at all that is known of a picture, also of a deleted one."""
    return answer(picture_object(runtime().jobs.gallery.get(_check_id(picture_id))))


@gallery.patch("/gallery/<int:picture_id>")
@needs("generate")
@documents({200: PictureShown}, errors=(404, 409), path=PicturePath, body=MarksBody)
def mark_picture(picture_id: int) -> Response:
    """Star a picture, rate it, or put it on a board. It stays so when it is deleted and restored."""
    body, warnings = validate(MarksBody, read_body())
    runtime().jobs.gallery.get(_check_id(picture_id))
    sent = body.sent_fields()
    runtime().jobs.gallery.mark([picture_id], marks_of(sent.get("starred"), sent.get("rating"), sent.get("board")))
    shown = picture_object(runtime().jobs.gallery.get(picture_id))
    return answer({**shown, "warnings": warnings} if warnings else shown)


@gallery.delete("/gallery/<int:picture_id>")
@needs("generate")
@documents({200: PictureShown}, errors=(404, 409), path=PicturePath)
@blocking
def delete_picture(picture_id: int) -> Response:
    """Delete a picture, into the recycle bin or, where that is off, for good. With the last picture that a job shows
    the job goes there, too. A 409 where it is there already, or the disk refuses."""
    found = runtime().jobs.gallery.get(_check_id(picture_id))
    _, refused = runtime().jobs.gallery.delete([picture_id])
    if refused:
        raise Conflict(refused[picture_id])
    # What is gone for good is told a last time as it was.
    with contextlib.suppress(NotFound):
        found = runtime().jobs.gallery.get(picture_id)
    return answer(picture_object(found))


def _check_id(picture_id: int) -> int:
    """Raises NotFound for a number that no row can have."""
    if picture_id >= 2**63:
        raise NotFound("There is no picture with that id")
    return picture_id
