"""Stores the names that pictures go by in a history of folders, and which of them are starred, in SQLite.

Knows jobs by their ids alone, and no file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import Row

from sdcpp_rest.core.named_picture import NamedPicture
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_rows import storable

_COLUMNS = "path, job_id, output, is_present, is_starred"
_OF_OUTPUT = text("SELECT path FROM picture_names WHERE job_id = :job_id AND output = :output")
# A picture that was starred before it had a name has its star under the name, too.
_ADD = text(
    "INSERT INTO picture_names (path, job_id, output, is_starred) VALUES (:path, :job_id, :output, coalesce((SELECT "
    "is_starred FROM pictures WHERE job_id = :job_id AND number = :output), 0)) ON CONFLICT DO NOTHING"
)
_FIND = text(f"SELECT {_COLUMNS} FROM picture_names WHERE path = :path")
_BELOW = text(
    f"SELECT {_COLUMNS} FROM picture_names WHERE path >= :first AND path < :last AND "
    "EXISTS (SELECT 1 FROM jobs WHERE jobs.id = picture_names.job_id) AND NOT EXISTS (SELECT 1 FROM pictures WHERE "
    "pictures.job_id = picture_names.job_id AND pictures.number = picture_names.output AND place = 'bin') "
    "ORDER BY path DESC LIMIT :limit"
)
_MARK = text("UPDATE picture_names SET is_present = :is_present, is_starred = :is_starred WHERE path = :path")
_OF_NAME = "(SELECT job_id, output FROM picture_names WHERE path = :path)"
_STAR = text(f"UPDATE pictures SET is_starred = :is_starred WHERE (job_id, number) IN {_OF_NAME}")
_NOTE_STAR = text(
    "INSERT INTO picture_marks (path, is_starred, rating, board) SELECT path, is_starred, rating, board FROM pictures "
    f"WHERE place != 'bin' AND (job_id, number) IN {_OF_NAME} "
    "ON CONFLICT (path) DO UPDATE SET is_starred = excluded.is_starred"
)
_DROP = text("DELETE FROM picture_names WHERE path = :path")
_DROP_JOB = text("DELETE FROM picture_names WHERE job_id = :job_id")
_UNNAMED = text(
    "SELECT id FROM jobs WHERE status = 'completed' AND outputs != '[]' AND kind IN ('txt2img', 'img2img', 'txt2vid', "
    "'upscale') AND NOT EXISTS (SELECT 1 FROM picture_names WHERE picture_names.job_id = jobs.id) ORDER BY seq "
    "LIMIT :limit"
)


class PictureNames:
    """Stores names of pictures. Every method is one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def assign(self, wanted: Iterable[tuple[str, int, Iterable[str]]]) -> list[str]:
        """The names of outputs, each told as its job, its number and candidates: the name it has, else the first of the
        candidates that is free. Raises ValueError when none is."""
        with self._db.write() as connection:
            return [_assign(connection, job_id, output, candidates) for job_id, output, candidates in wanted]

    def find(self, path: str) -> NamedPicture | None:
        """The picture of that name."""
        with self._db.read() as connection:
            row = connection.execute(_FIND, {"path": storable(path)}).one_or_none()
        return _picture(row) if row is not None else None

    def list_below(self, folder: str, limit: int) -> list[NamedPicture]:
        """Names of jobs that are there, which begin with ``folder`` (empty, or with a slash at its end), the last one
        first."""
        first = storable(folder)
        # The character after the slash ends what begins with it.
        last = first[:-1] + chr(ord(first[-1]) + 1) if first else chr(0x10FFFF)
        named = {"first": first, "last": last, "limit": limit}
        with self._db.read() as connection:
            return [_picture(row) for row in connection.execute(_BELOW, named)]

    def mark(self, path: str, *, is_present: bool, is_starred: bool) -> None:
        """Note what is left of a picture; nothing: forget it."""
        named = {"path": storable(path), "is_present": int(is_present), "is_starred": int(is_starred)}
        with self._db.write() as connection:
            if is_present or is_starred:
                connection.execute(_MARK, named)
                # One star for a picture, wherever it is looked at.
                connection.execute(_STAR, named)
                connection.execute(_NOTE_STAR, named)
            else:
                connection.execute(_DROP, {"path": named["path"]})

    def forget_job(self, job_id: str) -> None:
        """Forget the names of a job's outputs."""
        with self._db.write() as connection:
            connection.execute(_DROP_JOB, {"job_id": job_id})

    def unnamed_jobs(self, limit: int) -> list[str]:
        """Completed jobs whose outputs have no names yet, the oldest first."""
        with self._db.read() as connection:
            return [str(row[0]) for row in connection.execute(_UNNAMED, {"limit": limit})]


def _assign(connection: Connection, job_id: str, output: int, candidates: Iterable[str]) -> str:
    key = {"job_id": job_id, "output": output}
    known = connection.execute(_OF_OUTPUT, key).scalar_one_or_none()
    if known is not None:
        return str(known)
    for path in map(storable, candidates):
        if connection.execute(_ADD, {**key, "path": path}).rowcount:
            return path
    raise ValueError("no name is free")


def _picture(row: Row[Any]) -> NamedPicture:
    path, job_id, output, is_present, is_starred = tuple[Any, ...](row)
    return NamedPicture(path, job_id, output, bool(is_present), bool(is_starred))
