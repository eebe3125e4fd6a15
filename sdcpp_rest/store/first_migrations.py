"""Takes the first steps of `migrations`, the ones of the first releases: they never change."""

from __future__ import annotations

import json

from sqlalchemy.engine import Connection


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


def _architecture_of(load_spec: str) -> str | None:
    """As this step found it in the rows of its time; whatever cannot be read has none."""
    try:
        found = json.loads(load_spec).get("architecture")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
