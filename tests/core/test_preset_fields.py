from __future__ import annotations

from typing import Any

from sdcpp_rest.core.preset_fields import to_parameters, to_settings
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from tests.cases import for_each_case

BOTH: dict[str, Any] = {
    "prompt": "ink drawing of {prompt}",
    "negative_prompt": "",
    "steps": 20,
    "seed": -1,
    "width": 640,
    "height": 512,
    "batch_count": 2,
    "clip_skip": 2,
    "cfg_scale": 6.5,
    "distilled_guidance": 3,
    "flow_shift": 1.0,
    "strength": 0.1,
    "sampler": "dpm++2m",
    "scheduler": "karras",
    "video_frames": 33,
    "fps": 16,
}


def test_fields_that_both_have_go_there_and_back() -> None:
    parameters, rest = to_parameters(BOTH)
    assert rest == {}
    assert parameters == {
        "prompt": "ink drawing of {value}",
        "negativeprompt": "",
        "steps": "20",
        "seed": "-1",
        "width": "640",
        "height": "512",
        "images": "2",
        "clipstopatlayer": "-2",
        "cfgscale": "6.5",
        "fluxguidancescale": "3",
        "sigmashift": "1.0",
        "initimagecreativity": "0.1",
        "sampler": "dpmpp_2m",
        "scheduler": "karras",
        "textvideoframes": "33",
        "videofps": "16",
        "aspectratio": "Custom",
    }
    back, rest = to_settings(parameters)
    assert (back, rest) == (BOTH, {})


def test_every_sampler_and_scheduler_comes_back_or_stays() -> None:
    for field, names in (("sampler", SAMPLERS), ("scheduler", SCHEDULERS)):
        for name in names:
            parameters, rest = to_parameters({field: name})
            assert {**to_settings(parameters)[0], **rest} == {field: name}


@for_each_case(
    ("name", "value"),
    [
        ("steps", "20"),
        ("steps", True),
        ("steps", None),
        ("steps", 10**30),
        ("cfg_scale", float("inf")),
        ("cfg_scale", 10**400),
        ("prompt", ["a"]),
        ("prompt", "{value}"),
        ("clip_skip", -1),
        ("sampler", "nobody"),
        ("sampler", "Euler"),
        ("hires_fix", True),
        ("loras", [{"name": "a"}]),
    ],
)
def test_what_swarmui_cannot_hold_stays_native(name: str, value: Any) -> None:
    assert to_parameters({name: value}) == ({}, {name: value})


@for_each_case(
    ("id", "text"),
    [
        ("steps", "many"),
        ("steps", "1e3"),
        ("cfgscale", "nan"),
        ("cfgscale", "1_0"),
        ("clipstopatlayer", "2"),
        ("sampler", "dpm++ 2m karras"),
        ("sampler", "restart"),
        ("prompt", "a {prompt}"),
        ("aspectratio", "16:9"),
        ("loras", "a,b"),
    ],
)
def test_what_is_no_native_field_stays_swarmuis(id: str, text: str) -> None:
    assert to_settings({id: text}) == ({}, {id: text})


def test_a_form_that_wins_over_width_and_height_is_not_translated() -> None:
    sizes = {"width": "64", "height": "64"}
    for more in ({"aspectratio": "16:9"}, {"rawresolution": "8x8"}):
        assert to_settings({**sizes, **more, "steps": "3"}) == ({"steps": 3}, {**sizes, **more})
