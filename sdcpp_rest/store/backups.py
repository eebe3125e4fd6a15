"""Keeps copies of the database, and begins with the newest good one where the file itself is damaged.

Knows files and what SQLite says of them. Knows nothing of what is stored: what was lost is told as a moment, and as how
many jobs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from sdcpp_rest.durable_files import make_folder, replace_file, settle, sync_contents, sync_folder
from sdcpp_rest.store.database import APPLICATION_ID, Database, DatabaseDamaged, is_no_text
from sdcpp_rest.store.migrations import MIGRATIONS

log = logging.getLogger(__name__)

KEPT = 3
"""How many copies there are at most."""

_NAME = re.compile(r"(\d{8})\.db")
_PART = "making.part"
_NOTE = "note.txt"
_OPEN_MARK = "database.open"
_BESIDE = ("", "-wal", "-shm")
# One that cannot be made is tried again after this.
_RETRY_SECONDS = 600.0
# A whole look at a larger file takes longer than a start should.
_LOOKED_THROUGH_BYTES = 256 << 20


class Backups:
    """Opens the database, copies it now and then, and tells what became of a damaged one.

    Args:
        path: the database. Copies lie in ``backups`` beside it, a damaged file in a folder of its own.
        every_seconds: how old the newest copy becomes; 0: none is made.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, every_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._folder = path.parent / "backups"
        self._mark = path.parent / _OPEN_MARK
        self._every_seconds = every_seconds
        self._clock = clock
        self._due_at: float | None = None
        self._database: Database | None = None
        self._notes: list[str] = []

    # --- the start ---------------------------------------------------------------------------------------------------

    def open(self) -> Database:
        """Open the database. A damaged one is moved aside, and the newest good copy takes its place; one of an older
        format is copied before it is changed.

        Raises DatabaseUnusable: also for a damaged one of which there is no copy, which stays where it is.
        """
        try:
            self._check()
            self._copy_older_format()
            self._database = Database(self._path)
        except DatabaseDamaged as error:
            if not self._restore(error.message):
                raise
            self._database = Database(self._path)
        with contextlib.suppress(OSError):
            self._mark.touch()
        self._notes = read_notes(self._path.parent)
        return self._database

    def close(self) -> None:
        """Close the database. The next start takes it for sound, unless damage was met."""
        assert self._database is not None
        self._database.close()
        if self._database.damage is None:
            with contextlib.suppress(OSError):
                self._mark.unlink(missing_ok=True)

    def _check(self) -> None:
        """Look through a file that was not closed, if it is not too large. Raises DatabaseDamaged."""
        try:
            size = self._path.stat().st_size
        except OSError:
            return
        if size == 0 and any(self._copies()):
            raise DatabaseDamaged(f"The database {self._path} is empty.")
        if size and self._mark.exists() and size <= _LOOKED_THROUGH_BYTES and (fault := find_damage(self._path)):
            raise DatabaseDamaged(f"The database {self._path} is damaged ({fault}).")

    def _copy_older_format(self) -> None:
        """A step to a newer format cannot be taken back: keep what was before it."""
        with contextlib.suppress(OSError, sqlite3.Error):
            if self._path.exists() and 0 < _format_of(self._path) < len(MIGRATIONS):
                self._copy()

    def _restore(self, why: str) -> bool:
        """Put the newest good copy in the place of the damaged file; false where there is none. Raises OSError."""
        for copy in self._copies():
            if find_damage(copy) is None and 0 < _format_of(copy) <= len(MIGRATIONS):
                break
        else:
            return False
        aside = self._move_aside()
        fresh = self._path.with_name(f".{self._path.name}.part")
        shutil.copyfile(copy, fresh)
        taken = datetime.fromtimestamp(copy.stat().st_mtime, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        settle(fresh, self._path)
        lost = _count_lost(aside / self._path.name, copy)
        sentence = (
            f"{why.rstrip('.')}. It was moved to {aside.name}, and the copy of {taken} is used. What was stored after "
            f"that is lost: {lost}. The pictures are still in the output folder and the gallery."
        )
        with contextlib.suppress(OSError):
            replace_file(aside / _NOTE, sentence.encode())
        log.error("%s", sentence)
        return True

    def _move_aside(self) -> Path:
        stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
        names = (f"damaged-{stamp}{f'-{number}' if number else ''}" for number in range(1000))
        aside = next(folder for name in names if not (folder := self._path.with_name(name)).exists())
        make_folder(aside)
        # The file itself last: interrupted here, it is found damaged once more.
        for ending in reversed(_BESIDE):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self._path}{ending}", aside / f"{self._path.name}{ending}")
        sync_contents(aside)
        sync_folder(self._path.parent)
        return aside

    # --- while it runs -----------------------------------------------------------------------------------------------

    def make_if_due(self) -> None:
        """Copy the database if the newest copy is old enough, and what is stored has changed. Never raises."""
        now = self._clock()
        if not self._every_seconds:
            return
        if self._due_at is None:
            self._due_at = now + self._seconds_left()
        if now < self._due_at:
            return
        try:
            self._due_at = now + (self._every_seconds if self._copy() else _RETRY_SECONDS)
        except (OSError, sqlite3.Error) as error:
            self._due_at = now + _RETRY_SECONDS
            log.warning("the database could not be copied: %s", error)

    def _seconds_left(self) -> float:
        """Until the next copy, by the newest one's file. A clock that was changed makes it no later."""
        for copy in self._copies():
            with contextlib.suppress(OSError):
                age = time.time() - copy.stat().st_mtime
                return min(self._every_seconds, max(0.0, self._every_seconds - age))
        return 0.0

    def _copy(self) -> bool:
        """Make a copy and look through it; false where it is not sound, which the database is not then. The oldest of
        too many goes. Raises OSError, sqlite3.Error."""
        make_folder(self._folder)
        part = self._folder / _PART
        part.unlink(missing_ok=True)
        try:
            with _connect(self._path) as source, _connect(part, writes=True) as target:
                # In one go: a reader keeps nobody from writing, and what is written meanwhile would begin it anew.
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE").fetchone()
            if fault := find_damage(part):
                self._note_damage(f"The database {self._path} is damaged ({fault}).")
                return False
            copies = list(self._copies())
            number = int(copies[0].stem) + 1 if copies else 1
            settle(part, self._folder / f"{number:08}.db")
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            self._note_damage(f"The database {self._path} is damaged ({error}).")
            return False
        finally:
            part.unlink(missing_ok=True)
        for old in copies[KEPT - 1 :]:
            old.unlink(missing_ok=True)
        return True

    def _note_damage(self, sentence: str) -> None:
        if self._database is not None and self._database.damage is None:
            self._database.damage = sentence
            log.error("%s The next start uses a copy.", sentence)

    def _copies(self) -> Iterator[Path]:
        """The newest first, by their numbers: a clock may have been set back."""
        with contextlib.suppress(OSError):
            names = sorted((name for name in os.listdir(self._folder) if _NAME.fullmatch(name)), reverse=True)
            yield from (self._folder / name for name in names)

    # --- what is told ------------------------------------------------------------------------------------------------

    def trouble(self) -> str | None:
        """What is wrong with the database now; ``None`` while nothing is known."""
        damage = self._database.damage if self._database is not None else None
        return damage and f"{damage} The next start begins with the newest good copy of it, if there is one."

    def note(self) -> str | None:
        """What was told of the last damaged database, if it still lay aside when this one was opened."""
        return self._notes[0] if self._notes else None


