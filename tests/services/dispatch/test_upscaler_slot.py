"""The upscaler beside the model: chosen, loaded, forgotten, brought back."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from sdcpp_rest.core.events import ModelUnloaded, UpscalerLoaded, UpscalerUnloaded
from sdcpp_rest.errors import EngineDied, InvalidRequest, LoadFailed, ModelNotFound
from sdcpp_rest.runtime import DEMO_ROOT
from tests.cases import for_each_case
from tests.services.conftest import House

X2, X4 = "esrgan_x2.safetensors", "esrgan_x4.safetensors"


def own_upscaler(house: House, name: str) -> str:
    folder = house.config.paths.models_dir / "esrgan"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO_ROOT / "esrgan" / X2, folder / name)
    house.runtime.models.library.refresh()
    return name


def test_upscaler_is_loaded_beside_the_model(any_house: House) -> None:
    outcome = any_house.runtime.models.upscalers.load(X2, tile_size=64)
    assert (outcome.spec.model.name, outcome.spec.tile_size, outcome.factor) == (X2, 64, 4)
    assert any_house.until(UpscalerLoaded) == UpscalerLoaded(model_name=X2, upscale_factor=4)
    health = any_house.runtime.status.health()
    assert (health["upscaler_loaded"], health["upscaler_name"], health["model_loaded"]) == (True, X2, True)


def test_unloading_tells_once_and_is_idempotent(house: House) -> None:
    house.runtime.models.upscalers.load(X2)
    house.runtime.models.upscalers.unload()
    house.runtime.models.upscalers.unload()
    assert house.until(UpscalerUnloaded).model_name == X2
    health = house.runtime.status.health()
    assert (health["upscaler_loaded"], health["upscaler_name"]) == (False, None)
    house.runtime.models.slot.unload()
    house.until(ModelUnloaded)
    assert not [event for event in house.mailbox.drain() if isinstance(event, UpscalerUnloaded)]


def test_another_upscaler_replaces_the_first(house: House) -> None:
    house.runtime.models.upscalers.load(X2)
    house.runtime.models.upscalers.load(X4)
    assert house.until(UpscalerUnloaded).model_name == X2
    assert house.until(UpscalerLoaded).model_name == X4


@for_each_case(
    ("name", "more", "error", "words"),
    [
        ("esrgan_x3", {}, ModelNotFound, "Model not found: esrgan_x3"),
        (X2, {"tile_size": 0}, InvalidRequest, "tile_size must be from"),
        (X2, {"tile_size": 1_000_000}, InvalidRequest, "tile_size must be from"),
        (X2, {"n_threads": 0}, InvalidRequest, "n_threads must be"),
        ("../esrgan_x2", {}, InvalidRequest, "leads out of the model folders"),
    ],
)
def test_bad_choices_are_refused_and_change_nothing(
    house: House, name: str, more: dict[str, int], error: type[Exception], words: str
) -> None:
    house.runtime.models.upscalers.load(X4)
    with pytest.raises(error, match=words):
        house.runtime.models.upscalers.load(name, **more)
    assert house.runtime.models.upscalers.selected is not None
    assert house.runtime.models.upscalers.selected.model.name == X4
    assert house.runtime.status.health()["upscaler_name"] == X4


def test_a_file_that_is_no_upscaler_is_refused_by_its_header(house: House) -> None:
    folder = house.config.paths.models_dir / "esrgan"
    folder.mkdir(parents=True)
    shutil.copy(DEMO_ROOT / "loras" / "demo_lora.safetensors", folder / "lora.safetensors")
    (folder / "page.pth").write_text("<!doctype html><html>")
    house.runtime.models.library.refresh()
    with pytest.raises(InvalidRequest, match="is no ESRGAN upscaler: it holds LoRA"):
        house.runtime.models.upscalers.load("lora.safetensors")
    with pytest.raises(InvalidRequest, match=r"page\.pth"):
        house.runtime.models.upscalers.load("page.pth")


def test_an_upscaler_that_the_engine_refuses_is_not_chosen(house: House) -> None:
    name = own_upscaler(house, "refuse.safetensors")
    with pytest.raises(LoadFailed, match="Failed to load upscaler: refuse"):
        house.runtime.models.upscalers.load(name)
    assert house.runtime.models.upscalers.selected is None
    assert house.draw().status == "completed"


@pytest.mark.slow
def test_an_upscaler_that_kills_the_engine_costs_nothing_but_itself(process_house: House) -> None:
    name = own_upscaler(process_house, "die.safetensors")
    with pytest.raises(EngineDied, match="fake upscaler"):
        process_house.runtime.models.upscalers.load(name)
    assert process_house.runtime.models.upscalers.selected is None
    assert process_house.draw().status == "completed"


def test_the_choice_outlives_a_restart_and_is_loaded_when_needed(make_house: Callable[..., House]) -> None:
    first = make_house(folder="a").start()
    first.runtime.models.upscalers.load(X4, tile_size=64)
    first.stop()
    second = make_house(folder="a").start()
    selected = second.runtime.models.upscalers.selected
    assert selected is not None
    assert (selected.model.name, selected.tile_size) == (X4, 64)
    assert second.runtime.status.health()["upscaler_loaded"] is False


def test_a_choice_whose_file_is_gone_is_forgotten_at_the_next_start(make_house: Callable[..., House]) -> None:
    first = make_house(folder="a").start()
    first.runtime.models.upscalers.load(own_upscaler(first, "mine.safetensors"))
    first.stop()
    (first.config.paths.models_dir / "esrgan" / "mine.safetensors").unlink()
    second = make_house(folder="a").start()
    assert second.runtime.models.upscalers.selected is None
