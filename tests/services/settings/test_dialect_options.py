from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.errors import PayloadTooLarge
from sdcpp_rest.services.settings.dialect_options import DialectOptions
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SettingsStore]:
    database = Database(tmp_path / "x.db")
    yield SettingsStore(database)
    database.close()


def test_options_are_kept_one_by_one_and_dialects_apart(store: SettingsStore) -> None:
    options = DialectOptions(store, "one")
    assert options.get() == {}
    options.put({"a": 1, "b": [True]})
    assert options.put({"a": 2}) == {"a": 2, "b": [True]}
    assert DialectOptions(store, "one").get() == {"a": 2, "b": [True]}
    assert DialectOptions(store, "two").get() == {}


def test_nothing_to_change_writes_nothing(store: SettingsStore) -> None:
    DialectOptions(store, "one").put({})
    assert store.all() == {}


def test_options_have_a_largest_size(store: SettingsStore) -> None:
    options = DialectOptions(store, "one")
    with pytest.raises(PayloadTooLarge):
        options.put({"a": "x" * 300_000})
    assert options.get() == {}


def test_a_stored_value_of_another_kind_counts_as_nothing(store: SettingsStore) -> None:
    store.put("dialects.one", [1])
    assert DialectOptions(store, "one").get() == {}
