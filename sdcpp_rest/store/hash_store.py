"""Stores SHA-256 sums of files in SQLite, as long as a file keeps its size and its time.

Knows nothing of models, and reads no file.
"""

from __future__ import annotations

from sqlalchemy import text

from sdcpp_rest.store.database import Database

_GET = text("SELECT sha256 FROM file_hashes WHERE path = :path AND size_bytes = :size_bytes AND mtime_ns = :mtime_ns")
_ALL = text("SELECT path, size_bytes, mtime_ns, sha256 FROM file_hashes")
_PUT = text(
    "INSERT INTO file_hashes (path, size_bytes, mtime_ns, sha256) VALUES (:path, :size_bytes, :mtime_ns, :sha256) "
    "ON CONFLICT (path) DO UPDATE SET size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, "
    "sha256 = excluded.sha256"
)

_MOVE = text("UPDATE OR REPLACE file_hashes SET path = :target WHERE path = :source")


class HashSnapshot:
    """Holds all sums of one moment, for a listing that would otherwise ask the database once per file."""

    def __init__(self, sums: dict[tuple[str, int, int], str]) -> None:
        self._sums = sums

    def get(self, path: str, size_bytes: int, mtime_ns: int) -> str | None:
        return self._sums.get((_storable(path), size_bytes, mtime_ns))


class HashStore:
    """Stores one sum per path: a file that was rewritten replaces its own row, so the table does not grow with time."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, path: str, size_bytes: int, mtime_ns: int) -> str | None:
        """The sum in hex, if it was computed for a file of exactly this size and time."""
        key = {"path": _storable(path), "size_bytes": size_bytes, "mtime_ns": mtime_ns}
        with self._db.read() as connection:
            found: str | None = connection.execute(_GET, key).scalar_one_or_none()
        return found

    def put(self, path: str, size_bytes: int, mtime_ns: int, sha256: str) -> None:
        row = {"path": _storable(path), "size_bytes": size_bytes, "mtime_ns": mtime_ns, "sha256": sha256}
        with self._db.write() as connection:
            connection.execute(_PUT, row)

    def move(self, source: str, target: str) -> None:
        """Note that the file at ``source`` lies at ``target`` now."""
        with self._db.write() as connection:
            connection.execute(_MOVE, {"source": _storable(source), "target": _storable(target)})

    def known_hashes(self) -> HashSnapshot:
        with self._db.read() as connection:
            return HashSnapshot({(row[0], row[1], row[2]): row[3] for row in connection.execute(_ALL)})


def _storable(path: str) -> str:
    """File names are bytes on POSIX; those that are no UTF-8 come as lone surrogates, which SQLite cannot hold."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
