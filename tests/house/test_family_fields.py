"""What a family is said to ignore is what a submission of that field is told, and what it is said to use is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.family_fields import _RULES, Traits, idle_fields, why_idle
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams, VideoParams
from sdcpp_rest.core.presets import PRESETS, Preset
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.native.wire.generation_defaults import list_fields
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.submission import idle_notes, job_defaults, video_checks
from sdcpp_rest.services.submission.job_defaults import JobDefaults
from sdcpp_rest.services.submission.picture_checks import PictureChecks
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake
from tests.cases import for_each_case

FILE = FileRef(name="m", path="/nowhere/m")
PROBES: dict[str, Any] = {
    "negative_prompt": "blue", "distilled_guidance": 9.5, "flow_shift": 7.5, "clip_skip": 2, "slg_scale": 1.5,
    "skip_layers": (1,), "slg_start": 0.05, "slg_end": 0.5, "easycache": True, "easycache_threshold": 0.5,
    "easycache_start": 0.3, "easycache_end": 0.8, "strength": 0.5, "img_cfg_scale": 3.25, "shifted_timestep": 250,
    "auto_resize_ref_image": False, "increase_ref_index": True, "control_strength": 0.5, "preprocess": "canny",
    "hires": True, "pm_style_strength": 30.0, "pm_id_embed_path": "face", "vace_strength": 0.5,
    "high_noise_scheduler": "karras", "high_noise_steps": 3, "high_noise_cfg_scale": 2.0, "high_noise_sampler": "heun",
    "high_noise_eta": 0.5, "high_noise_distilled_guidance": 2.0, "high_noise_slg_scale": 1.0,
    "high_noise_skip_layers": (1,), "high_noise_slg_start": 0.1, "high_noise_slg_end": 0.5, "moe_boundary": 0.5,
}  # fmt: skip
PICTURES = {
    "init_image_base64": "init_image", "control_image_base64": "control_image", "end_image_base64": "end_image",
    "ref_images": "ref_images.0", "pm_id_images": "pm_id_images.0", "control_frames": "control_frames.0",
}  # fmt: skip
USABLE = [preset for preset in PRESETS.values() if not preset.architecture.unusable]


class Nobody:
    """Users who have chosen no defaults."""

    def generation_defaults(self, mode: str) -> Mapping[str, Any]:
        return {}


class Desk:
    """Takes requests for a model of one preset, with nothing loaded beside it."""

    def __init__(self, folder: Path, preset: Preset) -> None:
        limits = Config().limits
        library = ModelLibrary(folder, {}, None)
        self.spec = LoadSpec(model=FILE, kind="diffusion", architecture=preset.architecture.name)
        self.preset = preset
        self.intake = SamplingIntake(limits, library, JobDefaults(limits, library, cast("Any", Nobody())), lambda: None)
        self.checks = PictureChecks(limits, library, cast("Any", SimpleNamespace(selected=None)))

    def ask(self, fields: dict[str, Any], images: dict[str, str]) -> list[str]:
        """What a submission says; a refusal is one more sentence."""
        asked = {"prompt": "a man", **fields}
        try:
            if self.preset.architecture.makes_video:
                film, found = self.intake.params(VideoParams, "txt2vid", asked, self.spec)
                limits = self.intake.limits
                made = video_checks.check_video(film, self.spec, images, asked, limits, None)
                return [*found, *made.warnings]
            name = asked.pop("pm_id_embed_path", "")
            picture, found = self.intake.params(ImageParams, "img2img", asked, self.spec)
            checked = self.checks.check(picture, self.spec, images, embedding_name=name)
            return [*found, *checked.warnings]
        except InvalidRequest as error:
            return [error.message]


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> list[Preset]:
    """The preset that every model has, once a test has put it here."""
    chosen: list[Preset] = []
    for module in (idle_notes, job_defaults, video_checks):
        monkeypatch.setattr(module, "preset_of", lambda spec, family_name=None: chosen[0])
    return chosen


def says_idle(field: str, sentences: list[str]) -> bool:
    words = field.removesuffix("_base64")
    if field == "slg_scale":
        words = "Skip-layer guidance"
    pattern = rf"(?<!\w){re.escape(words)}(?!\w)"
    told = ("no effect", "ignored", "cannot be used", "cannot be drawn", "needs a ControlNet", "needs a PhotoMaker")
    return any(re.search(pattern, text) and any(word in text for word in told) for text in sentences)


@pytest.mark.slow
@for_each_case("preset", USABLE, ids=lambda preset: preset.id)
def test_ignored_fields_are_those_that_submissions_tell_of(
    preset: Preset, no_files: list[Preset], tmp_path: Path
) -> None:
    no_files[:] = [preset]
    desk = Desk(tmp_path, preset)
    ignored = idle_fields(idle_notes.traits_of(desk.spec, preset.generation.get("cfg_scale")))
    looked_at = [name for name in list_fields(makes_video=preset.architecture.makes_video) if name in _RULES]
    assert len(looked_at) >= 15
    wrong = []
    for field in looked_at:
        images = {PICTURES[field]: "x"} if field in PICTURES else {}
        if field == "preprocess" and field not in ignored:
            images = {"control_image": "x"}
        fields = {field: PROBES[field]} if field in PROBES else {}
        sentences = desk.ask(fields, images)
        if says_idle(field, sentences) != (field in ignored):
            wrong.append(f"{field}: ignored is {ignored.get(field)!r}, a submission says {sentences}")
    assert not wrong, "\n".join(wrong)


def test_every_rule_has_a_field_and_a_probe() -> None:
    known = {*list_fields(makes_video=True), *list_fields(makes_video=False)}
    assert set(_RULES) <= known
    assert set(_RULES) == {*PROBES, *PICTURES}


def test_a_model_that_was_not_recognised_is_told_of_guidance_alone() -> None:
    assert idle_fields(Traits(None)) == {}
    assert set(idle_fields(Traits(None, cfg_scale=1.0))) == {"negative_prompt"}


@pytest.mark.parametrize(
    ("preset", "ignored", "used"),
    [
        ("SD1", ["distilled_guidance", "flow_shift", "ref_images", "slg_scale"], ["negative_prompt", "clip_skip"]),
        ("Flux", ["negative_prompt"], ["distilled_guidance", "ref_images", "flow_shift"]),
        ("Flux-Schnell", ["distilled_guidance", "control_image_base64"], ["ref_images"]),
        ("Z-Image-Turbo", ["clip_skip", "negative_prompt", "distilled_guidance"], ["flow_shift"]),
        ("Wan2.1-T2V", ["init_image_base64", "vace_strength", "moe_boundary"], ["negative_prompt"]),
        ("Wan2.2-T2V-A14B", ["init_image_base64"], ["moe_boundary", "high_noise_steps"]),
        ("SDXL", ["ref_images"], ["pm_id_images", "shifted_timestep", "control_image_base64"]),
    ],
)
def test_families_ignore_what_they_were_not_made_for(preset: str, ignored: list[str], used: list[str]) -> None:
    one = PRESETS[preset]
    found = idle_fields(Traits(one.architecture, one, one.generation.get("cfg_scale")))
    assert [field for field in ignored if field not in found] == []
    assert [field for field in used if field in found] == []


def test_what_is_loaded_with_a_model_counts() -> None:
    family = ARCHITECTURES["sdxl"]
    alone = Traits(family, has_controlnet=False, has_photo_maker=False)
    both = Traits(family, has_controlnet=True, has_photo_maker=True)
    for field in ("control_image_base64", "pm_id_images"):
        assert why_idle(field, alone) is not None
        assert why_idle(field, both) is None
