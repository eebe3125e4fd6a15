"""What users choose: kept, merged, bounded, reset, and never in the way when it cannot be read any more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import HousekeepingConfig
from sdcpp_rest.errors import PayloadTooLarge
from sdcpp_rest.services.settings.user_settings import SECTIONS, BinRules, IdleUnload, UserSettings
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SettingsStore]:
    db = Database(tmp_path / "rest.db")
    yield SettingsStore(db)
    db.close()


@pytest.fixture
def settings(store: SettingsStore) -> UserSettings:
    return UserSettings(store, HousekeepingConfig())


def change_everything(settings: UserSettings) -> None:
    settings.choose_generation({"txt2img": {"steps": 3}})
    settings.merge_preferences({"theme": "dark"})
    settings.change_auto_unload({"main": {"enabled": True}})
    settings.change_recycle_bin({"enabled": False})


def test_nothing_is_chosen_at_first(settings: UserSettings) -> None:
    assert settings.generation() == {"txt2img": {}, "img2img": {}, "txt2vid": {}}
    assert settings.generation_defaults("txt2vid") == {}
    assert settings.preferences() == {}
    assert settings.output().group_by == "none"
    assert settings.recycle_bin() == BinRules(enabled=True, retention_minutes=7 * 24 * 60)
    assert settings.auto_unload().main == IdleUnload(enabled=False, timeout_minutes=30)


def test_defaults_of_a_mode_are_replaced_and_other_modes_stay(settings: UserSettings, store: SettingsStore) -> None:
    settings.choose_generation({"txt2img": {"steps": 3, "width": 64}, "img2img": {"strength": 0.5}})
    settings.choose_generation({"txt2img": {"cfg_scale": 2.5}})
    assert settings.generation_defaults("txt2img") == {"cfg_scale": 2.5}
    assert settings.generation_defaults("img2img") == {"strength": 0.5}
    assert UserSettings(store, HousekeepingConfig()).generation_defaults("txt2img") == {"cfg_scale": 2.5}
    settings.choose_generation({"txt2img": {}})
    assert settings.generation_defaults("txt2img") == {}


def test_preferences_are_merged_deeply_and_null_removes(settings: UserSettings) -> None:
    settings.merge_preferences({"a": {"b": 1, "c": {"d": 2}}, "list": [1, {"x": None}]})
    merged = settings.merge_preferences({"a": {"b": None, "c": {"e": 3}}, "new": {"gone": None}, "never": None})
    assert merged == {"a": {"c": {"d": 2, "e": 3}}, "list": [1, {"x": None}], "new": {}}
    assert settings.merge_preferences({"a": "now a word", "list": {"k": 1}}) == {
        "a": "now a word",
        "list": {"k": 1},
        "new": {},
    }
    assert settings.preferences()["a"] == "now a word"


def test_preferences_are_bounded_as_a_whole(settings: UserSettings) -> None:
    settings.merge_preferences({"one": "x" * 40_000})
    with pytest.raises(PayloadTooLarge, match="at most 65536"):
        settings.merge_preferences({"two": "x" * 40_000})
    assert list(settings.preferences()) == ["one"]
    settings.merge_preferences({"one": None, "two": "x" * 40_000})
    assert list(settings.preferences()) == ["two"]


def test_two_who_store_different_names_both_have_their_way(settings: UserSettings) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(settings.merge_preferences, ({f"name {number}": number} for number in range(40))))
    assert settings.preferences() == {f"name {number}": number for number in range(40)}


def test_the_configuration_is_the_default_of_idle_rest_and_choices_win(store: SettingsStore) -> None:
    settings = UserSettings(store, HousekeepingConfig(unload_after_idle_minutes=0.5))
    assert settings.auto_unload().main == IdleUnload(enabled=True, timeout_minutes=0.5)
    changed = settings.change_auto_unload({"main": {"enabled": False}})
    assert changed.main == IdleUnload(enabled=False, timeout_minutes=0.5)
    assert changed.upscaler == IdleUnload(enabled=True, timeout_minutes=0.5)
    other = UserSettings(store, HousekeepingConfig(unload_after_idle_minutes=99))
    assert other.auto_unload() == changed


@pytest.mark.parametrize("stored", [[], "x", 5, {"main": 1}, {"enabled": "maybe"}, {"txt2img": [1]}, {"group_by": "x"}])
def test_stored_values_that_cannot_be_read_are_forgotten(
    settings: UserSettings, store: SettingsStore, stored: Any
) -> None:
    for section in SECTIONS:
        if section != "preferences":
            store.put(f"settings.{section}", stored)
    assert settings.generation() == {"txt2img": {}, "img2img": {}, "txt2vid": {}}
    assert settings.recycle_bin() == BinRules()
    assert not settings.auto_unload().main.enabled
    assert settings.output().group_by == "none"
    change_everything(settings)
    assert settings.generation_defaults("txt2img") == {"steps": 3}


def test_reset_of_one_section_and_of_all(settings: UserSettings, store: SettingsStore) -> None:
    store.put("other", 1)
    change_everything(settings)
    assert settings.reset("generation") == ("generation",)
    assert settings.generation_defaults("txt2img") == {}
    assert settings.preferences() == {"theme": "dark"}
    assert settings.reset() == SECTIONS
    assert settings.preferences() == {}
    assert settings.recycle_bin().enabled
    assert not settings.auto_unload().main.enabled
    assert store.all() == {"other": 1}
