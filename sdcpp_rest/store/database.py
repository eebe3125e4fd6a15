"""Opens one SQLite file in WAL mode, for the server process only, with transactions that say how durable they are.

Knows connections, transactions and what a broken file looks like. Knows nothing of jobs: the stores next door bring
their own statements, and ``migrations`` owns the tables.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import QueuePool

from sdcpp_rest.durable_files import make_folder, sync_folder
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.store.migrations import MIGRATIONS, Migration, migrate

APPLICATION_ID = 0x53444352  # "SDCR": tells our file from any other SQLite file.
BUSY_TIMEOUT_SECONDS = 10.0
OLDEST_SQLITE = (3, 35, 0)  # RETURNING

_Synchronous = Literal["FULL", "NORMAL"]


class DatabaseUnusable(SdcppRestError):
    """The database file cannot be opened, read or written; the message names the file and what is wrong."""

    code = "database_unusable"


class DatabaseDamaged(DatabaseUnusable):
    """The database file holds what SQLite cannot read as a database."""


class Database:
    """Opens and closes the database file and runs its transactions. Every method may be called from every thread.

    Readers never wait: each gets a connection of its own and sees one consistent moment. Writers take turns: SQLite
    allows one at a time anyway, and a queue of threads on our own lock is fair, where SQLite's busy loop sleeps and
    may starve one of them. A transaction commits when its ``with`` block ends and rolls back when it raises.
    """

    def __init__(self, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        """Open ``path``, creating the file and its folder if needed, and bring its tables up to date.

        Raises DatabaseUnusable if the file is damaged, foreign, from a newer version, or cannot be opened.
        """
        self.path = path
        self._turn = threading.Lock()
        self._writer: int | None = None
        self._closed = False
        self.damage: str | None = None
        """What was met of the file that SQLite could not read, in a sentence; whoever looks through it says so, too."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise DatabaseUnusable(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed.")
        self._readers = self._engine("BEGIN", "NORMAL", pool_size=8, max_overflow=-1)
        self._normal = self._engine("BEGIN IMMEDIATE", "NORMAL", pool_size=1, max_overflow=0)
        self._durable = self._engine("BEGIN IMMEDIATE", "FULL", pool_size=1, max_overflow=0)
        try:
            with self._explain_errors():
                make_folder(path.parent)
                self._claim_file(newest=len(migrations))
                migrate(self.write_durable, migrations)
                # Syncing a file does not sync the folder that lists it.
                sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def read(self) -> AbstractContextManager[Connection]:
        """A read transaction: all its statements see the same moment."""
        return self._transaction(self._readers)

    def write(self) -> AbstractContextManager[Connection]:
        """A write transaction that survives a crash of the process, but perhaps not a power cut."""
        return self._write(self._normal)

    def write_durable(self) -> AbstractContextManager[Connection]:
        """A write transaction that is on the disk when the block ends, and every earlier one with it."""
        return self._write(self._durable)

    def close(self) -> None:
        """Close all idle connections; the last one folds the WAL into the file. Safe to call twice."""
        self._closed = True
        for engine in (self._readers, self._durable, self._normal):
            engine.dispose()

    @contextlib.contextmanager
    def _write(self, engine: Engine) -> Iterator[Connection]:
        if self._writer == threading.get_ident():
            raise RuntimeError("a write transaction cannot be opened inside another one")
        with self._turn:
            self._writer = threading.get_ident()
            try:
                with self._transaction(engine) as connection:
                    yield connection
            finally:
                self._writer = None

    @contextlib.contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        if self._closed:
            raise DatabaseUnusable(f"The database {self.path} is closed.")
        with self._explain_errors(), engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Turn SQLite's errors about the file itself into one sentence; let mistakes of ours (IntegrityError) pass.

        SQLite reports "not a database" and "malformed" as plain DatabaseError and everything about the outside world
        (locked, full, read-only, cannot open) as OperationalError; only Python 3.11 adds the exact code. A text that is
        none, in a row or in what SQLite quotes of a broken file, is Python's to report.
        """
        try:
            yield
        except (exc.DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
            cause = error.orig if isinstance(error, exc.DBAPIError) else error
            if type(cause) is sqlite3.DatabaseError or is_no_text(cause):
                message = f"The database {self.path} is damaged or not a database ({cause}). "
                damage = DatabaseDamaged(message + "Move it away to start with an empty one.")
                self.damage = self.damage or damage.message
                raise damage from error
            if isinstance(cause, sqlite3.OperationalError):
                raise DatabaseUnusable(f"The database {self.path} cannot be used: {cause}.") from error
            raise
        except OSError as error:
            raise DatabaseUnusable(f"The database {self.path} cannot be opened: {error}.") from error

    def _claim_file(self, newest: int) -> None:
        """Refuse a file that is not ours or is from a newer version BEFORE anything in it is changed."""
        with self._normal.connect() as connection:
            raw = _raw(connection)
            (application_id,) = raw.execute("PRAGMA application_id").fetchone()
            (version,) = raw.execute("PRAGMA user_version").fetchone()
            (tables,) = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if application_id != APPLICATION_ID and (tables or application_id or version):
                raise DatabaseUnusable(f"The file {self.path} is the database of another program; it was not touched.")
            if version > newest:
                raise DatabaseUnusable(
                    f"The database {self.path} was written by a newer version of sdcpp-rest (its format is {version}, "
                    f"this version knows up to {newest}); it was not touched. Update sdcpp-rest or use another data "
                    "folder."
                )
            # Outside of a transaction: inside one SQLite refuses to change the journal mode.
            raw.execute("PRAGMA journal_mode = WAL").fetchone()
            raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _engine(self, begin: str, synchronous: _Synchronous, **pool: int) -> Engine:
        engine = sqlalchemy.create_engine(
            URL.create("sqlite+pysqlite", database=str(self.path)),
            poolclass=QueuePool,
            # isolation_level None switches off the driver's own, implicit BEGIN: ours is explicit, and IMMEDIATE for
            # writers. A deferred transaction that reads and then writes dies with "database is locked", unretried.
            connect_args={"isolation_level": None, "check_same_thread": False, "timeout": BUSY_TIMEOUT_SECONDS},
            **pool,
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _record: Any) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            # macOS: a plain fsync leaves the bytes in the drive's cache.
            connection.execute(f"PRAGMA fullfsync = {int(synchronous == 'FULL')}")
            connection.execute("PRAGMA journal_size_limit = 16777216")

        @event.listens_for(engine, "begin")
        def begin_explicitly(connection: Connection) -> None:
            _raw(connection).execute(begin)

        return engine


def is_no_text(error: object) -> bool:
    """Whether Python could not read what SQLite has as a text: the file was damaged inside of a row, or at its head."""
    if isinstance(error, sqlite3.OperationalError):
        return str(error).startswith("Could not decode to UTF-8")
    return isinstance(error, UnicodeDecodeError)


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw
