"""Numbers and names are judged by the limits; a refusal names the field, the value and what is allowed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.bounds import marks_of
from sdcpp_rest.core.params import CacheOptions, ImageParams, VideoParams
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.submission import submission_checks as checks
from tests.cases import for_each_case

LIMITS = LimitsConfig()


def sampling(**more: Any) -> VideoParams:
    return VideoParams(prompt="a", width=64, height=64, **more)


@pytest.mark.parametrize("limits", [LIMITS, LimitsConfig(steps=7, side=64, batch=2)])
def test_bounds_follow_the_limits_and_hold_the_defaults(limits: LimitsConfig) -> None:
    bounds = {name: marks.bounds for name, marks in marks_of(ImageParams).items() if marks.bounds is not None}
    assert (bounds["steps"].low, bounds["steps"].highest(limits)) == (1, limits.steps)
    assert bounds["width"].highest(limits) == bounds["hires_width"].highest(limits) == limits.side
    assert bounds["batch_count"].highest(limits) == limits.batch
    assert len(bounds) >= 32
    for name, one in bounds.items():
        default = ImageParams.model_fields[name].default
        assert default is None or one.low <= default <= one.highest(LIMITS), name


CACHE = [
    ("threshold", -0.1), ("threshold", math.nan), ("start", 1.1), ("end", -1.0), ("error_decay_rate", 1.5),
    ("fn_compute_blocks", -1), ("fn_compute_blocks", 2**31), ("bn_compute_blocks", -1),
    ("residual_diff_threshold", -1.0), ("max_warmup_steps", -1), ("max_cached_steps", -2),
    ("max_continuous_cached_steps", 10_001), ("taylorseer_n_derivatives", -1),
    ("taylorseer_n_derivatives", 2**30), ("taylorseer_skip_interval", -1), ("scm_mask", "1,2"),
    ("scm_mask", "1;0"), ("scm_mask", "1,"), ("scm_mask", "x"), ("scm_mask", "99999999999"),
    ("scm_mask", "1," * 20_000 + "1"), ("spectrum_w", 2.0), ("spectrum_m", 0), ("spectrum_m", -5),
    ("spectrum_m", 10**6), ("spectrum_lam", 0.0), ("spectrum_lam", math.inf), ("spectrum_window_size", 0),
    ("spectrum_flex_window", -1.0), ("spectrum_warmup_steps", -1), ("spectrum_stop_percent", 1.5),
]  # fmt: skip


@for_each_case(("name", "value"), CACHE)
def test_knob_of_a_cache_that_the_library_could_not_bear_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checks.check_sampling(sampling(cache_options=CacheOptions(**{name: value})), LIMITS)
    assert caught.value.detail["field"] == f"cache_options.{name}"
    assert caught.value.detail["allowed"]
    assert len(caught.value.message) < 500
    json.dumps(caught.value.detail, allow_nan=False)


def test_every_knob_that_is_a_number_is_tried() -> None:
    numbers = {
        name for name, field in CacheOptions.model_fields.items() if field.annotation in (float | None, int | None)
    }
    assert numbers - {"start", "end"} <= {name for name, _ in CACHE}
    assert len(numbers) >= 18


@for_each_case("mask", [None, "", "1", "0", "1,0,1", ",".join("01" * 5_000)])
def test_mask_of_zeros_and_ones_is_taken(mask: str | None) -> None:
    checks.check_sampling(sampling(cache_options=CacheOptions(scm_mask=mask)), LIMITS)


def test_samplers_and_schedulers_of_every_field_are_the_engines() -> None:
    ready = Ready(pid=1, library_version="x", samplers=("own",), schedulers=("mine",))
    checks.check_names({"sampler": "own", "high_noise_sampler": "own", "high_noise_scheduler": "mine"}, ready)
    with pytest.raises(InvalidRequest, match="high_noise_sampler must be one of own, got 'euler'") as caught:
        checks.check_names({"high_noise_sampler": "euler"}, ready)
    assert caught.value.detail["field"] == "high_noise_sampler"
    assert checks.list_names("sampler", None) == SAMPLERS
    assert checks.list_names("scheduler", Ready(pid=1, library_version="")) == SCHEDULERS


def test_a_sampler_by_another_program_s_name_is_told_its_own() -> None:
    with pytest.raises(InvalidRequest, match=r"got 'DPM\+\+ 2M Karras'; did you mean 'dpm\+\+2m'\?$") as caught:
        checks.check_names({"sampler": "DPM++ 2M Karras"}, None)
    assert caught.value.detail["field"] == "sampler"
    with pytest.raises(InvalidRequest, match=r"got '1000000'$"):
        checks.check_names({"sampler": "1000000"}, None)


def test_seed_is_drawn_only_for_minus_one() -> None:
    assert checks.choose_seed(7, LIMITS) == 7
    drawn = {checks.choose_seed(-1, LIMITS) for _ in range(20)}
    assert len(drawn) > 15
    assert all(0 <= seed < 2**31 for seed in drawn)


def test_work_is_told_in_words() -> None:
    checks.check_work(LIMITS.pixel_steps, "all of it", LIMITS)
    with pytest.raises(InvalidRequest, match=r"^all of it is 2e\+11; at most 2e\+11 is allowed \(limits.pixel_steps\)"):
        checks.check_work(LIMITS.pixel_steps + 1, "all of it", LIMITS)


def test_types_are_refused_by_field_also_inside() -> None:
    with pytest.raises(InvalidRequest, match="prompt is required"):
        checks.check_types(ImageParams, {"steps": 2})
    with pytest.raises(InvalidRequest) as caught:
        checks.check_types(ImageParams, {"prompt": "a", "cache_options": {"spectrum_m": "many"}})
    assert caught.value.detail["field"] == "cache_options.spectrum_m"


@for_each_case(
    ("scheduler", "steps", "flat"),
    [("karras", 1, True), ("exponential", 1, True), ("karras", 2, False), ("discrete", 1, False)],
)
def test_schedulers_that_need_two_steps_are_told(scheduler: str, steps: int, flat: bool) -> None:
    assert (checks.one_step_warning(scheduler, steps) is not None) == flat
