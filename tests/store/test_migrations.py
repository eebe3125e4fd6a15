"""Old files: written by hand as the version of their time left them, then opened by today's."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from sdcpp_rest.core.gallery import GalleryFilter, PictureFacts
from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.database import APPLICATION_ID, Database
from sdcpp_rest.store.gallery_store import FolderContent, GalleryStore
from sdcpp_rest.store.hash_store import HashStore
from sdcpp_rest.store.history_store import Conversation, EnhancementHistory
from sdcpp_rest.store.job_rows import binned, jobs
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.migrations import MIGRATIONS, m011_preset_settings, migrate
from sdcpp_rest.store.preset_store import PresetStore
from sdcpp_rest.store.settings_store import SettingsStore

# The tables as m001 released them. Never edit: a change here means that a released migration was changed.
M001_FILE = """
    CREATE TABLE jobs (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
        priority INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT,
        attempts INTEGER NOT NULL DEFAULT 0, origin TEXT NOT NULL, owner TEXT, title TEXT, model_name TEXT,
        load_spec_key TEXT, error TEXT, error_code TEXT, search_text TEXT NOT NULL DEFAULT '',
        outputs TEXT NOT NULL DEFAULT '[]', warnings TEXT NOT NULL DEFAULT '[]', timings TEXT NOT NULL DEFAULT '{}',
        inputs TEXT NOT NULL DEFAULT '{}', params TEXT NOT NULL DEFAULT '{}', load_spec TEXT);
    CREATE INDEX jobs_by_queue_order ON jobs (status, priority DESC, seq, kind, load_spec_key);
    CREATE INDEX jobs_by_status ON jobs (status, seq);
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO jobs (id, kind, status, created_at, origin, params, load_spec) VALUES
        ('old-1', 'txt2img', 'completed', '2024-01-02T03:04:05.000006+00:00', 'native', '{"prompt": "a cat"}', NULL),
        ('old-2', 'txt2img', 'pending', '2024-01-02T03:04:06.000006+00:00', 'native', '{"prompt": "a dog"}',
         '{"model": {"name": "m.gguf", "path": "/m.gguf"}, "kind": "checkpoint"}');
    INSERT INTO settings VALUES ('selected', '{"name": "m.gguf"}');
    PRAGMA user_version = 1;
