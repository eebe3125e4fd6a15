"""Stores the index of pictures and what users note of them, in SQLite.

The index is what the disk says and can be built anew; the marks (stars, ratings, boards) are by path and outlive it.
Knows no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.engine import Row

from sdcpp_rest.core.gallery import (
    Board,
    Facet,
    GalleryFilter,
    GalleryOrder,
    GalleryPicture,
    Marks,
    PictureFacts,
    PictureRow,
    Place,
    Seat,
    original_path,
)
from sdcpp_rest.errors import Conflict, NotFound
from sdcpp_rest.store import gallery_queries as queries
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import stamp, storable

_IDS_PER_QUERY = 500
_FACTS = (
    "path", "folder", "job_id", "number", "taken_ms", "kind", "size_bytes", "modified_ns", "width", "height", "frames",
    "duration", "prompt", "negative_prompt", "title", "model", "architecture", "seed", "loras", "fold",
)  # fmt: skip
_SET = ", ".join(f"{name} = excluded.{name}" for name in _FACTS if name != "path")
# The record of an older job does not tell its group.
_FOLD = "coalesce((SELECT 'group:' || group_id FROM jobs WHERE id = :job_id), :fold)"
_MARKED = "(SELECT {0} FROM picture_marks WHERE path = :path)"
_PUT = text(
    f"INSERT INTO pictures ({', '.join(_FACTS)}, is_starred, rating, board) "
    f"VALUES ({', '.join(':' + name for name in _FACTS[:-1])}, {_FOLD}, coalesce({_MARKED.format('is_starred')}, 0), "
    f"coalesce({_MARKED.format('rating')}, 0), {_MARKED.format('board')}) "
    f"ON CONFLICT (path) DO UPDATE SET {_SET}, place = 'shown', deleted_at = NULL RETURNING id"
)
_FORGET_LORAS = text("DELETE FROM picture_loras WHERE picture_id = :id")
_PUT_LORA = text("INSERT INTO picture_loras (lora, picture_id) VALUES (:lora, :id) ON CONFLICT DO NOTHING")
_IN_FOLDER = text("SELECT id, path FROM pictures WHERE folder = :folder AND place = 'shown'")
_DROP = text("DELETE FROM pictures WHERE id = :id")
_PUT_FOLDER = text(
    "INSERT INTO scanned_folders (folder, modified_ns) VALUES (:folder, :modified_ns) "
    "ON CONFLICT (folder) DO UPDATE SET modified_ns = excluded.modified_ns"
)
_DROP_FOLDER = text("DELETE FROM scanned_folders WHERE folder = :folder")
_MARK = text(
    "INSERT INTO picture_marks (path, is_starred, rating, board) SELECT :path, :is_starred, :rating, :board "
    "WHERE true ON CONFLICT (path) DO UPDATE SET is_starred = excluded.is_starred, rating = excluded.rating, "
    "board = excluded.board"
)
_UNMARK = text("DELETE FROM picture_marks WHERE path = :path")
_UPDATE_MARKS = text("UPDATE pictures SET is_starred = :is_starred, rating = :rating, board = :board WHERE id = :id")
# One star for a picture, wherever it is looked at. A star without its original is all that is left of a name.
_STAR_NAME = text(
    "UPDATE picture_names SET is_starred = :is_starred WHERE is_present = 1 AND (job_id, output) IN "
    "(SELECT job_id, number FROM pictures WHERE id = :id)"
)
_GIVE_WAY = text("DELETE FROM pictures WHERE path = :path AND id != :id")
_MOVE = text("UPDATE pictures SET place = :place, path = :path, deleted_at = :deleted_at WHERE id = :id")
_JOB_TO_BIN = text(
    "UPDATE pictures SET place = 'job_bin', deleted_at = :deleted_at WHERE job_id = :job_id AND place = 'shown'"
)
_JOB_BACK = text("UPDATE pictures SET place = 'shown', deleted_at = NULL WHERE job_id = :job_id AND place = 'job_bin'")
_OF_JOB = text("SELECT id, path FROM pictures WHERE job_id = :job_id AND place IN ('shown', 'job_bin')")
_BELOW = text(
    "SELECT id, path FROM pictures WHERE place = 'shown' AND (path = :path OR (path >= :first AND path < :last))"
)
_BOARDS = text(
    "SELECT name, (SELECT count(*) FROM pictures WHERE board = name AND place = 'shown'), (SELECT path FROM pictures "
    "WHERE board = name AND place = 'shown' ORDER BY taken_ms DESC, id DESC LIMIT 1) FROM boards ORDER BY name"
)
_BOARD = text("SELECT name FROM boards WHERE name = :name")
_ADD_BOARD = text("INSERT INTO boards (name, created_at) VALUES (:name, :now) ON CONFLICT DO NOTHING")
_COUNT_BOARDS = text("SELECT count(*) FROM boards")


class FolderContent(NamedTuple):
    """All pictures that lie in one folder, and the folder's own time, in nanoseconds since 1970."""

    folder: str
    modified_ns: int
    pictures: tuple[PictureFacts, ...]


class GalleryStore:
    """Stores pictures, marks and boards. Every method is one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # --- the index ---------------------------------------------------------------------------------------------------

    def put_folders(self, contents: Iterable[FolderContent]) -> int:
        """Index what lies in folders, instead of what was known of them; returns how many pictures that are."""
        total = 0
        with self._db.write() as connection:
            for content in contents:
                here = {storable(facts.path) for facts in content.pictures}
                for picture_id, path in connection.execute(_IN_FOLDER, {"folder": storable(content.folder)}).all():
                    if path not in here:
                        connection.execute(_DROP, {"id": picture_id})
                for facts in content.pictures:
                    _put(connection, facts)
                    total += 1
                named = {"folder": storable(content.folder), "modified_ns": content.modified_ns}
                connection.execute(_PUT_FOLDER, named)
        return total

    def scanned_folders(self) -> dict[str, int]:
        """The folders that were looked through, and the time that each had."""
        with self._db.read() as connection:
            rows = connection.execute(text("SELECT folder, modified_ns FROM scanned_folders"))
            return {row[0]: row[1] for row in rows}

    def drop_folders(self, folders: Iterable[str]) -> None:
        """Forget folders that are gone, with what lay in them; what is noted of it stays."""
        with self._db.write() as connection:
            for folder in folders:
                for picture_id, _ in connection.execute(_IN_FOLDER, {"folder": folder}).all():
                    connection.execute(_DROP, {"id": picture_id})
                connection.execute(_DROP_FOLDER, {"folder": folder})

    def forget_all(self) -> None:
        """Empty the index: everything is looked at again. What is in the recycle bin, and what is noted, stays."""
        with self._db.write() as connection:
            connection.execute(text("DELETE FROM pictures WHERE place = 'shown'"))
            connection.execute(text("DELETE FROM scanned_folders"))

    # --- files that move ---------------------------------------------------------------------------------------------

    def put_job_in_bin(self, job_id: str, now: datetime) -> None:
        """Note that a job's folder is in the recycle bin."""
        with self._db.write() as connection:
            connection.execute(_JOB_TO_BIN, {"job_id": job_id, "deleted_at": stamp(now)})

    def take_job_from_bin(self, job_id: str) -> None:
        """Note that a job's folder is back."""
        with self._db.write() as connection:
            connection.execute(_JOB_BACK, {"job_id": job_id})

    def move(self, picture_id: int, place: Place, path: str, deleted_at: datetime | None = None) -> None:
        """Note where a picture is now."""
        named = {"id": picture_id, "place": place, "path": path, "deleted_at": deleted_at and stamp(deleted_at)}
        with self._db.write() as connection:
            # Of a file that lay there and is gone, without the index having been told.
            connection.execute(_GIVE_WAY, named)
            connection.execute(_MOVE, named)

    def drop_job(self, job_id: str) -> None:
        """Forget the pictures of a job whose folder is gone for good, and what was noted of them."""
        with self._db.write() as connection:
            _drop_all(connection, connection.execute(_OF_JOB, {"job_id": job_id}).all())

    def drop_below(self, path: str) -> None:
        """Forget a file, or all files of a folder, that are gone for good, and what was noted of them."""
        named = {"path": path, "first": f"{path}/", "last": f"{path}0"}
        with self._db.write() as connection:
            _drop_all(connection, connection.execute(_BELOW, named).all())

    def drop(self, picture: GalleryPicture, original: str) -> None:
        """Forget a picture that is gone for good, and what was noted of it under its ``original`` path."""
        with self._db.write() as connection:
            connection.execute(_DROP, {"id": picture.id})
            connection.execute(_UNMARK, {"path": original})

    # --- what users see ----------------------------------------------------------------------------------------------

    def page(
        self, wanted: GalleryFilter, order: GalleryOrder, limit: int, after: Seat | None = None, offset: int = 0
    ) -> list[GalleryPicture]:
        """Pictures that pass, after the one at ``after``, or ``offset`` of them left out."""
        with self._db.read() as connection:
            return [_picture(row) for row in _run(connection, queries.page(wanted, order, limit, after, offset))]

    def count(self, wanted: GalleryFilter) -> int:
        """How many pass."""
        with self._db.read() as connection:
            return int(_run(connection, queries.count(wanted))[0][0])

    def folded_page(
        self, wanted: GalleryFilter, order: GalleryOrder, limit: int, after: Seat | None = None, offset: int = 0
    ) -> list[PictureRow]:
        """As `page`, with one row for those that belong together, in the order of the newest of each."""
        with self._db.read() as connection:
            found = [
                _picture(row) for row in _run(connection, queries.folded_page(wanted, order, limit, after, offset))
            ]
            ids: dict[str, list[int]] = {}
            folds = [one.facts.fold for one in found]
            for fold, picture_id in _run(connection, queries.ids_by_fold(wanted, folds, after)):
                ids.setdefault(fold, []).append(picture_id)
        return [PictureRow(one, tuple(ids.get(one.facts.fold or "", [one.id]))) for one in found]

    def count_folded(self, wanted: GalleryFilter) -> tuple[int, int]:
        """How many rows `folded_page` has in all, and how many pictures those are."""
        with self._db.read() as connection:
            rows, pictures = _run(connection, queries.count_folded(wanted))[0]
        return rows, pictures

    def ids(self, wanted: GalleryFilter, limit: int) -> list[int]:
        """The ids of those that pass, newest first."""
        with self._db.read() as connection:
            return [row[0] for row in _run(connection, queries.ids(wanted, limit))]

    def get(self, picture_id: int) -> GalleryPicture:
        """Raises NotFound."""
        found = self.get_many([picture_id])
        if not found:
            raise NotFound("There is no picture with that id")
        return found[0]

    def get_many(self, ids: Sequence[int]) -> list[GalleryPicture]:
        """Pictures in the order of their ids as given; those that are not there are left out."""
        found: dict[int, GalleryPicture] = {}
        with self._db.read() as connection:
            for start in range(0, len(ids), _IDS_PER_QUERY):
                chosen = ",".join(str(int(one)) for one in ids[start : start + _IDS_PER_QUERY])
                rows = connection.exec_driver_sql(f"SELECT {queries.COLUMNS} FROM pictures WHERE id IN ({chosen})")
                found |= {row[0]: _picture(row) for row in rows}
        return [found[one] for one in dict.fromkeys(ids) if one in found]

    def of_job(self, job_id: str) -> list[GalleryPicture]:
        """The pictures of a job, wherever they are."""
        query = f"SELECT {queries.COLUMNS} FROM pictures WHERE job_id = :job_id ORDER BY number"
        with self._db.read() as connection:
            return [_picture(row) for row in connection.execute(text(query), {"job_id": storable(job_id)})]

    def in_bin(self, deleted_before: datetime | None = None) -> list[GalleryPicture]:
        """Those that are in the recycle bin by themselves, or were there before a moment; oldest first."""
        query = f"SELECT {queries.COLUMNS} FROM pictures WHERE place = 'bin'"
        named = {}
        if deleted_before is not None:
            query, named = query + " AND deleted_at < :before", {"before": stamp(deleted_before)}
        with self._db.read() as connection:
            return [_picture(row) for row in connection.execute(text(query + " ORDER BY deleted_at, id"), named)]

    def days(self, wanted: GalleryFilter, zone_minutes: int, *, is_folded: bool = False) -> list[tuple[int, int]]:
        """Days since 1970 with pictures that pass, in a zone so far east of UTC, and how many; newest first.
        ``is_folded``: the rows of `folded_page`."""
        with self._db.read() as connection:
            rows = _run(connection, queries.days(wanted, zone_minutes * 60_000, is_folded))
            return [(day, number) for day, number in rows]

    def facets(self, wanted: GalleryFilter, limit: int) -> dict[str, list[Facet]]:
        """By ``models``, ``loras``, ``architectures`` and ``kinds``: which values those that pass have."""
        columns = {"models": "model", "architectures": "architecture", "kinds": "kind"}
        built = {name: queries.values(column, wanted, limit) for name, column in columns.items()}
        built["loras"] = queries.loras(wanted, limit)
        with self._db.read() as connection:
            return {name: [Facet(*row) for row in _run(connection, query)] for name, query in built.items()}

    # --- marks -------------------------------------------------------------------------------------------------------

    def mark(self, ids: Sequence[int], marks: Marks, now: datetime, most_boards: int) -> list[int]:
        """Note something of pictures; returns of which ones. A board that is new is made. Raises Conflict for one board
        too many."""
        changed: list[int] = []
        with self._db.write() as connection:
            board = _board(connection, marks.board, now, most_boards) if marks.board else None
            for start in range(0, len(ids), _IDS_PER_QUERY):
                chosen = ",".join(str(int(one)) for one in ids[start : start + _IDS_PER_QUERY])
                query = f"SELECT id, path, place, is_starred, rating, board FROM pictures WHERE id IN ({chosen})"
                for picture_id, path, place, is_starred, rating, old_board in connection.exec_driver_sql(query).all():
                    named = {
                        "id": picture_id,
                        "path": original_path(picture_id, path) if place == "bin" else path,
                        "is_starred": int(is_starred if marks.is_starred is None else marks.is_starred),
                        "rating": rating if marks.rating is None else marks.rating,
                        "board": old_board if marks.board is None else board,
                    }
                    connection.execute(_MARK, named)
                    connection.execute(_UPDATE_MARKS, named)
                    connection.execute(_STAR_NAME, named)
                    changed.append(picture_id)
        return changed

    def boards(self) -> list[Board]:
        """All boards, by name."""
        with self._db.read() as connection:
            return [Board(*row) for row in connection.execute(_BOARDS)]

    def put_board(self, name: str, now: datetime, most: int) -> bool:
        """Make a board; False where it is there. Raises Conflict for one too many."""
        with self._db.write() as connection:
            is_new = connection.execute(_BOARD, {"name": storable(name)}).one_or_none() is None
            _board(connection, name, now, most)
        return is_new

    def rename_board(self, name: str, to: str) -> None:
        """Give a board another name; its pictures go along. Raises NotFound, Conflict."""
        with self._db.write() as connection:
            known = _known_board(connection, name)
            other = connection.execute(_BOARD, {"name": storable(to)}).scalar_one_or_none()
            if other is not None and other != known:
                raise Conflict(f"There is a board {other!r} already")
            connection.execute(
                text("UPDATE boards SET name = :to WHERE name = :name"), {"name": known, "to": storable(to)}
            )
            _replace_board(connection, known, storable(to))

    def drop_board(self, name: str) -> None:
        """Forget a board; its pictures stay. Raises NotFound."""
        with self._db.write() as connection:
            known = _known_board(connection, name)
            connection.execute(text("DELETE FROM boards WHERE name = :name"), {"name": known})
            _replace_board(connection, known, None)


