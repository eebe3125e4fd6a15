"""The database file: durability modes, threads, and files that are not what they should be."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.store.database import Database, DatabaseUnusable
from sdcpp_rest.store.migrations import MIGRATIONS
from sdcpp_rest.store.settings_store import SettingsStore


def test_opening_creates_the_folder_and_a_wal_database(tmp_path: Path) -> None:
    db = Database(tmp_path / "new" / "rest.db")
    with db.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10_000
    db.close()


def test_durable_writes_sync_fully_and_others_do_not(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    with db.write_durable() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    with db.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1
    db.close()


@pytest.mark.parametrize("mode", ["write", "write_durable"])
def test_a_write_that_raises_leaves_nothing(tmp_path: Path, mode: str) -> None:
    db = Database(tmp_path / "rest.db")

    def write_and_fail() -> None:
        with getattr(db, mode)() as connection:
            connection.exec_driver_sql("INSERT INTO settings VALUES ('a', '1')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert SettingsStore(db).all() == {}
    db.close()


def test_a_write_holds_the_write_lock_from_its_first_moment(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    other = sqlite3.connect(tmp_path / "rest.db", timeout=0, isolation_level=None)
    with db.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()
    db.close()


def test_a_read_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    settings = SettingsStore(db)
    settings.put("a", 1)
    with db.read() as connection:
        before = connection.exec_driver_sql("SELECT value FROM settings").scalar_one()
        settings.put("a", 2)
        assert connection.exec_driver_sql("SELECT value FROM settings").scalar_one() == before
    assert settings.get("a") == 2
    db.close()


def test_forty_open_readers_do_not_stop_a_writer(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    everyone_reads = threading.Barrier(41, timeout=30)
    written = threading.Event()

    def read() -> None:
        with db.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM settings").scalar_one()
            everyone_reads.wait()
            assert written.wait(30)

    threads = [threading.Thread(target=read) for _ in range(40)]
    for thread in threads:
        thread.start()
    everyone_reads.wait()
    SettingsStore(db).put("a", 1)
    written.set()
    for thread in threads:
        thread.join(30)
    assert SettingsStore(db).get("a") == 1
    db.close()


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_itself(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    with db.write(), pytest.raises(RuntimeError, match="inside another"), db.write_durable():
        pass
    SettingsStore(db).put("the lock is free again", True)
    db.close()


def test_a_broken_constraint_is_not_called_a_broken_file(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    with pytest.raises(IntegrityError), db.write() as connection:
        connection.exec_driver_sql("INSERT INTO settings VALUES ('a', NULL)")
    db.close()


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    db.close()
    db.close()
    with pytest.raises(DatabaseUnusable, match="is closed"), db.read():
        pass


def test_closing_folds_the_wal_into_the_file(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    SettingsStore(db).put("a", 1)
    db.close()
    assert [path.name for path in tmp_path.iterdir()] == ["rest.db"]


def expect_refusal(path: Path, words: str) -> None:
    with pytest.raises(DatabaseUnusable, match=words) as caught:
        Database(path)
    assert str(path) in caught.value.message
    assert isinstance(caught.value, SdcppRestError)


def test_a_file_that_is_no_database_is_refused_by_name_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    path.write_bytes(b"just some text, long enough to be looked at. " * 100)
    before = path.read_bytes()
    expect_refusal(path, "damaged or not a database")
    assert path.read_bytes() == before


def test_a_file_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path).close()
    content = bytearray(path.read_bytes())
    content[100:400] = b"\xff" * 300  # the schema's page
    path.write_bytes(content)
    expect_refusal(path, "damaged or not a database")


def test_damage_met_later_names_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path).close()
    raw = sqlite3.connect(path)
    (root,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'settings'").fetchone()
    (page_size,) = raw.execute("PRAGMA page_size").fetchone()
    raw.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * page_size : root * page_size] = b"\xff" * page_size
    path.write_bytes(content)
    db = Database(path)
    with pytest.raises(DatabaseUnusable, match="damaged") as caught:
        SettingsStore(db).all()
    assert str(path) in caught.value.message
    db.close()


def test_a_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    expect_refusal(path, "another program")
    assert path.read_bytes() == before


def test_a_database_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path).close()
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    raw.close()
    before = path.read_bytes()
    expect_refusal(path, "newer version")
    assert path.read_bytes() == before


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rest.db").mkdir()
    expect_refusal(tmp_path / "rest.db", "cannot be")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    expect_refusal(tmp_path / "blocked" / "rest.db", "cannot be")


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "rest.db").touch()
    db = Database(tmp_path / "rest.db")
    assert SettingsStore(db).all() == {}
    db.close()


def test_what_was_written_is_there_after_a_crash(tmp_path: Path) -> None:
    """A copy of the files while they are open is what a killed process leaves behind: nothing was closed or folded."""
    db = Database(tmp_path / "rest.db")
    SettingsStore(db).put("a", 1)
    (tmp_path / "after").mkdir()
    for name in ("rest.db", "rest.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "after" / name)
    after = Database(tmp_path / "after" / "rest.db")
    assert SettingsStore(after).get("a") == 1
    after.close()
    db.close()