"""


def write_m001_file(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.executescript(f"PRAGMA application_id = {APPLICATION_ID};{M001_FILE}")
    raw.close()


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    write_m001_file(tmp_path / "rest.db")
    db = Database(tmp_path / "rest.db")
    store = JobStore(db)
    assert store.get("old-1").params == {"prompt": "a cat"}
    assert store.get("old-1").created_at.isoformat() == "2024-01-02T03:04:05.000006+00:00"
    claimed = store.claim_next(["txt2img"])
    assert claimed is not None
    assert claimed.id == "old-2"
    assert claimed.model_name == "m.gguf"
    assert SettingsStore(db).get("selected") == {"name": "m.gguf"}
    db.close()


def test_the_first_migration_still_makes_the_tables_it_was_released_with(tmp_path: Path) -> None:
    def tables(path: Path) -> list[tuple[object, ...]]:
        raw = sqlite3.connect(path)
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master ORDER BY name")]
        shape: list[tuple[object, ...]] = []
        for name in names:
            shape += [(name, *column) for column in raw.execute(f"PRAGMA table_xinfo({name})")]
            shape += [(name, *column) for column in raw.execute(f"PRAGMA index_xinfo({name})")]
        raw.close()
        return shape

    write_m001_file(tmp_path / "by_hand.db")
    Database(tmp_path / "made.db", migrations=MIGRATIONS[:1]).close()
    made = tables(tmp_path / "made.db")
    assert len(made) > 20
    assert made == tables(tmp_path / "by_hand.db")


def test_a_file_of_the_first_version_gets_a_place_for_hashes_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    write_m001_file(path)
    db = Database(path, migrations=MIGRATIONS[:2])
    hashes = HashStore(db)
    assert hashes.get("/m.gguf", 1, 2) is None
    hashes.put("/m.gguf", 1, 2, "ab")
    assert hashes.get("/m.gguf", 1, 2) == "ab"
    db.close()
    assert version_of(path) == 2
    db = Database(path)
    assert HashStore(db).get("/m.gguf", 1, 2) == "ab"
    assert JobStore(db).get("old-2").params == {"prompt": "a dog"}
    db.close()


def test_the_job_table_has_the_columns_the_store_believes_in(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    with db.read() as connection:
        columns = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(jobs)")]
    assert columns == [column.name for column in jobs.columns]
    db.close()


def test_an_older_file_gets_a_recycle_bin_and_knows_the_families_of_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    write_m001_file(path)
    Database(path, migrations=MIGRATIONS[:2]).close()
    raw = sqlite3.connect(path)
    specs = ['{"architecture": "Z-Image"}', '{"architecture": null}', '{"architecture": 5}', "[1]", "no JSON", None]
    for number, spec in enumerate(specs):
        raw.execute(
            "INSERT INTO jobs (id, kind, status, created_at, origin, load_spec) VALUES (?, 'txt2img', 'completed', "
            "'2024-01-02T03:04:05.000006+00:00', 'native', ?)",
            (f"job-{number}", spec),
        )
    raw.commit()
    raw.close()
    db = Database(path)
    with db.read() as connection:
        rows = connection.exec_driver_sql("SELECT id, architecture FROM jobs WHERE id LIKE 'job-%'")
        found = {row[0]: row[1] for row in rows}
    assert found == {"job-0": "Z-Image", **{f"job-{number}": None for number in range(1, 6)}}
    store, bin_store = JobStore(db), BinStore(db)
    assert bin_store.put("old-1", datetime(2024, 1, 3, tzinfo=timezone.utc))
    assert not bin_store.put("old-2", datetime(2024, 1, 3, tzinfo=timezone.utc)), "it is pending"
    assert bin_store.take("old-1").params == {"prompt": "a cat"}
    assert store.counts()["total"] == 8
    db.close()
    assert version_of(path) == len(MIGRATIONS)


def test_the_bin_holds_every_column_of_a_job(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    with db.read() as connection:
        columns = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(recycle_bin)")]
    assert columns == [column.name for column in binned.columns]
    assert sorted(columns) == sorted([*(column.name for column in jobs.columns), "deleted_at"])
    db.close()


def add_a_column(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE settings ADD COLUMN note TEXT NOT NULL DEFAULT 'none'")


def fail_halfway(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE halfway (x)")
    raise ZeroDivisionError


def version_of(path: Path) -> int:
    raw = sqlite3.connect(path)
    (version,) = raw.execute("PRAGMA user_version").fetchone()
    raw.close()
    return int(version)


def test_an_old_file_gets_empty_histories_and_keeps_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[:3]).close()
    raw = sqlite3.connect(path)
    raw.execute(
        "INSERT INTO jobs (id, kind, status, created_at, origin) "
        "VALUES ('old', 'txt2img', 'completed', '2024-01-02T03:04:05.000006+00:00', 'native')"
    )
    raw.commit()
    raw.close()
    db = Database(path)
    assert EnhancementHistory(db).page(10, 0) == (0, [])
    assert Conversation(db).newest(10) == []
    assert JobStore(db).get("old").status == "completed"
    db.close()


def test_a_file_without_presets_gets_a_place_for_them(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[:6]).close()
    assert version_of(path) == 6
    db = Database(path)
    presets = PresetStore(db)
    assert presets.all() == []
    assert presets.add(ParameterPreset(title="One"), b"picture", at_most=1)
    assert not presets.add(ParameterPreset(title="Two"), None, at_most=1)
    assert [preset.title for preset in presets.all()] == ["One"]
    db.close()


def test_an_older_file_gets_an_empty_gallery(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[:9]).close()
    db = Database(path)
    gallery = GalleryStore(db)
    facts = PictureFacts("a.png", "", None, 0, 0, "image", 1, 1, prompt="sea")
    gallery.put_folders([FolderContent("", 1, (facts,))])
    assert [one.facts for one in gallery.page(GalleryFilter(words=("sea",)), "desc", 9)] == [facts]
    db.close()


def test_pictures_of_an_older_file_belong_together_as_their_jobs_do(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[:14]).close()
    raw = sqlite3.connect(path)
    for job_id in ("listed", "binned"):
        raw.execute(
            "INSERT INTO jobs (id, kind, status, created_at, origin, group_id) "
            "VALUES (?, 'txt2img', 'completed', '2024-01-02T03:04:05.000006+00:00', 'native', 'g')",
            (job_id,),
        )
    columns = {row[1] for row in raw.execute("PRAGMA table_info(jobs)")}
    same = ", ".join(row[1] for row in raw.execute("PRAGMA table_info(recycle_bin)") if row[1] in columns)
    raw.execute(f"INSERT INTO recycle_bin ({same}, deleted_at) SELECT {same}, created_at FROM jobs WHERE id = 'binned'")
    raw.execute("DELETE FROM jobs WHERE id = 'binned'")
    for job_id in ("listed", "binned", "alone", None):
        raw.execute(
            "INSERT INTO pictures (path, folder, job_id, number, taken_ms, kind, size_bytes, modified_ns) "
            "VALUES (?, '', ?, 0, 0, 'image', 1, 1)",
            (f"{job_id}.png", job_id),
        )
    raw.commit()
    raw.close()
    db = Database(path)
    found = GalleryStore(db).page(GalleryFilter(), "asc", 9)
    assert [one.facts.fold for one in found] == ["group:g", "group:g", "job:alone", None]
    db.close()


def test_only_the_missing_steps_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    write_m001_file(path)
    db = Database(path, migrations=[*MIGRATIONS[:1], add_a_column])
    with db.read() as connection:
        rows = connection.exec_driver_sql("SELECT key, value, note FROM settings").all()
    assert [tuple(row) for row in rows] == [("selected", json.dumps({"name": "m.gguf"}), "none")]
    db.close()
    assert version_of(path) == 2
    Database(path, migrations=[*MIGRATIONS[:1], add_a_column]).close()  # a second time would be "duplicate column"


def test_a_step_that_fails_leaves_the_file_as_the_last_good_step_left_it(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    write_m001_file(path)
    with pytest.raises(ZeroDivisionError):
        Database(path, migrations=[*MIGRATIONS[:1], add_a_column, fail_halfway])
    assert version_of(path) == 2
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'halfway'").fetchone() == (0,)
    raw.close()


def test_a_step_and_its_number_are_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    db = Database(path, migrations=MIGRATIONS[:1])
    transactions = 0

    @contextlib.contextmanager
    def power_fails_after_the_first() -> Iterator[Connection]:
        nonlocal transactions
        transactions += 1
        if transactions > 1:
            raise ZeroDivisionError
        with db.write() as connection:
            yield connection

    with pytest.raises(ZeroDivisionError):
        migrate(power_fails_after_the_first, [*MIGRATIONS[:1], add_a_column])
    db.close()
    assert version_of(path) == 2


def test_a_new_file_gets_all_its_tables_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    transactions = 0
    db = Database(path, migrations=[])

    @contextlib.contextmanager
    def count_writes() -> Iterator[Connection]:
        nonlocal transactions
        transactions += 1
        with db.write() as connection:
            yield connection

    with pytest.raises(ZeroDivisionError):
        migrate(count_writes, [*MIGRATIONS, fail_halfway])
    assert version_of(path) == 0, "a failure leaves it as new as it was"
    transactions = 0
    assert migrate(count_writes, MIGRATIONS) == len(MIGRATIONS)
    assert transactions == 2, "all steps, and the look that finds none left"
    db.close()
    assert version_of(path) == len(MIGRATIONS)


def test_the_names_of_the_steps_are_numbered_without_gaps() -> None:
    assert [step.__name__[:5] for step in MIGRATIONS] == [f"m{number:03}_" for number in range(1, len(MIGRATIONS) + 1)]


def test_presets_of_an_older_file_stay_with_their_pictures(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    Database(path, migrations=MIGRATIONS[: MIGRATIONS.index(m011_preset_settings)]).close()
    raw = sqlite3.connect(path)
    raw.execute(
        "INSERT INTO parameter_presets (seq, key, title, description, is_starred, parameters, edited_ms, has_preview, "
        "preview) VALUES (7, 'old', 'Old', 'd', 1, '{\"steps\": \"4\"}', 5, 1, x'0102')"
    )
    raw.commit()
    raw.close()
    db = Database(path)
    store = PresetStore(db)
    old = ParameterPreset(
        title="Old", description="d", parameters={"steps": "4"}, is_starred=True, has_preview=True, edited_ms=5
    )
    assert (store.all(), store.preview("old")) == ([old], b"\x01\x02")
    assert store.add(ParameterPreset(title="New", settings={"a": [1]}), None, 10)
    assert [preset.title for preset in store.all()] == ["Old", "New"]
    db.close()
