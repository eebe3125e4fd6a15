from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from sdcpp_rest.core.catalog import COMPONENT_TYPES, LIST_NAMES, TYPE_FOLDERS, ModelType, Sidecar
from sdcpp_rest.core.load_spec import Component


def test_every_model_type_has_a_list_and_a_folder() -> None:
    assert set(get_args(ModelType)) == LIST_NAMES.keys() == TYPE_FOLDERS.keys()
    assert len(LIST_NAMES) == len(set(LIST_NAMES.values())) == 11


def test_every_component_but_the_unsupported_one_is_looked_for_somewhere() -> None:
    assert set(get_args(Component)) - COMPONENT_TYPES.keys() == {"photo_maker"}


def test_demo_sidecar_says_all_that_loading_and_drawing_need(demo_folder: Path) -> None:
    sidecar = Sidecar.model_validate_json((demo_folder / "diffusion_models" / "demo_dit_q8_0.json").read_bytes())
    assert sidecar.components == {"llm": "demo_llm_q4_0.gguf", "taesd": "demo_tae.safetensors"}
    assert sidecar.load_options["tae_preview_only"] is False
    assert sidecar.generation_defaults["steps"] == 12
    assert sidecar.recommended_sides is not None
    assert (sidecar.recommended_sides.min_side, sidecar.recommended_sides.max_side) == (64, 128)
    assert "MIT" in sidecar.licence
    for folder, name in (("llm", sidecar.components["llm"]), ("taesd", sidecar.components["taesd"])):
        assert (demo_folder / folder / name).is_file()


def test_sidecars_of_other_programs_are_left_alone() -> None:
    sidecar = Sidecar.model_validate(
        {"description": "mine", "sd version": "SDXL", "activation text": "foo", "preferred weight": 0}
    )
    assert sidecar.description == "mine"


@pytest.mark.parametrize(
    "broken",
    [
        {"components": {"engine": "x"}},
        {"components": ["x"]},
        {"load_options": {"n_thread": 3}},
        {"load_options": {"n_threads": "many"}},
        {"generation_defaults": {"steps": "many"}},
        {"generation_defaults": {"prompt": "a cat"}},
        {"generation_defaults": {"step": 3}},
        {"recommended_sides": {"min_side": 64}},
    ],
)
def test_a_sidecar_that_says_nonsense_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sidecar.model_validate_json(json.dumps(broken))
