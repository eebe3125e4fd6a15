"""Creates and updates the tables by a list of numbered steps: append only, a released step never changes.

The number of steps already taken is the file's ``user_version``. Each step and its number are one transaction, so a
power cut leaves the file before or after a step, never inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from sqlalchemy.engine import Connection

from sdcpp_rest.store.first_migrations import (
    m001_jobs_and_settings,
    m002_file_hashes,
    m003_recycle_bin_and_filters,
    m004_language_model_history,
    m005_captions,
    m006_picture_names,
    m007_parameter_presets,
    m008_notes,
    m009_kept_calls,
)

Migration: TypeAlias = Callable[[Connection], None]


def m010_gallery(connection: Connection) -> None:
    """An index of the pictures in the output folder, and what users note of them.

    ``pictures`` can be built anew from the disk at any time; ``picture_marks`` cannot, and is by path: what is scanned
    again, or comes back, is starred as before. ``place`` is 'shown', or 'bin' (by itself) or 'job_bin' (with its job).
    ``pictures_narrow`` holds all that pages are filtered by: no row is read but those of the page.
    ``scanned_folders``: a folder whose own time has not changed holds what it held.
    """
    connection.exec_driver_sql(
        """
        CREATE TABLE pictures (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            place TEXT NOT NULL DEFAULT 'shown' CHECK (place IN ('shown', 'bin', 'job_bin')),
            path TEXT NOT NULL UNIQUE,
            folder TEXT NOT NULL,
            job_id TEXT,
            number INTEGER NOT NULL,
            taken_ms INTEGER NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('image', 'video')),
            size_bytes INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            width INTEGER,
            height INTEGER,
            frames INTEGER,
            duration REAL,
            seed INTEGER,
            model TEXT NOT NULL DEFAULT '',
            architecture TEXT NOT NULL DEFAULT '',
            is_starred INTEGER NOT NULL DEFAULT 0 CHECK (is_starred IN (0, 1)),
            rating INTEGER NOT NULL DEFAULT 0 CHECK (rating BETWEEN 0 AND 5),
            board TEXT,
            deleted_at TEXT,
            title TEXT NOT NULL DEFAULT '',
            loras TEXT NOT NULL DEFAULT '[]',
            prompt TEXT NOT NULL DEFAULT '',
            negative_prompt TEXT NOT NULL DEFAULT ''
        )
        """
    )
    connection.exec_driver_sql(
        "CREATE INDEX pictures_narrow ON pictures (place, taken_ms, id, kind, model, architecture, is_starred, rating, "
        "board, seed, width, height)"
    )
    connection.exec_driver_sql("CREATE INDEX pictures_by_model ON pictures (model, place, taken_ms, id)")
    connection.exec_driver_sql("CREATE INDEX pictures_by_board ON pictures (board, place, taken_ms, id)")
    connection.exec_driver_sql("CREATE INDEX pictures_by_job ON pictures (job_id, number)")
    connection.exec_driver_sql("CREATE INDEX pictures_by_folder ON pictures (folder)")
    connection.exec_driver_sql(
        """
        CREATE TABLE picture_loras (
            lora TEXT NOT NULL COLLATE NOCASE,
            picture_id INTEGER NOT NULL REFERENCES pictures (id) ON DELETE CASCADE,
            PRIMARY KEY (lora, picture_id)
        ) WITHOUT ROWID
        """
    )
    connection.exec_driver_sql("CREATE INDEX picture_loras_by_picture ON picture_loras (picture_id)")
    connection.exec_driver_sql(
        """
        CREATE TABLE picture_marks (
            path TEXT PRIMARY KEY,
            is_starred INTEGER NOT NULL DEFAULT 0 CHECK (is_starred IN (0, 1)),
            rating INTEGER NOT NULL DEFAULT 0 CHECK (rating BETWEEN 0 AND 5),
            board TEXT
        ) WITHOUT ROWID
        """
    )
    connection.exec_driver_sql(
        "CREATE TABLE boards (name TEXT PRIMARY KEY COLLATE NOCASE, created_at TEXT NOT NULL) WITHOUT ROWID"
    )
    connection.exec_driver_sql(
        "CREATE TABLE scanned_folders (folder TEXT PRIMARY KEY, modified_ns INTEGER NOT NULL) WITHOUT ROWID"
    )
    # The words lie in the rows; of those only what is shown is in the index, so that its counts need no row.
    connection.exec_driver_sql(
        "CREATE VIRTUAL TABLE pictures_text USING fts5(prompt, negative_prompt, title, model, loras, "
        "content='pictures', content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='2 3')"
    )
    put = "INSERT INTO pictures_text (rowid, prompt, negative_prompt, title, model, loras) "
    take = "INSERT INTO pictures_text (pictures_text, rowid, prompt, negative_prompt, title, model, loras) "
    new = "new.id, new.prompt, new.negative_prompt, new.title, new.model, new.loras"
    old = new.replace("new.", "old.")
    into, out_of = (
        f"{put} SELECT {new} WHERE new.place = 'shown';",
        f"{take} SELECT 'delete', {old} WHERE old.place = 'shown';",
    )
    for name, moment, steps in (
        ("added", "AFTER INSERT", into),
        ("removed", "AFTER DELETE", out_of),
        ("changed", "AFTER UPDATE OF place, prompt, negative_prompt, title, model, loras", out_of + " " + into),
    ):
        connection.exec_driver_sql(f"CREATE TRIGGER pictures_text_{name} {moment} ON pictures BEGIN {steps} END")


def m011_preset_settings(connection: Connection) -> None:
    """Presets may hold native fields that SwarmUI has no parameter for. The table is made anew: the picture stays the
    last column."""
    connection.exec_driver_sql("ALTER TABLE parameter_presets RENAME TO presets_before")
    connection.exec_driver_sql(
        """
        CREATE TABLE parameter_presets (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            description TEXT NOT NULL,
            is_starred INTEGER NOT NULL CHECK (is_starred IN (0, 1)),
            parameters TEXT NOT NULL,
            settings TEXT NOT NULL,
            edited_ms INTEGER NOT NULL,
            has_preview INTEGER NOT NULL CHECK (has_preview IN (0, 1)),
            preview BLOB
        )
        """
    )
    connection.exec_driver_sql(
        "INSERT INTO parameter_presets SELECT seq, key, title, description, is_starred, parameters, '{}', edited_ms, "
        "has_preview, preview FROM presets_before"
    )
    connection.exec_driver_sql("DROP TABLE presets_before")


def m012_idempotency_keys(connection: Connection) -> None:
    """Answers to requests that named themselves, for those who send them again. ``seed``: what the ids of the call's
    jobs are made of. ``status`` is NULL until there is an answer. ``file_bytes``: size of a body that is kept as a
    file, 0 where it lies in the row, or nowhere any more."""
    connection.exec_driver_sql(
        """
        CREATE TABLE idempotency_keys (
            name TEXT PRIMARY KEY,
            request TEXT NOT NULL,
            seed TEXT NOT NULL,
            created_at TEXT NOT NULL,
            status INTEGER,
            headers TEXT NOT NULL DEFAULT '[]',
            file_bytes INTEGER NOT NULL DEFAULT 0,
            body BLOB
        ) WITHOUT ROWID
        """
    )
    connection.exec_driver_sql("CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at)")


def m013_job_groups(connection: Connection) -> None:
    """Which grid a job belongs to, and its place there."""
    for table in ("jobs", "recycle_bin"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN group_id TEXT")
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN grouping TEXT")
    connection.exec_driver_sql("CREATE INDEX jobs_by_group ON jobs (group_id, seq) WHERE group_id IS NOT NULL")


def m014_speeds(connection: Connection) -> None:
    """How long parts of jobs take, by what was loaded (``model``, a digest), the part, the way it is computed and the
    size class; moving averages. ``turn`` is the order of their last change: the oldest make room."""
    connection.exec_driver_sql(
        """
        CREATE TABLE speeds (
            model TEXT NOT NULL,
            part TEXT NOT NULL,
            way TEXT NOT NULL,
            size INTEGER NOT NULL,
            seconds REAL NOT NULL,
            amount REAL NOT NULL,
            jobs INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            PRIMARY KEY (model, part, way, size)
        ) WITHOUT ROWID
        """
    )
    connection.exec_driver_sql("CREATE INDEX speeds_by_turn ON speeds (turn)")


def m015_engines(connection: Connection) -> None:
    """Which engine has a job (``engine``), which one it asked for (``device``), and whether it goes before all others
    whatever an engine holds (``front``): moved there, or given back. The indexes find the first job of a model, of
    those in front, and the oldest."""
    for table in ("jobs", "recycle_bin"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN engine TEXT")
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN device TEXT")
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN front INTEGER NOT NULL DEFAULT 0")
    connection.exec_driver_sql("UPDATE jobs SET front = 1 WHERE status = 'pending' AND priority > 0")
    connection.exec_driver_sql(
        "CREATE INDEX jobs_by_model ON jobs (load_spec_key, priority DESC, seq) WHERE status = 'pending'"
    )
    connection.exec_driver_sql(
        "CREATE INDEX jobs_in_front ON jobs (priority DESC, seq) WHERE status = 'pending' AND front = 1"
    )
    connection.exec_driver_sql("CREATE INDEX jobs_by_age ON jobs (created_at) WHERE status = 'pending'")


def m016_folds(connection: Connection) -> None:
    """Which pictures belong together: ``fold`` is 'group:' and the id of a group of jobs, else 'job:' and that of the
    job; NULL for a file of no job. ``pictures_narrow`` gets it, too: what is folded is counted without reading rows."""
    connection.exec_driver_sql("ALTER TABLE pictures ADD COLUMN fold TEXT")
    connection.exec_driver_sql("UPDATE pictures SET fold = 'job:' || job_id WHERE job_id IS NOT NULL")
    for table in ("jobs", "recycle_bin"):
        connection.exec_driver_sql(
            f"UPDATE pictures SET fold = 'group:' || {table}.group_id FROM {table} "
            f"WHERE {table}.id = pictures.job_id AND {table}.group_id IS NOT NULL"
        )
    connection.exec_driver_sql("DROP INDEX pictures_narrow")
    connection.exec_driver_sql(
        "CREATE INDEX pictures_narrow ON pictures (place, taken_ms, id, kind, model, architecture, is_starred, rating, "
        "board, seed, width, height, fold)"
    )


MIGRATIONS: tuple[Migration, ...] = (
    m001_jobs_and_settings,
    m002_file_hashes,
    m003_recycle_bin_and_filters,
    m004_language_model_history,
    m005_captions,
    m006_picture_names,
    m007_parameter_presets,
    m008_notes,
    m009_kept_calls,
    m010_gallery,
    m011_preset_settings,
    m012_idempotency_keys,
    m013_job_groups,
    m014_speeds,
    m015_engines,
    m016_folds,
)


def migrate(write: Callable[[], AbstractContextManager[Connection]], migrations: Sequence[Migration]) -> int:
    """Take the steps that the file has not taken yet; returns how many that were.

    ``write`` opens a write transaction. The version is read inside of each one: whatever happened since the last
    look is taken into account. A new file takes all steps in one, and is waited for once; an old one keeps each step
    that worked.
    """
    taken = 0
    while True:
        with write() as connection:
            version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version >= len(migrations):
                return taken
            last = len(migrations) if version == 0 else version + 1
            for step in migrations[version:last]:
                step(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {last}")
            taken += last - version
