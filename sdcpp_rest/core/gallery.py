"""Defines what the gallery knows of a picture, and which ones are asked for.

Pure words; the store makes queries of them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from sdcpp_rest.core.frozen import Frozen

PictureKind = Literal["image", "video"]
Place = Literal["shown", "bin", "job_bin"]
"""Where a picture is: in the output folder, in the recycle bin by itself, or there with its whole job."""

GalleryOrder = Literal["desc", "asc"]

_BINNED = ".bin/.pictures"


class PictureFacts(NamedTuple):
    """What is indexed of one file, all of which its folder tells: the index can be built anew from the disk.

    ``path`` is relative to the output folder. ``taken_ms``: when it was finished, in milliseconds since 1970.
    ``number``: its place among the outputs of its job. ``duration`` in seconds. ``fold`` names the pictures that belong
    together, see `fold_of`; ``None``: it stands alone.
    """

    path: str
    folder: str
    job_id: str | None
    number: int
    taken_ms: int
    kind: PictureKind
    size_bytes: int
    modified_ns: int
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    duration: float | None = None
    prompt: str = ""
    negative_prompt: str = ""
    title: str = ""
    model: str = ""
    architecture: str = ""
    seed: int | None = None
    loras: tuple[str, ...] = ()
    fold: str | None = None


class GalleryPicture(NamedTuple):
    """A picture of the gallery: its number there, where it is, what users have noted of it, and what it is."""

    id: int
    place: Place
    deleted_at: str | None
    is_starred: bool
    rating: int
    board: str | None
    facts: PictureFacts


class PictureRow(NamedTuple):
    """One row of the gallery: the newest of some pictures that belong together, and the ids of all of them, newest
    first."""

    picture: GalleryPicture
    ids: tuple[int, ...]


class GalleryFilter(Frozen):
    """A picture passes when all of these hold; the defaults let every picture pass that is not in the recycle bin.

    ``words``: each occurs in prompt, negative prompt, title, model or LoRAs, as the beginning of a word;
    ``phrases`` occur as they are; none of ``without`` does. ``group``: the `PictureFacts.fold` of those that belong
    together. ``before`` and ``after``: finished before, or not before, that moment.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    model: str | None = None
    lora: str | None = None
    architecture: str | None = None
    kind: PictureKind | None = None
    is_starred: bool | None = None
    board: str | None = None
    rating_min: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    job_id: str | None = None
    group: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    is_deleted: bool = False


class Seat(NamedTuple):
    """A place in the order of the gallery: that of the picture with this moment and this id.

    ``until_ms``: what came after that moment does not belong to this walk. It would move what it belongs with to where
    the walk has been already.
    """

    taken_ms: int
    id: int
    until_ms: int | None = None


@dataclass(frozen=True)
class Board:
    """A named collection of pictures."""

    name: str
    count: int
    cover: str | None


@dataclass(frozen=True)
class Facet:
    """A value that pictures have, and how many do."""

    value: str
    count: int


class Marks(NamedTuple):
    """What a user wants noted; ``None``: as it is. An empty board: none."""

    is_starred: bool | None = None
    rating: int | None = None
    board: str | None = None


def fold_of(job_id: str, group_id: str | None) -> str:
    """What names the pictures that belong together: those of one group of jobs, else those of one job."""
    return f"job:{job_id}" if group_id is None else f"group:{group_id}"


def is_searchable(word: str) -> bool:
    """Whether the index of words has anything of it: letters and digits of any script."""
    categories = map(unicodedata.category, word)
    return any(category[0] in "LN" or category == "Co" for category in categories)


def path_in_bin(picture_id: int, path: str) -> str:
    """The path that the row of a picture has while it is in the recycle bin by itself: no other file can have it."""
    return f"{_BINNED}/{picture_id}/{path}"


def original_path(picture_id: int, path: str) -> str:
    """Where the picture was before."""
    return path.removeprefix(f"{_BINNED}/{picture_id}/")
