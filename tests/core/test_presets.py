from __future__ import annotations

import re
from typing import get_args

import pytest
from pydantic import ValidationError

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.load_spec import Component, LoadOptions
from sdcpp_rest.core.params import ImageParams, VideoParams
from sdcpp_rest.core.presets import PRESETS, Preset, read_presets
from sdcpp_rest.core.sampling import MINIMUM_STEPS, SAMPLERS, SCHEDULERS
from tests.cases import for_each_case

PARTS = {*get_args(Component), "clip", "lora"}
every_preset = for_each_case("preset", PRESETS.values(), ids=list(PRESETS))


def test_every_family_has_a_preset() -> None:
    assert {preset.family for preset in PRESETS.values()} == ARCHITECTURES.keys()
    assert len(PRESETS) >= 50


@every_preset
def test_a_preset_says_what_it_is(preset: Preset) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-]*", preset.id)
    assert preset.display_name
    assert preset.description.endswith(".")
    assert len([other for other in PRESETS.values() if other.display_name == preset.display_name]) == 1


@every_preset
def test_a_preset_names_parts_that_can_be_loaded(preset: Preset) -> None:
    parts = [*preset.required, *preset.optional]
    assert set(parts) <= PARTS
    assert len(parts) == len(set(parts))


@every_preset
def test_a_preset_agrees_with_what_its_family_needs(preset: Preset) -> None:
    family = preset.architecture
    parts = {"clip_l" if part == "clip" else part for part in preset.required}
    assert set(family.needs) <= parts
    if family.needs_any:
        assert parts & set(family.needs_any)
    if not family.unusable:
        assert set(family.helped_by) <= {*parts, *preset.optional}
    # Diffusion transformers come without their VAE; checkpoints with a UNet bring it, and Radiance has none.
    needs_vae = family.has_vae and family.is_flow and family.id != "sd3"
    assert ("vae" in parts) is needs_vae
    if not family.has_vae:
        assert "vae" not in preset.optional
    assert ("controlnet" in preset.optional) is family.takes_controlnet
    assert ("photo_maker" in preset.optional) is family.takes_photo_maker


@every_preset
def test_a_preset_holds_settings_that_a_job_can_have(preset: Preset) -> None:
    family, generation = preset.architecture, dict(preset.generation)
    if family.id == "svd":
        assert not generation
        return
    params = VideoParams if family.makes_video else ImageParams
    checked = params.model_validate({"prompt": "", **generation}, strict=True)
    assert {"width", "height", "steps", "cfg_scale", "sampler", "scheduler"} <= generation.keys()
    assert checked.sampler in SAMPLERS
    assert checked.scheduler in SCHEDULERS
    assert MINIMUM_STEPS.get(checked.scheduler, 1) <= checked.steps <= 100
    assert checked.width % 32 == checked.height % 32 == 0
    assert 1.0 <= checked.cfg_scale <= 10.0
    if isinstance(checked, VideoParams):
        assert checked.video_frames % 4 == 1
        assert checked.fps in (16, 24)


@every_preset
def test_a_preset_holds_load_options_that_exist(preset: Preset) -> None:
    LoadOptions.model_validate(dict(preset.load), strict=True)


@for_each_case(
    ("name", "expected"),
    [
        ("SD1", {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7.0, "sampler": "euler_a"}),
        ("SDXL", {"width": 1024, "height": 1024, "steps": 25, "cfg_scale": 7.0}),
        ("Flux", {"width": 1024, "height": 1024, "steps": 20, "cfg_scale": 1.0, "sampler": "euler"}),
        ("Flux-Schnell", {"steps": 4, "cfg_scale": 1.0}),
        ("Z-Image-Turbo", {"steps": 8, "cfg_scale": 1.0, "sampler": "euler", "scheduler": "smoothstep"}),
        ("Qwen-Image", {"width": 1024, "steps": 20, "cfg_scale": 2.5, "sampler": "euler"}),
        ("Wan2.1-T2V", {"width": 832, "height": 480, "video_frames": 33, "fps": 16, "steps": 30, "cfg_scale": 6.0}),
        ("Wan2.1-T2V", {"flow_shift": 3.0, "sampler": "euler", "scheduler": "discrete"}),
        ("SDXS-512", {"steps": 1, "cfg_scale": 1.0}),
    ],
)
def test_the_table_says_what_the_api_documents(name: str, expected: dict[str, object]) -> None:
    assert expected.items() <= PRESETS[name].generation.items()


@pytest.mark.parametrize(
    ("name", "required", "optional"),
    [
        ("SD1", ["clip"], ["vae", "lora", "controlnet"]),
        ("SDXL", ["clip_l", "clip_g"], ["vae", "lora", "controlnet"]),
        ("Flux", ["clip_l", "t5xxl", "vae"], ["lora"]),
    ],
)
def test_parts_are_those_that_the_api_documents(name: str, required: list[str], optional: list[str]) -> None:
    assert list(PRESETS[name].required) == required
    assert list(PRESETS[name].optional)[: len(optional)] == optional


def test_stable_diffusion_1_and_wan_draw_as_the_api_documents_for_silent_requests() -> None:
    assert ImageParams.model_validate({"prompt": "", **PRESETS["SD1"].generation}) == ImageParams(prompt="")
    assert VideoParams.model_validate({"prompt": "", **PRESETS["Wan2.1-T2V"].generation}) == VideoParams(prompt="")


def test_a_table_takes_over_what_it_does_not_say_itself() -> None:
    text = """
    [A]
    family = "sd1"
    display_name = "A"
    description = "First."
    required = ["clip"]
    optional = []
    generation = { steps = 20, width = 512 }
    [B]
    like = "A"
    display_name = "B"
    generation = { steps = 4 }
    [C]
    like = "B"
    display_name = "C"
    load = { vae_decode_only = false }
    """
    table = read_presets(text)
    assert table["C"].generation == {"steps": 4, "width": 512}
    assert table["C"].load == {"vae_decode_only": False}
    assert (table["C"].description, table["C"].display_name) == ("First.", "C")
    assert table["A"].generation["steps"] == 20


@for_each_case(
    "text",
    ["[A", "[A]\nfamily = 'sd1'", "[A]\nlike = 'A'", "[A]\nlike = 'B'\n[B]\nlike = 'A'", "[A]\nlike = 'nothing'"],
)
def test_a_table_that_is_not_well_formed_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_presets(text)


def test_a_preset_has_no_other_fields() -> None:
    with pytest.raises(ValidationError):
        read_presets(
            "[A]\nfamily='sd1'\ndisplay_name='A'\ndescription='x'\nrequired=[]\noptional=[]\ngenerations={steps=1}"
        )
