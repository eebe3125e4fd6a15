from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.routes.a1111.errors import HTTPException
from sdcpp_rest.routes.a1111.reading import reread
from sdcpp_rest.routes.a1111.translation import Translation, TranslationContext, to_plan
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Txt2Img
from tests.cases import for_each_case


def context(defaults: Mapping[str, Any] | None = None, **options: Any) -> TranslationContext:
    return TranslationContext(
        samplers=SAMPLERS,
        schedulers=SCHEDULERS,
        defaults=defaults or {},
        options=options,
        styled=lambda prompt, negative, names: (", ".join([prompt, *names]), negative, ["missing"] if names else []),
        has_lora=lambda name: name == "demo",
        upscaler=lambda name: {"Latent": "Latent", "esrgan": "esrgan", "None": "Lanczos"}.get(name),
    )


def plan_of(around: TranslationContext | None = None, **fields: Any) -> Translation:
    return to_plan(reread(A1111Txt2Img, fields), around or context())


def img_plan(**fields: Any) -> Translation:
    return to_plan(reread(A1111Img2Img, {"init_images": ["x"], **fields}), context())


def test_what_is_not_sent_is_the_dialects_default() -> None:
    asked = plan_of(prompt="x").asked
    assert (asked["width"], asked["height"], asked["steps"], asked["cfg_scale"]) == (512, 512, 50, 7.0)
    assert asked["sampler"] == "euler"
    assert "scheduler" not in asked


def test_or_the_models_own_where_it_has_one() -> None:
    around = context({"width": 64, "steps": 12, "sampler": "heun"})
    asked = plan_of(around, prompt="x").asked
    assert "width" not in asked
    assert "steps" not in asked
    assert asked["height"] == 512
    assert asked["sampler"] == "heun"
    assert plan_of(around, steps=50).asked["steps"] == 50, "sent is sent, also at the default"


@for_each_case(
    ("fields", "sampler"),
    [
        ({"sampler_name": "Euler a"}, "euler_a"),
        ({"sampler_index": "Euler a"}, "euler_a"),
        ({"sampler_name": "Heun", "sampler_index": "Euler a"}, "heun"),
        ({"sampler_name": "", "sampler_index": "Euler a"}, "euler_a"),
    ],
)
def test_the_sampler_of_old_and_new_clients(fields: dict[str, str], sampler: str) -> None:
    assert plan_of(**fields).asked["sampler"] == sampler


def test_all_that_is_asked_for_are_parameters_of_a_job() -> None:
    everything = plan_of(
        prompt="a <lora:demo:0.5>", enable_hr=True, hr_upscaler="esrgan", hr_second_pass_steps=3, eta=0.5,
        sampler_name="Euler a", clip_skip=2, distilled_cfg_scale=4, scheduler="Karras",
    ).asked  # fmt: skip
    assert everything.keys() <= ImageParams.model_fields.keys()
    ImageParams(**everything)
    ImageParams(**img_plan(image_cfg_scale=2, denoising_strength=0.4).asked)


def test_seeds_count_up_over_all_pictures() -> None:
    plan = plan_of(seed=10, subseed=100, n_iter=2, batch_size=2)
    assert [plan.seeds(k) for k in range(4)] == [(10, 100), (11, 101), (12, 102), (13, 103)]
    assert plan.native_seed(2) == 12


