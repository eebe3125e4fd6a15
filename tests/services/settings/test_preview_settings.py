"""Preview settings: where they come from, how they change, and that the engine is told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from sdcpp_rest.config import PreviewConfig
from sdcpp_rest.engine.protocol import PreviewSettings
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.services.settings.preview_settings import PreviewChoice
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore

CONFIGURED = {"enabled": True, "mode": "tae", "interval": 3, "max_size": 512, "quality": 60}


class Engine:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[PreviewSettings] = []

    def set_preview(self, settings: PreviewSettings) -> None:
        self.told.append(settings)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[SettingsStore]:
    db = Database(tmp_path / "rest.db")
    yield SettingsStore(db)
    db.close()


def choice_of(settings: SettingsStore, engine: Engine) -> PreviewChoice:
    return PreviewChoice(settings, cast(EngineSupervisor, engine), PreviewConfig.model_validate(CONFIGURED))


def test_the_configuration_is_the_beginning_and_the_engine_knows_it(settings: SettingsStore, engine: Engine) -> None:
    assert choice_of(settings, engine).get() == CONFIGURED
    assert engine.told == [PreviewSettings.model_validate(CONFIGURED)]


def test_a_change_keeps_the_rest_and_is_told_at_once(settings: SettingsStore, engine: Engine) -> None:
    choice = choice_of(settings, engine)
    changed = choice.change({"quality": 90})
    assert changed == choice.get() == {**CONFIGURED, "quality": 90}
    assert engine.told[-1].quality == 90
    assert choice.change({}) == changed


def test_a_change_survives_a_restart_whatever_the_configuration_says(settings: SettingsStore, engine: Engine) -> None:
    choice_of(settings, engine).change({"mode": "none", "enabled": False})
    again = Engine()
    assert choice_of(settings, again).get() == {**CONFIGURED, "mode": "none", "enabled": False}
    assert again.told[0].mode == "none"


@pytest.mark.parametrize("stored", [[], "x", {"mode": "hologram"}, {"unknown": 1}, 5])
def test_stored_values_that_cannot_be_read_are_forgotten(settings: SettingsStore, engine: Engine, stored: Any) -> None:
    settings.put("preview", stored)
    assert choice_of(settings, engine).get() == CONFIGURED


def test_two_who_change_different_fields_both_have_their_way(settings: SettingsStore, engine: Engine) -> None:
    choice = choice_of(settings, engine)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            changes = [{"quality": 11}, {"interval": 12}, {"max_size": 130}, {"mode": "vae"}]
            list(pool.map(choice.change, changes))
            assert choice.get() == {"enabled": True, "quality": 11, "interval": 12, "max_size": 130, "mode": "vae"}
            choice.change(CONFIGURED)
    assert engine.told[-1].model_dump() == choice.get()