def read_notes(data_dir: Path) -> list[str]:
    """What was told of the damaged databases that lie in a data folder; the newest first."""
    notes = []
    for note in sorted(data_dir.glob(f"damaged-*/{_NOTE}"), reverse=True):
        with contextlib.suppress(OSError, ValueError):
            notes.append(note.read_text(encoding="utf-8"))
    return notes


def find_damage(path: Path) -> str | None:
    """What SQLite finds wrong with a file of ours, in its words; ``None`` where it is sound. Reads all of it."""
    try:
        with _connect(path) as opened:
            (found,) = opened.execute("PRAGMA quick_check(1)").fetchone()
            (mark,) = opened.execute("PRAGMA application_id").fetchone()
            if found == "ok":
                _read_texts(opened)
    except sqlite3.OperationalError as error:
        # Locked, unreadable: not what this is about.
        return str(error) if is_no_text(error) else None
    except sqlite3.Error as error:
        return str(error)
    if found != "ok":
        return str(found).strip()
    return None if mark in (0, APPLICATION_ID) else "it is another program's"


def _read_texts(opened: sqlite3.Connection) -> None:
    """Read every row: a text that is none passes SQLite's own check, and whoever lists it later could not. Raises
    OperationalError."""
    named = "type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    for (table,) in opened.execute(f"SELECT name FROM sqlite_master WHERE {named}").fetchall():
        for _ in opened.execute(f'SELECT * FROM "{table}"'):
            pass


@contextlib.contextmanager
def _connect(path: Path, *, writes: bool = False) -> Iterator[sqlite3.Connection]:
    if not writes and not path.exists():
        raise FileNotFoundError(2, "No such file", str(path))
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    try:
        yield connection
    except UnicodeDecodeError as error:
        # SQLite quotes a damaged head, and Python cannot read that.
        raise sqlite3.DatabaseError("what SQLite says of it is no text") from error
    finally:
        connection.close()


def _format_of(path: Path) -> int:
    with _connect(path) as opened:
        return int(opened.execute("PRAGMA user_version").fetchone()[0])


def _count_lost(damaged: Path, copy: Path) -> str:
    """How many jobs the damaged file has that the copy has not, as far as it can be read."""
    try:
        with _connect(copy) as opened:
            (last,) = opened.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()
        with _connect(damaged) as opened:
            (count,) = opened.execute("SELECT count(*) FROM jobs WHERE seq > ?", (last,)).fetchone()
    except (OSError, sqlite3.Error):
        return "jobs, settings and stars, nobody can tell how many"
    return f"{count} jobs, and changes of settings and stars"
