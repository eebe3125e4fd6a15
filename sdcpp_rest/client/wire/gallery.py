"""Types the words of the wire about finished pictures.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, Required, TypedDict


class BatchDone(TypedDict):
    """What became of them."""

    success: bool
    changed: int
    failed: int
    errors: list[NotChanged]


class BoardBody(TypedDict, total=False):
    """The body of `PATCH /gallery/boards/{name}`."""

    name: Required[str]


class BoardChanged(TypedDict):
    """The answer of `DELETE /gallery/boards/{name}`."""

    success: Literal[True]
    name: str
    warnings: NotRequired[list[str]]


class BoardShown(TypedDict):
    """A part of `BoardsShown`."""

    name: str
    count: int
    cover: str | None


class BoardsShown(TypedDict):
    """The answer of `GET /gallery/boards`."""

    boards: list[BoardShown]


class DayCount(TypedDict):
    """A part of `MonthCount`."""

    date: str
    count: int


class FacetsShown(TypedDict):
    """What pictures are told apart by: the most frequent values first."""

    models: list[ValueCount]
    loras: list[ValueCount]
    architectures: list[ValueCount]
    kinds: list[ValueCount]


class GalleryFilterBody(TypedDict, total=False):
    """Which pictures: those that pass all of it."""

    q: str
    model: str
    lora: str
    architecture: str
    kind: Literal["image", "video"]
    starred: bool
    board: str
    rating: int
    seed: int
    width: int
    height: int
    job_id: str
    group: str
    before: str
    after: str
    deleted: bool


class GalleryShown(TypedDict):
    """A page of pictures."""

    total: int
    pictures: NotRequired[int]
    next: str | None
    items: list[PictureItem]


class GroupOfPictures(TypedDict):
    """The pictures that a row stands for: those of a job, or of a group of jobs, that pass."""

    id: str
    count: int
    ids: list[int]


class MarksBody(TypedDict, total=False):
    """What is left out stays as it is."""

    starred: bool
    rating: int
    board: str


class MonthCount(TypedDict):
    """A part of `MonthsShown`."""

    month: str
    count: int
    days: list[DayCount]


class MonthsShown(TypedDict):
    """When pictures were finished: a scrollbar's marks."""

    total: int
    months: list[MonthCount]


class NotChanged(TypedDict):
    """A part of `BatchDone`."""

    id: int
    error: str


class PictureItem(TypedDict):
    """A picture or a video, in short."""

    id: int
    job_id: NotRequired[str]
    index: int
    path: str
    version: str
    thumb: str
    kind: Literal["image", "video"]
    width: NotRequired[int]
    height: NotRequired[int]
    frames: NotRequired[int]
    duration: NotRequired[float]
    prompt: str
    model: NotRequired[str]
    seed: NotRequired[int]
    created_at: str
    starred: bool
    rating: int
    board: NotRequired[str]
    group: NotRequired[GroupOfPictures]


class ScanBody(TypedDict, total=False):
    """The body of `POST /gallery/scan`."""

    anew: bool


class Scanned(TypedDict):
    """The answer of `POST /gallery/scan`."""

    success: Literal[True]
    read: int
    total: int
    warnings: NotRequired[list[str]]


class SelectionBody(TypedDict, total=False):
    """Which pictures: by their numbers, or all that pass a filter."""

    ids: list[int]
    filter: GalleryFilterBody


class ValueCount(TypedDict):
    """A part of `FacetsShown`."""

    value: str
    count: int


class BatchBody(SelectionBody, total=False):
    """What is to become of them."""

    action: Required[Literal["star", "unstar", "rate", "board", "delete", "restore"]]
    rating: int
    board: str


class DaysQuery(GalleryFilterBody, total=False):
    """The query of `GET /gallery/months`."""

    utc_offset: int
    grouped: bool


class GalleryQuery(GalleryFilterBody, total=False):
    """The query of `GET /gallery`."""

    limit: int
    cursor: str
    offset: int
    order: Literal["desc", "asc"]
    grouped: bool


class PictureShown(PictureItem):
    """All that the gallery knows of a picture; with what it was drawn, its job tells."""

    negative_prompt: str
    title: NotRequired[str]
    architecture: NotRequired[str]
    loras: list[str]
    size_bytes: int
    place: Literal["shown", "bin", "job_bin"]
    deleted_at: NotRequired[str]
    warnings: NotRequired[list[str]]


class ZipQuery(GalleryFilterBody, total=False):
    """The query of `GET /gallery/zip`."""

    ids: list[str]