def _run(connection: Connection, query: queries.Query) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query[0]), query[1])]


def _put(connection: Connection, facts: PictureFacts) -> None:
    row = {**facts._asdict(), "loras": json.dumps(facts.loras)}
    named = {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}
    picture_id = connection.execute(_PUT, named).scalar_one()
    connection.execute(_FORGET_LORAS, {"id": picture_id})
    for lora in facts.loras:
        connection.execute(_PUT_LORA, {"lora": storable(lora), "id": picture_id})


def _drop_all(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    for picture_id, path in map(tuple[Any, ...], rows):
        connection.execute(_DROP, {"id": picture_id})
        connection.execute(_UNMARK, {"path": path})


def _board(connection: Connection, name: str, now: datetime, most: int) -> str:
    """The board as it is spelled, made if need be."""
    known = connection.execute(_BOARD, {"name": storable(name)}).scalar_one_or_none()
    if known is not None:
        return str(known)
    if connection.execute(_COUNT_BOARDS).scalar_one() >= most:
        raise Conflict(f"There are {most} boards, and no more can be made", limit=most)
    connection.execute(_ADD_BOARD, {"name": storable(name), "now": stamp(now)})
    return storable(name)


def _known_board(connection: Connection, name: str) -> str:
    known = connection.execute(_BOARD, {"name": storable(name)}).scalar_one_or_none()
    if known is None:
        raise NotFound("There is no board of that name")
    return str(known)


def _replace_board(connection: Connection, name: str, to: str | None) -> None:
    for table in ("pictures", "picture_marks"):
        connection.execute(text(f"UPDATE {table} SET board = :to WHERE board = :name"), {"name": name, "to": to})


def _picture(row: Iterable[Any]) -> GalleryPicture:
    picture_id, place, deleted_at, is_starred, rating, board, *facts, loras, fold = row
    known = PictureFacts._make([*facts, tuple(json.loads(loras)), fold])
    return GalleryPicture(picture_id, place, deleted_at, bool(is_starred), rating, board, known)