def test_seeds_that_are_left_open_are_drawn() -> None:
    seeds = {plan_of(seed=-1).seed for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_whole_of_a_variation_is_its_seeds_picture() -> None:
    plan = plan_of(seed=10, subseed=100, subseed_strength=1.0)
    assert plan.native_seed(2) == 102
    assert plan.seeds(2) == (10, 102)
    assert plan.ignored == []
    part = plan_of(seed=10, subseed=100, subseed_strength=0.5)
    assert part.native_seed(2) == 12
    assert part.ignored == ["subseed_strength"]


@for_each_case(
    ("fields", "word"),
    [
        ({"restore_faces": True}, "restore_faces"),
        ({"refiner_checkpoint": "x"}, "refiner_checkpoint"),
        ({"seed_resize_from_w": 64, "seed_resize_from_h": 64}, "seed_resize_from"),
        ({"s_churn": 1}, "s_churn"), ({"s_noise": 0.5}, "s_noise"), ({"s_min_uncond": 1}, "s_min_uncond"),
        ({"styles": ["gone"]}, "style missing"),
        ({"prompt": "<lora:gone:1>"}, "LoRA gone"),
        ({"sampler_name": "PLMS"}, "sampler PLMS"),
        ({"scheduler": "Beta"}, "scheduler Beta"),
        ({"enable_hr": True, "hr_upscaler": "R-ESRGAN 4x+"}, "hr_upscaler R-ESRGAN 4x+"),
        ({"enable_hr": True, "hr_prompt": "other"}, "hr_prompt"),
        ({"enable_hr": True, "hr_sampler_name": "Euler"}, "hr_sampler_name"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_named(fields: dict[str, Any], word: str) -> None:
    assert plan_of(**fields).ignored == [word]


def test_what_clients_send_always_is_no_reason_to_complain() -> None:
    plan = plan_of(
        restore_faces=False, tiling=False, s_churn=0, s_noise=1, s_tmin=0, s_tmax=0, refiner_checkpoint="None",
        hr_upscaler="Latent", hr_sampler_name="Use same sampler", hr_scheduler="Automatic", hr_prompt="x", prompt="x",
        seed_resize_from_h=-1, seed_resize_from_w=-1, alwayson_scripts={"Sampler": {"args": []}}, script_name="None",
        sampler_name="Euler a", scheduler="automatic", subseed_strength=0, enable_hr=True,
    )  # fmt: skip
    assert plan.ignored == []
    assert plan.circular is None


def test_the_prompt_that_is_told_is_the_clients_own() -> None:
    plan = plan_of(prompt="a <lora:gone:1> cat", lora=[{"path": "demo", "multiplier": 0.5}])
    assert plan.prompt == "a <lora:gone:1> cat <lora:demo:0.5>"
    assert plan.asked["prompt"] == "a  cat <lora:demo:0.5>"
    bare = plan_of(prompt="a <lora:demo:1> cat", disable_extra_networks=True)
    assert (bare.asked["prompt"], bare.ignored) == ("a  cat", [])


@for_each_case(
    ("fields", "expected"),
    [
        ({}, {"hires_scale": 2.0}),
        ({"hr_scale": 1.5}, {"hires_scale": 1.5}),
        ({"hr_resize_x": 96, "hr_resize_y": 80}, {"hires_width": 96, "hires_height": 80}),
        ({"hr_resize_x": 96}, {"hires_width": 96, "hires_height": 0}),
        (
            {"firstphase_width": 64, "firstphase_height": 64, "width": 128, "height": 128},
            {"width": 64, "height": 64, "hires_width": 128, "hires_height": 128},
        ),
        ({"denoising_strength": 0}, {"hires_denoising_strength": 0.01}),
        ({"hr_upscaler": "None"}, {"hires_upscaler": "Lanczos"}),
    ],
)
def test_hires_fix(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    asked = plan_of(enable_hr=True, **fields).asked
    assert asked["hires"] is True
    assert {name: asked.get(name) for name in expected} == expected


def test_without_hires_fix_nothing_of_it_is_asked_for() -> None:
    assert not any(name.startswith("hires") for name in plan_of(hr_scale=4, hr_upscaler="esrgan").asked)


def test_eta_counts_for_samplers_that_read_it() -> None:
    assert plan_of(sampler_name="Euler a", eta=0.5).asked["eta"] == 0.5
    assert "eta" not in plan_of(sampler_name="Euler", eta=1.0).asked


def test_options_give_what_the_request_leaves_open() -> None:
    plan = plan_of(context(CLIP_stop_at_last_layers=2, tiling=True), prompt="x")
    assert (plan.asked["clip_skip"], plan.circular) == (2, True)
    assert plan_of(context(tiling=True), tiling=False).circular is None


def test_scripts_that_are_not_there() -> None:
    with pytest.raises(HTTPException, match="Script 'sd upscale' not found") as caught:
        plan_of(script_name="sd upscale", script_args=["", 8, "Lanczos", 2.0])
    assert caught.value.status == 422
    with pytest.raises(HTTPException, match="always on script ADetailer not found"):
        plan_of(alwayson_scripts={"ADetailer": {"args": [True]}})


def test_the_first_unit_of_controlnet_that_is_on_counts() -> None:
    units = [{"image": "a", "enabled": False}, {"input_image": "b"}, {"image": "c"}, {"model": "no picture"}]
    plan = plan_of(alwayson_scripts={"controlnet": {"args": units}})
    assert plan.control == {"input_image": "b"}
    assert plan.ignored == ["further ControlNet units"]
    assert plan_of(alwayson_scripts={"ControlNet": {"args": []}}).control is None


def test_masks_are_told_as_those_programs_tell_them() -> None:
    pairs = img_plan(mask="x", inpainting_mask_invert=1, inpaint_full_res_padding=32, mask_blur=8).pairs
    assert pairs == {
        "Denoising strength": 0.75, "Mask blur": 8, "Mask mode": "Inpaint not masked", "Inpaint area": "Only masked",
        "Masked area padding": 32, "Masked content": "fill",
    }  # fmt: skip
    plain = img_plan(mask="x", inpaint_full_res=False, inpainting_fill=1, mask_blur=0).pairs
    assert plain == {"Denoising strength": 0.75}


def test_strength_stays_between_nothing_and_all() -> None:
    assert img_plan(denoising_strength=1.7).asked["strength"] == 1.0
    assert img_plan(denoising_strength=-1).asked["strength"] == 0.0
