"""Copies of the database: when they are made, and what happens with a damaged file at the start."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from sdcpp_rest.store.backups import KEPT, Backups, find_damage, read_notes
from sdcpp_rest.store.database import Database, DatabaseDamaged, DatabaseUnusable
from sdcpp_rest.store.migrations import MIGRATIONS
from sdcpp_rest.store.settings_store import SettingsStore
from tests.clocks import Clock


def lay(tmp_path: Path, *, copies: int = 1) -> Path:
    """A database that was copied and closed; the setting ``copy`` counts the copies."""
    path, clock = tmp_path / "rest.db", Clock()
    backups = Backups(path, 60, clock=clock)
    settings = SettingsStore(backups.open())
    for number in range(copies):
        settings.put("copy", number + 1)
        backups.make_if_due()
        clock.now += 61
    settings.put("copy", "later")
    backups.close()
    return path


def break_page(path: Path, table: str = "settings") -> None:
    with sqlite3.connect(path) as raw:
        (root,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    raw.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_copies_are_made_when_due_and_the_oldest_go(tmp_path: Path) -> None:
    lay(tmp_path, copies=KEPT + 2)
    assert names(tmp_path / "backups") == [f"{number:08}.db" for number in (3, 4, 5)]
    for number in (3, 4, 5):
        assert find_damage(tmp_path / "backups" / f"{number:08}.db") is None
        copy = Database(tmp_path / "backups" / f"{number:08}.db")
        assert SettingsStore(copy).get("copy") == number
        copy.close()


def test_nothing_is_copied_before_it_is_due_nor_where_it_is_off(tmp_path: Path) -> None:
    path, clock = lay(tmp_path), Clock()
    backups = Backups(path, 60, clock=clock)
    backups.open()
    backups.make_if_due()
    clock.now += 50
    backups.make_if_due()
    assert names(tmp_path / "backups") == ["00000001.db"], "the newest one is young, whoever has made it"
    clock.now += 11
    backups.make_if_due()
    assert names(tmp_path / "backups") == ["00000001.db", "00000002.db"]
    backups.close()
    off = Backups(path, 0)
    off.open()
    off.make_if_due()
    assert len(names(tmp_path / "backups")) == 2
    off.close()


def test_clock_that_was_set_back_keeps_nobody_from_copying(tmp_path: Path) -> None:
    path, clock = lay(tmp_path), Clock()
    copy = tmp_path / "backups" / "00000001.db"
    os.utime(copy, (2**31 + 1e6, 2**31 + 1e6))
    backups = Backups(path, 60, clock=clock)
    backups.open()
    backups.make_if_due()
    clock.now += 61
    backups.make_if_due()
    backups.close()
    assert names(tmp_path / "backups") == ["00000001.db", "00000002.db"]
    break_page(path, "jobs")
    (tmp_path / "database.open").touch()
    backups = Backups(path, 60)
    assert SettingsStore(backups.open()).get("copy") == "later", "the second copy, whatever the clock says of the first"
    backups.close()


@pytest.mark.parametrize("how", ["no database", "a page", "empty"])
def test_damaged_database_is_moved_aside_and_the_newest_good_copy_used(tmp_path: Path, how: str) -> None:
    path = lay(tmp_path, copies=3)
    if how == "a page":
        # Nobody would meet it at the start: it is looked for where the last end was none.
        break_page(path)
        (tmp_path / "database.open").touch()
    else:
        path.write_bytes(b"" if how == "empty" else b"no database at all " * 500)
    break_page(tmp_path / "backups" / "00000003.db")
    damaged = path.read_bytes()
    backups = Backups(path, 60)
    database = backups.open()
    assert SettingsStore(database).get("copy") == 2, "the newest is damaged, too"
    (aside,) = tmp_path.glob("damaged-*")
    assert (aside / "rest.db").read_bytes() == damaged
    (note,) = read_notes(tmp_path)
    assert backups.note() == note
    assert aside.name in note
    assert "is lost" in note
    assert str(path) in note
    assert (backups.trouble(), database.damage) == (None, None)
    backups.close()
    # It is told until the folder is removed, and no second one comes.
    backups = Backups(path, 60)
    backups.open()
    assert backups.note() == note
    backups.close()
    assert len(list(tmp_path.glob("damaged-*"))) == 1


@pytest.mark.parametrize("place", ["row", "head"])
def test_text_that_is_none_is_damage(place: str, tmp_path: Path) -> None:
    """SQLite's own check lets it pass in a row, and quotes it where it is in the head: Python can read neither."""
    path = lay(tmp_path)
    content = path.read_bytes()
    before, after = (b'"later"', b'"l\xfftr"') if place == "row" else (b"CREATE TABLE jobs", b"CREATE TABLE \xff\xda.s")
    assert before in content
    path.write_bytes(content.replace(before, after.ljust(len(before), b" "), 1))
    (tmp_path / "database.open").touch()
    assert find_damage(path) is not None
    backups = Backups(path, 60, clock=Clock())
    assert SettingsStore(backups.open()).get("copy") == 1
    assert "is damaged" in str(backups.note())
    backups.close()


