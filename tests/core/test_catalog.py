from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from sdcpp_rest.config import sections
from sdcpp_rest.core.catalog import (
    COMPONENT_TYPES,
    LIST_NAMES,
    TYPE_FOLDERS,
    ModelType,
    PartName,
    Sidecar,
    part_name,
)
from sdcpp_rest.core.load_spec import Component
from tests.cases import for_each_case


def test_every_model_type_has_a_list_and_a_folder() -> None:
    assert set(get_args(ModelType)) == LIST_NAMES.keys() == TYPE_FOLDERS.keys()
    assert len(LIST_NAMES) == len(set(LIST_NAMES.values())) == 11


def test_the_folders_are_those_of_the_configuration() -> None:
    assert TYPE_FOLDERS is sections.TYPE_FOLDERS


def test_every_component_is_looked_for_somewhere() -> None:
    assert set(get_args(Component)) == COMPONENT_TYPES.keys()


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


@for_each_case(
    "broken",
    [
        {"components": {"engine": "x"}},
        {"components": ["x"]},
        {"load_options": {"n_thread": 3}},
        {"load_options": {"n_threads": "many"}},
        {"generation_defaults": {"steps": "many"}},
        {"generation_defaults": {"prompt": "a cat"}},
        {"generation_defaults": {"original_prompt": "a cat"}},
        {"generation_defaults": {"step": 3}},
        {"recommended_sides": {"min_side": 64}},
    ],
)
def test_a_sidecar_that_says_nonsense_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sidecar.model_validate_json(json.dumps(broken))


@for_each_case(
    ("name", "expected"),
    [
        ("big-00002-of-00003.gguf", PartName("big.gguf", 2, 3)),
        ("a/b-00001-of-00002.SAFETENSORS", PartName("a/b.SAFETENSORS", 1, 2)),
        ("x-00001-of-00002-00003-of-00004.gguf", PartName("x-00001-of-00002.gguf", 3, 4)),
        ("big-00001-of-00001.gguf", None),
        ("big-00004-of-00003.gguf", None),
        ("big-00000-of-00003.gguf", None),
        ("big-1-of-3.gguf", None),
        ("big-00001-of-99999.gguf", None),
        ("-00001-of-00002.gguf", None),
        ("big-00001-of-00002.bin", None),
        ("big-00001-of-00002.gguf.part", None),
    ],
)
def test_parts_of_split_models_are_told_by_their_names(name: str, expected: PartName | None) -> None:
    assert part_name(name) == expected


@for_each_case(("given", "expected"), [("a, b", "a, b"), (7, ""), (None, ""), (["a"], "")])
def test_activation_text_is_read_where_it_is_text(given: Any, expected: str) -> None:
    assert Sidecar.model_validate({"activation text": given, "description": "kept"}).activation_text == expected
