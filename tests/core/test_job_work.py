from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.job_work import count_upscaling, count_work
from sdcpp_rest.core.load_spec import FileRef, UpscalerSpec
from sdcpp_rest.core.params import ConvertParams, ImageParams, UpscaleParams, VideoParams
from tests.cases import for_each_case

MEGA = 1_000_000
UPSCALER = UpscalerSpec(model=FileRef(name="x4", path="/x4"))


def picture(**fields: Any) -> ImageParams:
    return ImageParams(**{"prompt": "x", "width": 1000, "height": 1000, "steps": 20, "cfg_scale": 1.0, **fields})


@for_each_case(
    ("fields", "passes"),
    [
        ({}, 1),
        ({"cfg_scale": 7.0}, 2),
        ({"cfg_scale": 7.0, "img_cfg_scale": 1.5}, 3),
        ({"sampler": "heun"}, 2),
        ({"cfg_scale": 7.0, "sampler": "dpm2"}, 4),
        ({"slg_scale": 2.5, "slg_start": 0.0, "slg_end": 0.5}, 1.5),
    ],
)
def test_a_step_counts_as_often_as_the_model_is_computed(fields: dict[str, Any], passes: float) -> None:
    work = count_work(picture(**fields), ())
    assert work.passes == passes
    assert work.step_units == passes


@for_each_case(
    ("strength", "steps"), [(1.0, 20), (0.75, 16), (0.5, 11), (0.0, 1), (0.999, 20)], ids=lambda value: str(value)
)
def test_a_picture_to_start_from_saves_steps(strength: float, steps: int) -> None:
    assert count_work(picture(strength=strength), ["init_image"]).steps == steps
    assert count_work(picture(strength=strength), []).steps == 20


def test_custom_noise_levels_are_the_steps() -> None:
    assert count_work(picture(custom_sigmas=(1.0, 0.5, 0.0)), ()).steps == 2


def test_a_batch_is_sampled_one_by_one_and_decoded_whole() -> None:
    work = count_work(picture(batch_count=3), ())
    assert (work.pictures, work.steps, work.megapixels, work.decoded, work.saved) == (3, 20, 1, 3, 3)


def test_the_hires_fix_is_a_second_pass_of_its_own_size() -> None:
    work = count_work(picture(hires=True, hires_scale=2.0, hires_steps=5), ())
    assert (work.hires_steps, work.hires_megapixels, work.decoded) == (5, 4, 4)
    assert work.hires_share == 20
    assert count_work(picture(hires=True), ()).hires_steps == 20
    assert count_work(picture(hires_scale=2.0), ()).hires_share == 0


def test_frames_count_in_fours_for_steps_and_one_by_one_for_the_rest() -> None:
    video = VideoParams(prompt="x", width=1000, height=1000, video_frames=34, steps=10, high_noise_steps=4)
    work = count_work(video, (), has_two_experts=True)
    assert (work.megapixels, work.decoded, work.saved, work.steps) == (9, 33, 33, 14)
    assert count_work(video, ()).steps == 10


@for_each_case(
    ("fields", "roles"),
    [
        ({"cache_mode": "ucache"}, ()),
        ({"easycache": True}, ()),
        ({}, ("control_image",)),
        ({}, ("ref_images.0",)),
        ({}, ("ref_images.0", "ref_images.1")),
        ({"cfg_scale": 2.0}, ()),
        ({"loras": ({"name": "l", "path": "/l", "weight": 1.0},)}, ()),
    ],
)
def test_what_makes_steps_slower_is_another_way(fields: dict[str, Any], roles: tuple[str, ...]) -> None:
    assert count_work(picture(**fields), roles).way != count_work(picture(), ()).way
    assert count_work(picture(**fields, seed=5), roles).way == count_work(picture(**fields), roles).way


@pytest.mark.parametrize(
    ("asked", "repeats", "factor", "read", "saved"),
    [
        (None, 1, 4, 1, 16),
        (2, 1, 4, 1, 4),
        (4, 1, 2, 1 + 4, 16),
        (2, 2, 2, 1 + 4, 16),
        (1, 1, 4, 1, 1),
        (3, 1, 1, 1, 9),
    ],
)
def test_upscaling_reads_the_picture_of_each_pass(
    asked: int | None, repeats: int, factor: int, read: int, saved: int
) -> None:
    params = UpscaleParams(upscaler=UPSCALER, upscale_factor=asked, repeats=repeats)
    work = count_upscaling(params, (1000, 1000), factor)
    assert (work.enlarged, work.saved, work.steps) == (read, saved, 0)


def test_a_picture_that_is_upscaled_after_drawing_counts_as_both() -> None:
    work = count_work(picture(upscale=True, upscaler=UPSCALER, batch_count=2), (), factor=2)
    assert (work.enlarged, work.saved, work.decoded) == (2, 8, 2)


def test_what_draws_nothing_has_no_work() -> None:
    file = FileRef(name="a", path="/a")
    work = count_work(ConvertParams(input=file, output=file, output_type="q8_0"), ())
    assert (work.steps, work.hires_share, work.saved) == (0, 0, 0)
