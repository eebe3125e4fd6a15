"""What nobody asked for: who decides it, and that nobody is refused for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams, VideoParams
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.services.submission.job_defaults import JobDefaults
from tests.cases import for_each_case
from tests.services.conftest import House, config_below, copy_demo, spec_named


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    yield made
    made.stop()


def defaults(house: House, **limits: int) -> JobDefaults:
    return JobDefaults(LimitsConfig(**limits), house.runtime.models.library, house.runtime.settings.user)


def with_sidecar(house: House, text: str) -> LoadSpec:
    path = copy_demo(house.config, "mine.gguf")
    path.with_suffix(".json").write_text(text)
    return LoadSpec(model=FileRef(name="mine.gguf", path=str(path)), kind="diffusion", architecture="Ovis Image")


def test_sidecar_outweighs_the_user_who_outweighs_the_preset(house: House) -> None:
    spec = with_sidecar(house, '{"generation_defaults": {"steps": 7}}')
    settings = house.runtime.settings.user
    preset = defaults(house).of(ImageParams, "txt2img", spec, None)
    assert preset["steps"] == 7
    assert preset["cfg_scale"] != ImageParams.model_fields["cfg_scale"].default, "the family's preset has its own"
    settings.choose_generation({"txt2img": {"steps": 9, "cfg_scale": 1.25, "sampler": "heun"}})
    try:
        chosen = defaults(house).of(ImageParams, "txt2img", spec, None)
        assert (chosen["steps"], chosen["cfg_scale"], chosen["sampler"]) == (7, 1.25, "heun")
        assert defaults(house).of(ImageParams, "img2img", spec, None)["cfg_scale"] == preset["cfg_scale"]
    finally:
        settings.reset("generation")


def test_load_options_outweigh_everything_but_the_request(house: House) -> None:
    spec = with_sidecar(house, '{"generation_defaults": {"flow_shift": 1.0, "vae_tiling": false}}')
    options = LoadOptions(flow_shift=3.0, vae_tiling=True, vae_tile_size_x=16, vae_tile_overlap=0.25)
    found = defaults(house).of(ImageParams, "txt2img", spec.model_copy(update={"options": options}), None)
    assert (found["flow_shift"], found["vae_tiling"], found["vae_tile_size_x"]) == (3.0, True, 16)


@for_each_case(
    ("text", "field", "expected"),
    [
        ('{"steps": 99999}', "steps", 30),
        ('{"steps": -4}', "steps", 1),
        ('{"width": 9000}', "width", 128),
        ('{"cfg_scale": 1e9}', "cfg_scale", 1000.0),
        ('{"batch_count": 999}', "batch_count", 3),
        ('{"img_cfg_scale": -1}', "img_cfg_scale", None),
        ('{"hires_denoising_strength": 0}', "hires_denoising_strength", 0.01),
    ],
)
def test_values_out_of_the_limits_are_cut_to_them(house: House, text: str, field: str, expected: Any) -> None:
    spec = with_sidecar(house, f'{{"generation_defaults": {text}}}').model_copy(update={"architecture": None})
    found = defaults(house, steps=30, side=128, batch=3).of(ImageParams, "txt2img", spec, None)
    assert found[field] == expected
    assert type(found[field]) is type(expected)


def test_the_tables_own_defaults_are_cut_too(house: House) -> None:
    found = defaults(house, steps=10, side=256).of(ImageParams, "txt2img", spec_named("other.gguf"), None)
    assert (found["width"], found["height"], found["steps"]) == (256, 256, 10)
    video = defaults(house, side=256).of(VideoParams, "txt2vid", spec_named("other.gguf"), None)
    assert (video["width"], video["height"]) == (256, 256)
    assert "batch_count" not in video


@for_each_case(
    "text",
    [
        '{"steps": "many"}',
        '{"nonsense": 1}',
        '{"prompt": "a cat"}',
        '{"upscaler": {"model": {"name": "x", "path": "/etc/passwd"}}}',
        '{"loras": [{"name": "x", "path": "/etc/passwd", "weight": 1}]}',
        '{"video_frames": 5}',
        '{"cache_mode": "magic"}',
    ],
)
def test_what_is_no_default_is_left_out(house: House, text: str) -> None:
    spec = with_sidecar(house, f'{{"generation_defaults": {text}}}').model_copy(update={"architecture": None})
    assert defaults(house).of(ImageParams, "txt2img", spec, None) == {"seed": -1}


def test_names_that_the_engine_does_not_know_are_left_out(house: House) -> None:
    spec = with_sidecar(house, '{"generation_defaults": {"sampler": "heun", "scheduler": "magic"}}')
    spec = spec.model_copy(update={"architecture": None})
    assert defaults(house).of(ImageParams, "txt2img", spec, None) == {"seed": -1, "sampler": "heun"}
    ready = Ready(pid=1, library_version="x", samplers=("euler",), schedulers=("discrete",))
    assert defaults(house).of(ImageParams, "txt2img", spec, ready) == {"seed": -1}
