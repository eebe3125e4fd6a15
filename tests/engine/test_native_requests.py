"""A video's parameters and pictures become the library's request; nothing here needs the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.core.params import LoraUse, VideoParams
from sdcpp_rest.engine.native_requests import video_request
from sdcpp_rest.engine.runner import RunFailed


def params(**more: Any) -> VideoParams:
    return VideoParams(prompt="a cat", width=16, height=8, video_frames=7, **more)


def saved(folder: Path, role: str, colour: str) -> str:
    path = folder / f"{role}.png"
    Image.new("RGB", (16, 8), colour).save(path)
    return str(path)


def test_one_control_picture_stands_for_all_frames(tmp_path: Path) -> None:
    request = video_request(params(), {"control_image": saved(tmp_path, "control_image", "red")})
    assert len(request.control_frames) == request.frame_count == 5
    assert {frame.pixels[:3] for frame in request.control_frames} == {b"\xff\0\0"}


def test_control_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    colours = {10: "#00000a", 2: "#000002", 0: "#000000"}
    inputs = {f"control_frames.{k}": saved(tmp_path, f"control_frames.{k}", colour) for k, colour in colours.items()}
    inputs["control_image"] = saved(tmp_path, "control_image", "red")
    assert [frame.pixels[2] for frame in video_request(params(), inputs).control_frames] == [0, 2, 10]


def test_both_ends_of_a_video(tmp_path: Path) -> None:
    inputs = {role: saved(tmp_path, role, "blue") for role in ("init_image", "end_image")}
    request = video_request(params(), inputs)
    assert request.init_image is not None
    assert request.end_image is not None
    assert (request.init_image.width, request.init_image.height, request.init_image.channels) == (16, 8, 3)


def test_input_that_is_gone_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"end_image\.png cannot be read"):
        video_request(params(), {"end_image": str(tmp_path / "end_image.png")})


def test_first_expert_follows_the_main_phase_where_nothing_else_is_said() -> None:
    first = video_request(params(sampler="heun", scheduler="karras", eta=0.5, flow_shift=4.0), {}).high_noise
    assert (first.sampler, first.scheduler, first.eta, first.flow_shift) == ("heun", "karras", 0.5, 4.0)
    assert (first.steps, first.guidance.txt_cfg) == (-1, 7.0)


def test_first_expert_has_settings_of_its_own() -> None:
    asked = {
        "high_noise_steps": 3, "high_noise_cfg_scale": 2.0, "high_noise_sampler": "lcm", "high_noise_eta": 0.1,
        "high_noise_distilled_guidance": 1.5, "high_noise_slg_scale": 0.7, "high_noise_skip_layers": (4,),
        "high_noise_slg_start": 0.2, "high_noise_slg_end": 0.6,
    }  # fmt: skip
    first = video_request(params(eta=0.5, **asked), {}).high_noise
    layers = first.guidance.skip_layers
    assert (first.steps, first.sampler, first.eta) == (3, "lcm", 0.1)
    assert (first.guidance.txt_cfg, first.guidance.distilled) == (2.0, 1.5)
    assert (layers.scale, layers.layers, layers.start, layers.end) == (0.7, (4,), 0.2, 0.6)


def test_loras_keep_their_expert_and_leave_the_prompt() -> None:
    loras = (
        LoraUse(name="a", path="/a", weight=0.5, is_high_noise=True),
        LoraUse(name="a", path="/a", weight=0.25),
    )
    request = video_request(
        VideoParams(prompt="a cat <lora:|high_noise|a:0.5> <lora:a:0.25>", loras=loras, vace_strength=0.5), {}
    )
    assert request.prompt == "a cat"
    assert [(lora.multiplier, lora.is_high_noise) for lora in request.loras] == [(0.5, True), (0.25, False)]
    assert request.vace_strength == 0.5
