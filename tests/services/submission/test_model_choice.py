from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from sdcpp_rest.services.models.load_specs import LoadRequest
from sdcpp_rest.services.submission.model_choice import PICTURE_MODELS
from tests import model_files
from tests.services.conftest import House, copy_demo


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


DEMO_SUM = sum_of(DEMO_ROOT / "diffusion_models" / DEMO_MODEL)


@pytest.mark.parametrize(
    "name", [DEMO_MODEL, "demo_dit_q8_0", "DEMO_DIT_Q8_0.GGUF", f"{DEMO_MODEL} [{DEMO_SUM[:10]}]", DEMO_SUM]
)
def test_the_selected_model_keeps_the_options_it_was_loaded_with(house: House, name: str) -> None:
    request = LoadRequest(model_name=DEMO_MODEL, options={"vae_decode_only": False})
    house.runtime.models.slot.load(request)
    assert house.runtime.submission.model_choice.spec_named(name) == house.runtime.models.slot.selected


def test_another_model_is_found_by_name_and_by_a_sum_that_nobody_computed(make_house: Callable[..., House]) -> None:
    house = make_house()
    file = copy_demo(house.config, "other.gguf")
    # Equal files have equal sums: this one is another.
    file.write_bytes(file.read_bytes() + bytes(32))
    house.start()
    for name in ("other", sum_of(file), sum_of(file).upper(), f"other.gguf [{sum_of(file)[:10]}]"):
        assert house.runtime.submission.model_choice.spec_named(name).model.path == str(file)
    assert house.runtime.models.hashes.known_sums().get(
        str(file), file.stat().st_size, file.stat().st_mtime_ns
    ) == sum_of(file)


@pytest.mark.parametrize("name", ["nowhere", "0" * 64, "x [0123456789]"])
def test_what_is_not_there_is_told(house: House, name: str) -> None:
    with pytest.raises(ModelNotFound):
        house.runtime.submission.model_choice.spec_named(name)


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "a\0b"])
def test_what_is_no_name_is_refused(house: House, name: str) -> None:
    with pytest.raises(InvalidRequest):
        house.runtime.submission.model_choice.find(PICTURE_MODELS, name)


def test_loras_are_found_too(house: House) -> None:
    file = DEMO_ROOT / "loras" / "demo_lora.safetensors"
    for name in ("demo_lora", sum_of(file)):
        assert house.runtime.submission.model_choice.find(("lora",), name).path == str(file)


def test_parts_that_nobody_names_are_those_that_fit_and_named_ones_stay(house: House) -> None:
    folder, choice = house.config.paths.models_dir, house.runtime.submission.model_choice
    detection = house.runtime.models.detection
    model_files.write(folder / "diffusion_models" / "wan.gguf", model_files.gguf_bytes(model_files.wan(30)))
    with pytest.raises(InvalidRequest, match="vae"):
        choice.spec_with_parts("wan", detection)
    for name in ("a", "b"):
        vae = model_files.safetensors_bytes(model_files.wan_vae(16))
        model_files.write(folder / "vae" / f"{name}.safetensors", vae)
    spec, told = choice.spec_with_parts("wan", detection)
    assert spec.components["vae"].name == "a.safetensors"
    assert told == ["wan.gguf draws with these files, which fit it: vae a.safetensors."]
    with pytest.raises(InvalidRequest):
        choice.spec_named("wan")
    model_files.write(folder / "diffusion_models" / "wan.json", b'{"components": {"vae": "b.safetensors"}}')
    spec, told = choice.spec_with_parts("wan", detection)
    assert (spec.components["vae"].name, told) == ("b.safetensors", [])


def test_a_model_with_all_its_parts_is_the_same_either_way(house: House) -> None:
    choice, detection = house.runtime.submission.model_choice, house.runtime.models.detection
    assert choice.spec_with_parts(DEMO_MODEL, detection) == (choice.spec_named(DEMO_MODEL), [])
    for name, error in (("nowhere", ModelNotFound), ("../x", InvalidRequest)):
        with pytest.raises(error):
            choice.spec_with_parts(name, detection)
