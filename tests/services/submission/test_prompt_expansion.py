"""Tags are resolved before a request becomes a job; what was written stays with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.errors import InvalidRequest, NoModelLoaded
from sdcpp_rest.services.models.load_specs import LoadRequest
from tests.cases import for_each_case
from tests.services.conftest import House, config_below

STYLES = """name,prompt,negative_prompt
Oil,"oil painting of {prompt}, thick",photo
Sharp,sharp,
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Not started: jobs stay pending. The bundled model is selected."""
    folder: Path = tmp_path_factory.mktemp("house")
    made = House(config_below(folder, f"a1111.styles_file={folder / 'styles.csv'}"), "inline")
    (folder / "styles.csv").write_text(STYLES)
    made.runtime.models.slot.restore(LoadRequest(model_name=made.runtime.default_model))
    made.runtime.models.wildcards.write("animals", "cat\ndog\nowl")
    yield made
    made.stop()


def expand(house: House, prompt: str, mode: Any = "txt2img", **more: Any) -> tuple[dict[str, Any], list[str]]:
    return house.runtime.submission.expansion.word(mode, {"prompt": prompt, "seed": 1, **more}, resolves_tags=True)


@pytest.mark.parametrize("mode", ["txt2img", "img2img", "txt2vid"])
def test_words_are_drawn_and_the_originals_stay(house: House, mode: Any) -> None:
    prompt = "a {red|blue} <wildcard:animals> and __animals__"
    asked, warnings = expand(house, prompt, mode, negative_prompt="<random:x,y>")
    assert asked == {
        "prompt": "a red owl and owl",
        "original_prompt": prompt,
        "negative_prompt": "x",
        "original_negative_prompt": "<random:x,y>",
        "seed": 1,
    }
    assert warnings == []


def test_same_seed_same_words_and_no_seed_is_drawn_once(house: House) -> None:
    prompt = "<random:1-1000000>"
    assert expand(house, prompt) == expand(house, prompt)
    asked, _ = expand(house, prompt, seed=-1)
    assert asked["seed"] >= 0
    assert expand(house, prompt, seed=asked["seed"])[0] == asked
    assert "negative_prompt" not in asked


def test_loras_become_tags_that_every_submission_reads(house: House) -> None:
    asked, warnings = expand(house, "a <lora:demo:0.5:0.25> cat", negative_prompt="<lora:demo_lora:0.1>")
    assert asked["prompt"] == "a cat <lora:demo_lora.safetensors:0.5> <lora:demo_lora.safetensors:0.1>"
    assert len(warnings) == 1
    assert "the text encoder has no weight of its own; the first weight of demo_lora.safetensors counts" in warnings[0]
    job, _ = house.runtime.submission.pictures.picture("txt2img", {**asked, "width": 8, "height": 8, "steps": 2})
    assert [lora["weight"] for lora in job.params["loras"]] == [0.6]
    assert job.params["original_prompt"] == "a <lora:demo:0.5:0.25> cat"


def test_parameters_are_read_and_set_by_their_names(house: House) -> None:
    prompt = (
        "<param:cfg scale> <param[CFG Scale]:2.5><param:cfg_scale> <param[steps]:<random:3>><param[vae tiling]:true>"
    )
    asked, warnings = expand(house, prompt, cfg_scale=7.0)
    assert asked["prompt"] == "7 2.5"
    assert (asked["cfg_scale"], asked["steps"], asked["vae_tiling"]) == (2.5, 3, True)
    assert warnings == []
    assert expand(house, "<param:hires>, <param:eta>, <param:prompt>")[0]["prompt"].startswith("false, , <param:")
    assert expand(house, "<param:hires_upscaler>")[0]["prompt"] == "Latent"


@for_each_case("name", ["loras", "hires_model", "original_prompt", "cache_options", "upscaler", "nothing"])
def test_other_parameters_are_out_of_reach(house: House, name: str) -> None:
    asked, warnings = expand(house, f"<param[{name}]:1>")
    assert asked["prompt"] == f"<param[{name}]:1>"
    assert name not in asked or name == "original_prompt"
    assert len(warnings) == 1


def test_value_of_another_type_is_refused_by_name(house: House) -> None:
    with pytest.raises(InvalidRequest, match=r"prompt: <param\[steps\]:many> cannot be used: ") as error:
        expand(house, "<param[steps]:many>")
    assert error.value.detail == {"field": "steps", "value": "many"}


def test_styles_are_the_presets(house: House) -> None:
    asked, warnings = expand(house, "a cat <preset:Oil> <p:Sharp>")
    assert asked["prompt"] == "oil painting of a cat, thick, sharp"
    assert asked["negative_prompt"] == "photo"
    assert warnings == []
    assert expand(house, "<preset:None>")[0]["prompt"] == "<preset:None>"


def test_words_are_the_same_for_all_pictures_of_a_job_and_that_is_told(house: House) -> None:
    (warning,) = expand(house, "<random:a,b>", batch_count=4)[1]
    assert "its words were drawn once, for all 4 pictures of this job" in warning
    assert expand(house, "a <comment:x>", batch_count=4)[1] == []


def test_text_of_the_refiner_is_told(house: House) -> None:
    asked, warnings = expand(house, "a <refiner> b")
    assert asked["prompt"] == "a"
    assert [warning.partition(" and ")[0] for warning in warnings] == ["prompt: <refiner>"]


def test_without_a_model_there_is_nothing_to_draw(tmp_path: Path) -> None:
    empty = House(config_below(tmp_path), "inline")
    try:
        with pytest.raises(NoModelLoaded):
            expand(empty, "<random:a,b>")
    finally:
        empty.stop()


def test_originals_are_never_a_default(house: House) -> None:
    users = house.runtime.settings.user
    users.choose_generation({"txt2img": {"original_prompt": "x", "slg_scale": 1.5}})
    try:
        job, _ = house.runtime.submission.pictures.picture("txt2img", {"prompt": "a cat", "width": 8, "height": 8})
    finally:
        users.reset("generation")
    assert job.params["slg_scale"] == 1.5
    assert "original_prompt" not in job.params
