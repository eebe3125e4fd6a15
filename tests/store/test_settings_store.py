"""Settings: any JSON value by key."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.store import settings_store
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


def test_a_value_is_read_once_until_it_changes(settings: SettingsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.put("key", [1])
    settings.get("key").append(2)
    assert settings.get("missing", 5) == 5
    monkeypatch.setattr(settings._db, "read", None)
    assert (settings.get("key"), settings.get("missing", 6)) == ([1], 6)
    settings.put("other", 1)
    assert settings.get("key") == [1]
    monkeypatch.undo()
    settings.put("key", [3])
    settings.put("missing", None)
    assert (settings.get("key"), settings.get("missing", 6)) == ([3], None)
    settings.delete("key")
    assert settings.get("key", "default") == "default"


def test_what_was_read_before_a_put_is_not_kept_after_it(
    settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.put("key", "old")
    read = settings._db.read

    @contextlib.contextmanager
    def read_and_put() -> Iterator[Any]:
        with read() as connection:
            yield connection
        monkeypatch.undo()
        settings.put("key", "new")

    monkeypatch.setattr(settings._db, "read", read_and_put)
    assert settings.get("key") == "old"
    assert settings.get("key") == "new"


def test_only_so_many_keys_are_kept(settings: SettingsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_store, "_MOST_KEPT", 2)
    for key in "abcd":
        settings.put(key, key)
    for _ in range(2):
        assert [settings.get(key) for key in "abcd"] == [*"abcd"]
    assert len(settings._kept) == 2
