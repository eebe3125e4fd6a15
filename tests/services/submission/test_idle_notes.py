from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams, VideoParams
from sdcpp_rest.services.submission.idle_notes import idle_warnings
from tests.cases import for_each_case

FILE = FileRef(name="m", path="/nowhere/m")


def spec(family: str | None, *roles: str) -> LoadSpec:
    return LoadSpec(model=FILE, kind="diffusion", architecture=family, components=dict.fromkeys(roles, FILE))


def warnings(family: str | None, asked: dict[str, Any], **params: Any) -> list[str]:
    return idle_warnings(asked, ImageParams(prompt="x", **{**asked, **params}), spec(family))


@for_each_case(
    ("family", "asked", "params", "words"),
    [
        ("SD 1.x", {"negative_prompt": "blue", "cfg_scale": 1.0}, {}, "negative_prompt has no effect"),
        (None, {"negative_prompt": "blue", "cfg_scale": 1.0}, {}, "negative_prompt has no effect"),
        ("SD 1.x", {"distilled_guidance": 9.0}, {}, "distilled_guidance is for models"),
        ("SD 1.x", {"flow_shift": 3.0}, {}, "flow_shift is for flow models; with SD 1.x it has no effect."),
        ("Flux", {"img_cfg_scale": 2.0}, {}, "img_cfg_scale is for models that fill or edit"),
        ("Flux", {"control_strength": 0.5}, {}, "control_strength has no effect"),
        ("SDXL", {"pm_style_strength": 30.0}, {}, "pm_style_strength has no effect"),
    ],
)
def test_a_field_without_effect_is_told(
    family: str | None, asked: dict[str, Any], params: dict[str, Any], words: str
) -> None:
    (sentence,) = warnings(family, asked, **params)
    assert sentence.startswith(words)


@for_each_case(
    ("family", "asked", "params"),
    [
        ("SD 1.x", {"negative_prompt": "blue"}, {}),
        ("SD 1.x", {"negative_prompt": "", "cfg_scale": 1.0}, {}),
        ("SD 1.x", {"distilled_guidance": 3.5}, {}),
        ("SD 1.x", {}, {"distilled_guidance": 9.0, "flow_shift": 3.0, "negative_prompt": "blue", "cfg_scale": 1.0}),
        ("SD 1.x Inpaint", {"negative_prompt": "blue", "cfg_scale": 1.0, "img_cfg_scale": 2.0}, {}),
        (None, {"distilled_guidance": 9.0}, {}),
        ("Flux", {"distilled_guidance": 9.0, "flow_shift": 3.0}, {}),
    ],
)
def test_what_has_an_effect_or_was_not_asked_for_is_not(
    family: str | None, asked: dict[str, Any], params: dict[str, Any]
) -> None:
    assert warnings(family, asked, **params) == []


@pytest.mark.parametrize(("roles", "is_told"), [((), True), (("high_noise_diffusion_model",), False)])
def test_a_second_experts_guidance_needs_the_negative_prompt_too(roles: tuple[str, ...], is_told: bool) -> None:
    asked = {"negative_prompt": "blue", "cfg_scale": 1.0, "high_noise_cfg_scale": 3.5}
    found = idle_warnings(asked, VideoParams(prompt="x", **asked), spec("Wan 2.x", *roles))
    assert bool(found) is is_told
