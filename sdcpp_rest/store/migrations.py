"""The tables, as a list of numbered steps from an empty file to today's: append only, a released step never changes.

The number of steps already taken is the file's ``user_version``. Each step and its number are one transaction, so a
power cut leaves the file before or after a step, never inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from sqlalchemy.engine import Connection

Migration: TypeAlias = Callable[[Connection], None]


def m001_jobs_and_settings(connection: Connection) -> None:
    """``seq`` is the order of submission (AUTOINCREMENT: never used twice, also after the newest job was deleted).

    The wide JSON columns come last: a listing that filters 10,000 rows then reads the narrow front of each row only.
    Times are ISO-8601 in UTC with microseconds, so that they sort as text.
    """
    connection.exec_driver_sql(
        """
        CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
            priority INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL,
            started_at TEXT,
            completed_at TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            origin TEXT NOT NULL,
            owner TEXT,
            title TEXT,
            model_name TEXT,
            load_spec_key TEXT,
            error TEXT,
            error_code TEXT,
            search_text TEXT NOT NULL DEFAULT '',
            outputs TEXT NOT NULL DEFAULT '[]',
            warnings TEXT NOT NULL DEFAULT '[]',
            timings TEXT NOT NULL DEFAULT '{}',
            inputs TEXT NOT NULL DEFAULT '{}',
            params TEXT NOT NULL DEFAULT '{}',
            load_spec TEXT
        )
        """
    )
    # The queue order of the claim; also what counts() counts, without reading a single row.
    connection.exec_driver_sql(
        "CREATE INDEX jobs_by_queue_order ON jobs (status, priority DESC, seq, kind, load_spec_key)"
    )
    connection.exec_driver_sql("CREATE INDEX jobs_by_status ON jobs (status, seq)")
    connection.exec_driver_sql("CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")


def m002_file_hashes(connection: Connection) -> None:
    """The size and the time that a file had when its sum was computed: a sum counts only while both are the same."""
    connection.exec_driver_sql(
        """
        CREATE TABLE file_hashes (
            path TEXT PRIMARY KEY,
            size_bytes INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            sha256 TEXT NOT NULL
        ) WITHOUT ROWID
        """
    )


MIGRATIONS: tuple[Migration, ...] = (m001_jobs_and_settings, m002_file_hashes)


def migrate(write: Callable[[], AbstractContextManager[Connection]], migrations: Sequence[Migration]) -> int:
    """Take the steps that the file has not taken yet; returns how many that were.

    ``write`` opens a write transaction. The version is read inside of each one: whatever happened since the last
    look is taken into account.
    """
    taken = 0
    while True:
        with write() as connection:
            version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version >= len(migrations):
                return taken
            migrations[version](connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {version + 1}")
            taken += 1
