"""Settings: any JSON value by key."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore


@pytest.fixture
def settings(db: Database) -> SettingsStore:
    return SettingsStore(db)


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "häßlich \ud83d", [1, [2]], {"a": {"b": None}}])
def test_a_value_comes_back_as_it_was_put(settings: SettingsStore, value: Any) -> None:
    settings.put("key", value)
    assert settings.get("key", "default") == value
    assert settings.all() == {"key": value}


def test_a_missing_key_gives_the_default(settings: SettingsStore) -> None:
    assert settings.get("key") is None
    assert settings.get("key", [1]) == [1]


def test_the_last_put_stands(settings: SettingsStore) -> None:
    settings.put("key", 1)
    settings.put("key", 2)
    assert settings.all() == {"key": 2}


def test_delete_says_whether_there_was_something(settings: SettingsStore) -> None:
    settings.put("key", 1)
    assert settings.delete("key") is True
    assert settings.delete("key") is False
    assert settings.all() == {}


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, Path("x")])
def test_what_is_not_json_is_refused_and_the_old_value_stays(settings: SettingsStore, value: Any) -> None:
    settings.put("key", 1)
    with pytest.raises((TypeError, ValueError)):
        settings.put("key", value)
    assert settings.get("key") == 1


def test_settings_survive_reopening(tmp_path: Path) -> None:
    db = Database(tmp_path / "rest.db")
    SettingsStore(db).put("key", "value")
    db.close()
    db = Database(tmp_path / "rest.db")
    assert SettingsStore(db).get("key") == "value"
    db.close()


def test_puts_of_many_threads_all_arrive(settings: SettingsStore) -> None:
    def put(number: int) -> None:
        for i in range(10):
            settings.put(f"{number}.{i}", i)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(settings.all()) == 80
