from __future__ import annotations

from pathlib import Path

from sdcpp_rest.core.speed import Speed
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.migrations import MIGRATIONS
from sdcpp_rest.store.speed_store import SpeedKey, SpeedStore


def test_averages_are_kept_by_what_they_are_of(db: Database) -> None:
    store = SpeedStore(db)
    one, other = SpeedKey("m", "step", "picture", 3), SpeedKey("m", "step", "picture", 4)
    store.put({one: Speed(1.5, 1.0, 1), other: Speed(2.0, 2.0, 7)})
    store.put({one: Speed(1.25, 1.0, 2)})
    assert store.all() == {other: Speed(2.0, 2.0, 7), one: Speed(1.25, 1.0, 2)}
    assert list(store.all())[-1] == one, "the one that changed last comes last"


def test_nothing_to_write_writes_nothing(db: Database) -> None:
    store = SpeedStore(db)
    store.put({})
    assert store.all() == {}


def test_the_oldest_make_room(db: Database) -> None:
    store = SpeedStore(db, most=3)
    for number in range(5):
        store.put({SpeedKey(f"m{number}", "load"): Speed(1.0, 1.0)})
    store.put({SpeedKey("m2", "load"): Speed(2.0, 1.0)})
    store.put({SpeedKey("m5", "load"): Speed(1.0, 1.0)})
    assert [key.model for key in store.all()] == ["m4", "m2", "m5"]


def test_a_file_from_before_speeds_gets_their_table(tmp_path: Path) -> None:
    path = tmp_path / "rest.db"
    before = next(place for place, step in enumerate(MIGRATIONS) if step.__name__.endswith("_speeds"))
    Database(path, migrations=MIGRATIONS[:before]).close()
    db = Database(path)
    SpeedStore(db).put({SpeedKey("m", "load"): Speed(1.0, 1.0)})
    assert len(SpeedStore(db).all()) == 1
    db.close()