def test_a_row_that_is_met_at_work_and_cannot_be_read_is_told_as_damage(tmp_path: Path) -> None:
    path = lay(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"later"', b'"l\xffter"'))
    backups = Backups(path, 60, clock=Clock())
    settings = SettingsStore(backups.open())
    with pytest.raises(DatabaseDamaged, match="Could not decode"):
        settings.all()
    assert "Could not decode" in str(backups.trouble())
    backups.close()
    again = Backups(path, 60, clock=Clock())
    assert SettingsStore(again.open()).get("copy") == 1
    again.close()


def test_lost_jobs_are_counted_where_the_damaged_file_can_be_read(tmp_path: Path) -> None:
    path = lay(tmp_path)
    with sqlite3.connect(path) as raw:
        add = "INSERT INTO jobs (id, kind, status, created_at, origin) VALUES (?, 'txt2img', 'pending', '', '')"
        raw.executemany(add, [(f"job-{number}",) for number in range(7)])
    raw.close()
    break_page(path)
    (tmp_path / "database.open").touch()
    backups = Backups(path, 60)
    backups.open()
    assert "7 jobs" in (backups.note() or "")
    backups.close()


def test_without_a_good_copy_the_damaged_file_stays_where_it_is(tmp_path: Path) -> None:
    path = lay(tmp_path)
    break_page(tmp_path / "backups" / "00000001.db")
    path.write_bytes(b"no database at all " * 500)
    with pytest.raises(DatabaseDamaged, match="Move it away"):
        Backups(path, 60).open()
    assert path.read_bytes() == b"no database at all " * 500
    assert list(tmp_path.glob("damaged-*")) == []


def test_database_of_a_newer_version_is_refused_and_no_copy_takes_its_place(tmp_path: Path) -> None:
    path = lay(tmp_path)
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable, match="newer version"):
        Backups(path, 60).open()
    assert path.read_bytes() == before


def test_damage_that_is_met_at_work_is_told_and_looked_for_at_the_next_start(tmp_path: Path) -> None:
    path, clock = lay(tmp_path), Clock()
    break_page(path)
    backups = Backups(path, 60, clock=clock)
    backups.open()
    backups.make_if_due()
    assert backups.trouble() is None
    clock.now += 61
    backups.make_if_due()
    assert "is damaged" in (backups.trouble() or "")
    assert names(tmp_path / "backups") == ["00000001.db"], "what is damaged takes no good copy's place"
    backups.close()
    backups = Backups(path, 60)
    assert SettingsStore(backups.open()).get("copy") == 1
    backups.close()


def test_older_format_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, MIGRATIONS[:9]).close()
    Backups(path, 0).open().close()
    with sqlite3.connect(tmp_path / "backups" / "00000001.db") as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (9,)
    raw.close()


def test_disk_that_takes_no_copy_is_told_in_the_log_and_tried_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "rest.db", Clock()
    (tmp_path / "backups").write_text("in the way")
    backups = Backups(path, 60, clock=clock)
    backups.open()
    backups.make_if_due()
    backups.make_if_due()
    assert caplog.text.count("could not be copied") == 1
    (tmp_path / "backups").unlink()
    clock.now += 601
    backups.make_if_due()
    assert names(tmp_path / "backups") == ["00000001.db"]
    backups.close()
