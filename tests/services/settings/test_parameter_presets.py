from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound
from sdcpp_rest.services.settings import parameter_presets
from sdcpp_rest.services.settings.parameter_presets import ParameterPresets
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.preset_store import PresetStore


@pytest.fixture
def presets(tmp_path: Path) -> Iterator[ParameterPresets]:
    database = Database(tmp_path / "rest.db")
    yield ParameterPresets(PresetStore(database), clock=lambda: 1_700_000_000.5)
    database.close()


def titles(presets: ParameterPresets) -> list[str]:
    return [preset.title for preset in presets.all()]


def test_preset_comes_back_as_it_was_given(presets: ParameterPresets) -> None:
    given = ParameterPreset(title="Folder/One", description="d", parameters={"steps": "4"}, is_starred=True)
    presets.add(given, b"picture")
    kept = given.model_copy(update={"has_preview": True, "edited_ms": 1_700_000_000_500})
    assert presets.all() == [kept]
    assert presets.get("folder/ONE") == kept
    assert presets.preview("folder/one") == b"picture"
    assert presets.preview("other") is None


def test_title_that_is_taken_is_refused_whatever_its_case(presets: ParameterPresets) -> None:
    presets.add(ParameterPreset(title="One"))
    with pytest.raises(Conflict, match="already"):
        presets.add(ParameterPreset(title="ONE"))
    assert titles(presets) == ["One"]


def test_replaced_preset_keeps_its_place_and_may_get_another_title(presets: ParameterPresets) -> None:
    for title in ("One", "Two", "Three"):
        presets.add(ParameterPreset(title=title), b"old")
    presets.replace("two", ParameterPreset(title="TWO", parameters={"steps": "9"}))
    presets.replace("One", ParameterPreset(title="Eins"), b"new")
    assert titles(presets) == ["Eins", "TWO", "Three"]
    assert [presets.preview(title) for title in titles(presets)] == [b"new", None, b"old"]


def test_preset_that_takes_anothers_title_takes_its_place(presets: ParameterPresets) -> None:
    for title in ("One", "Two"):
        presets.add(ParameterPreset(title=title, description=title))
    presets.replace("One", ParameterPreset(title="Two", description="was One"))
    assert [(preset.title, preset.description) for preset in presets.all()] == [("Two", "was One")]


def test_preset_that_replaces_none_is_new(presets: ParameterPresets) -> None:
    presets.add(ParameterPreset(title="One"))
    presets.replace("gone", ParameterPreset(title="Two"))
    presets.replace("gone", ParameterPreset(title="one", description="d"))
    assert [(preset.title, preset.description) for preset in presets.all()] == [("one", "d"), ("Two", "")]


def test_copies_are_counted(presets: ParameterPresets) -> None:
    presets.add(ParameterPreset(title="One", parameters={"steps": "4"}), b"picture")
    assert presets.duplicate("one").title == "One (2)"
    assert presets.duplicate("One").title == "One (3)"
    assert [(preset.title, preset.parameters["steps"]) for preset in presets.all()] == [
        ("One", "4"),
        ("One (2)", "4"),
        ("One (3)", "4"),
    ]
    assert presets.preview("One (3)") == b"picture"
    with pytest.raises(NotFound):
        presets.duplicate("Two")


def test_deleted_preset_is_gone_and_its_title_free(presets: ParameterPresets) -> None:
    presets.add(ParameterPreset(title="One"))
    assert presets.delete("ONE")
    assert not presets.delete("One")
    presets.add(ParameterPreset(title="One"))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"title": "x" * 201}, "title"),
        ({"title": "x", "description": "d" * 10_001}, "description"),
        ({"title": "x", "parameters": {"prompt": "p" * 262_144}}, "parameters"),
    ],
)
def test_preset_that_is_too_large_is_refused(presets: ParameterPresets, given: dict[str, object], field: str) -> None:
    preset = ParameterPreset.model_validate(given)
    presets.add(ParameterPreset(title="One"))
    for keep in (presets.add, lambda preset: presets.replace("One", preset)):
        with pytest.raises(InvalidRequest) as refused:
            keep(preset)
        assert refused.value.detail["field"] == field
    assert titles(presets) == ["One"]


def test_preview_that_is_too_large_is_refused(presets: ParameterPresets) -> None:
    with pytest.raises(InvalidRequest, match="preview"):
        presets.add(ParameterPreset(title="One"), b"x" * 262_145)


def test_there_are_only_so_many(presets: ParameterPresets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameter_presets, "MAX_PRESETS", 2)
    for title in ("One", "Two"):
        presets.add(ParameterPreset(title=title))
    for keep in (
        lambda: presets.add(ParameterPreset(title="Three")),
        lambda: presets.duplicate("One"),
        lambda: presets.replace("gone", ParameterPreset(title="Three")),
    ):
        with pytest.raises(InvalidRequest, match="2 presets already"):
            keep()
    presets.replace("One", ParameterPreset(title="Three"))
    assert titles(presets) == ["Three", "Two"]


def test_presets_survive_a_restart(tmp_path: Path) -> None:
    for expected in ([], ["One"]):
        database = Database(tmp_path / "again.db")
        presets = ParameterPresets(PresetStore(database))
        assert titles(presets) == expected
        if not expected:
            presets.add(ParameterPreset(title="One"))
        database.close()
