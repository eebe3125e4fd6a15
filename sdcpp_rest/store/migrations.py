"""Creates and updates the tables by a list of numbered steps: append only, a released step never changes.

The number of steps already taken is the file's ``user_version``. Each step and its number are one transaction, so a
power cut leaves the file before or after a step, never inside.
"""

from __future__ import annotations

import json
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


def m003_recycle_bin_and_filters(connection: Connection) -> None:
    """Deleted jobs move, whole, to a table of their own: no query about the queue can forget to leave them out.

    ``architecture`` is the one in the load spec, for filters. The last index is what those read instead of the rows,
    most of which are JSON; it begins as the one that it replaces.
    """
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN architecture TEXT")
    stored = connection.exec_driver_sql("SELECT DISTINCT load_spec FROM jobs WHERE load_spec IS NOT NULL").scalars()
    for load_spec in stored.all():
        connection.exec_driver_sql(
            "UPDATE jobs SET architecture = ? WHERE load_spec = ?", (_architecture_of(load_spec), load_spec)
        )
    connection.exec_driver_sql(
        """
        CREATE TABLE recycle_bin (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('completed', 'failed', 'cancelled')),
            priority INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            started_at TEXT,
            completed_at TEXT,
            attempts INTEGER NOT NULL,
            origin TEXT NOT NULL,
            owner TEXT,
            title TEXT,
            model_name TEXT,
            load_spec_key TEXT,
            error TEXT,
            error_code TEXT,
            search_text TEXT NOT NULL,
            outputs TEXT NOT NULL,
            warnings TEXT NOT NULL,
            timings TEXT NOT NULL,
            inputs TEXT NOT NULL,
            params TEXT NOT NULL,
            load_spec TEXT,
            architecture TEXT,
            deleted_at TEXT NOT NULL
        )
        """
    )
    connection.exec_driver_sql("CREATE INDEX recycle_bin_by_time ON recycle_bin (deleted_at)")
    connection.exec_driver_sql("CREATE INDEX jobs_by_title ON jobs (title) WHERE title > ''")
    connection.exec_driver_sql("DROP INDEX jobs_by_status")
    connection.exec_driver_sql(
        "CREATE INDEX jobs_by_filters ON jobs (status, seq, kind, architecture, created_at, title)"
    )


def m004_language_model_history(connection: Connection) -> None:
    """What the prompt enhancer did, well or not, and what was said to the assistant; ``seq`` is the order of both."""
    connection.exec_driver_sql(
        """
        CREATE TABLE enhancements (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL,
            success INTEGER NOT NULL CHECK (success IN (0, 1)),
            model_used TEXT NOT NULL,
            original_prompt TEXT NOT NULL,
            enhanced_prompt TEXT NOT NULL,
            error_message TEXT NOT NULL
        )
        """
    )
    connection.exec_driver_sql(
        """
        CREATE TABLE assistant_messages (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
            created_at TEXT NOT NULL,
            content TEXT NOT NULL,
            actions TEXT NOT NULL
        )
        """
    )


def m005_captions(connection: Connection) -> None:
    """The text that goes into a job's pictures in place of our own, where a dialect's clients read another one."""
    for table in ("jobs", "recycle_bin"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN caption TEXT")


def m006_picture_names(connection: Connection) -> None:
    """Names that pictures go by in a history of folders, and which of them are starred. A row without ``is_present``
    is a starred copy whose original was deleted."""
    connection.exec_driver_sql(
        """
        CREATE TABLE picture_names (
            path TEXT PRIMARY KEY,
            job_id TEXT NOT NULL,
            output INTEGER NOT NULL,
            is_present INTEGER NOT NULL DEFAULT 1 CHECK (is_present IN (0, 1)),
            is_starred INTEGER NOT NULL DEFAULT 0 CHECK (is_starred IN (0, 1)),
            UNIQUE (job_id, output)
        ) WITHOUT ROWID
        """
    )


def m007_parameter_presets(connection: Connection) -> None:
    """Parameters that users have saved under a title; ``key`` is the title as it is looked up, ``seq`` the order.

    The picture comes last: a list of presets reads the rows without it.
    """
    connection.exec_driver_sql(
        """
        CREATE TABLE parameter_presets (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            description TEXT NOT NULL,
            is_starred INTEGER NOT NULL CHECK (is_starred IN (0, 1)),
            parameters TEXT NOT NULL,
            edited_ms INTEGER NOT NULL,
            has_preview INTEGER NOT NULL CHECK (has_preview IN (0, 1)),
            preview BLOB
        )
        """
    )


def m008_notes(connection: Connection) -> None:
    """What a dialect has to remember of a job until it answers, as text of its own."""
    for table in ("jobs", "recycle_bin"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN note TEXT")


def m009_kept_calls(connection: Connection) -> None:
    """Calls that were answered at once and are asked for later by an id of their own, and the jobs they became.

    ``texts`` go into the pictures beside our own. A call that is forgotten takes the rows of its jobs along, not the
    jobs.
    """
    connection.exec_driver_sql(
        """
        CREATE TABLE kept_calls (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            client TEXT,
            texts TEXT NOT NULL,
            sent TEXT NOT NULL
        )
        """
    )
    connection.exec_driver_sql(
        """
        CREATE TABLE kept_call_jobs (
            job_id TEXT PRIMARY KEY,
            number INTEGER NOT NULL REFERENCES kept_calls (number) ON DELETE CASCADE,
            place INTEGER NOT NULL,
            part TEXT NOT NULL
        ) WITHOUT ROWID
        """
    )
    connection.exec_driver_sql("CREATE INDEX kept_call_jobs_by_call ON kept_call_jobs (number, place)")


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
def m016_preset_settings(connection: Connection) -> None:
    """Presets may hold native fields that SwarmUI has no parameter for. The table is made anew: the picture stays the
    last column."""
    connection.exec_driver_sql("ALTER TABLE parameter_presets RENAME TO presets_before")
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
        "INSERT INTO parameter_presets SELECT seq, key, title, description, is_starred, parameters, '{}', edited_ms, "
        "has_preview, preview FROM presets_before"
    connection.exec_driver_sql("DROP TABLE presets_before")


def _architecture_of(load_spec: str) -> str | None:
    """As this step found it in the rows of its time; whatever cannot be read has none."""
    try:
        found = json.loads(load_spec).get("architecture")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


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
    m016_preset_settings,
)


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
