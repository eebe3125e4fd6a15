"""Nothing that ends the library's process goes past these checks, and nothing is left out without a word."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import LoraUse, VideoParams
from sdcpp_rest.engine.protocol import Device, Ready
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.submission import submission_checks, video_checks
from sdcpp_rest.services.submission.video_checks import CheckedVideo, check_video
from tests import model_files
from tests.cases import for_each_case

PICTURE = "(not decoded here)"
EXPERT = "high_noise_diffusion_model"
CPU_ENGINE = Ready(pid=1, library_version="")
GPU = Device(name="CUDA0", description="a card", backend="CUDA", is_gpu=True)
GPU_ENGINE = CPU_ENGINE.model_copy(update={"backend": "CUDA", "devices": (GPU,)})
NUMBERS = {
    "video_frames": (1, 1000),
    "fps": (1, 120),
    "high_noise_steps": (-1, 10_000),
    "high_noise_cfg_scale": (0, 1000),
    "high_noise_eta": (0, 1000),
    "high_noise_distilled_guidance": (0, 1000),
    "high_noise_slg_scale": (0, 1000),
    "high_noise_slg_start": (0, 1),
    "high_noise_slg_end": (0, 1),
    "moe_boundary": (0, 1),
    "vace_strength": (0, 10),
}
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "t2v": ("Wan 2.x", ()),
    "i2v": ("Wan 2.x", ("img_emb.proj.0.weight",)),
    "flf2v": ("Wan 2.x", ("img_emb.proj.0.weight", "img_emb.emb_pos")),
    "vace": ("Wan 2.x", ("vace_blocks.0.norm3.weight",)),
    "i2v_22": ("Wan 2.2 I2V", ()),
    "ti2v": ("Wan 2.2 TI2V", ()),
}


def spec_of(
    folder: Path, variant: str = "t2v", *roles: str, encodes: bool = True, decode_only: bool = True
) -> LoadSpec:
    """A model that says by its tensors which variant it is, beside an autoencoder."""
    family, extra = VARIANTS[variant]
    tensors = {**model_files.wan(30), **dict.fromkeys(extra, (8,))}
    path = model_files.write(folder / f"{variant}.gguf", model_files.gguf_bytes(tensors))
    layers = {"decoder.1.weight": (8,), **({"encoder.0.weight": (8,)} if encodes else {})}
    tae = model_files.write(folder / "tae.gguf", model_files.gguf_bytes(layers))
    parts = {role: FileRef(name=role, path=str(folder / role)) for role in roles}
    return LoadSpec(
        model=FileRef(name=path.name, path=str(path)),
        kind="diffusion",
        architecture=family,
        components={"taesd": FileRef(name="tae.gguf", path=str(tae)), **parts},
        options=LoadOptions(vae_decode_only=decode_only),
    )


def settle(spec: LoadSpec, *roles: str, limits: Any = None, **asked: Any) -> CheckedVideo:
    params = VideoParams.model_validate({"prompt": "a cat", **asked})
    limits = limits or LimitsConfig()
    submission_checks.check_sampling(params, limits)
    return check_video(params, spec, dict.fromkeys(roles, PICTURE), asked, limits, None)


# --- numbers ----------------------------------------------------------------------------------------------------------


@for_each_case(
    ("name", "value"), [(name, value) for name, (low, high) in NUMBERS.items() for value in (low - 1, high + 1)]
)
def test_number_out_of_range_is_refused_with_a_sentence(tmp_path: Path, name: str, value: float) -> None:
    low, high = NUMBERS[name]
    with pytest.raises(InvalidRequest, match=f"{name} must be from {low} to {high}, got {value}") as caught:
        settle(spec_of(tmp_path), **{name: value})
    assert caught.value.detail["field"] == name


@for_each_case("name", [name for name, (low, _) in NUMBERS.items() if low == 0])
def test_no_number_may_be_nan(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        settle(spec_of(tmp_path), **{name: math.nan})


@for_each_case(("name", "value"), [(name, value) for name, bounds in NUMBERS.items() for value in bounds])
def test_bounds_themselves_are_allowed(tmp_path: Path, name: str, value: float) -> None:
    settle(spec_of(tmp_path, "t2v", EXPERT), width=16, height=16, steps=1, **{name: value})


def test_every_number_of_a_video_alone_has_its_bounds_tested() -> None:
    shared = {"width", "height", "steps", "cfg_scale", "distilled_guidance", "eta", "flow_shift", "seed", "clip_skip"}
    numbers = {
        name for name, field in VideoParams.model_fields.items() if field.annotation in (int, float, float | None)
    }
    own = {name for name in numbers if not name.startswith(("slg_", "vae_tile_", "easycache_", "strength"))}
    assert own - shared == NUMBERS.keys()


@pytest.mark.parametrize("layers", [(-1,), (1024,), tuple(range(257))])
def test_layers_out_of_range_are_refused(tmp_path: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match="high_noise_skip_layers"):
        settle(spec_of(tmp_path), high_noise_skip_layers=layers)


@pytest.mark.parametrize("name", ["high_noise_sampler", "high_noise_scheduler"])
def test_unknown_name_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be one of .*, got 'nope'"):
        settle(spec_of(tmp_path), **{name: "nope"})


@pytest.mark.parametrize("asked", [
    {"width": 4096, "height": 4096, "video_frames": 1000},
    {"width": 1920, "height": 1088, "video_frames": 1000},
])  # fmt: skip
def test_video_that_no_memory_holds_is_refused(tmp_path: Path, asked: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match=r"limits\.video_pixels"):
        settle(spec_of(tmp_path), **asked)


def test_steps_of_both_experts_are_bounded_together(tmp_path: Path) -> None:
    limits = LimitsConfig(pixel_steps=64 * 64 * 5 * 10)
    asked = {"width": 64, "height": 64, "video_frames": 5, "steps": 6}
    settle(spec_of(tmp_path), limits=limits, high_noise_steps=5, **asked)
    both = spec_of(tmp_path, "t2v", EXPERT)
    settle(both, limits=limits, high_noise_steps=4, **asked)
    settle(both, limits=limits, high_noise_steps=-1, **asked)
    with pytest.raises(InvalidRequest, match="high_noise_steps"):
        settle(both, limits=limits, high_noise_steps=5, **asked)


@for_each_case(("asked", "made"), [(1, 1), (2, 1), (4, 1), (5, 5), (33, 33), (36, 33)])
def test_number_of_frames_that_will_be_made_is_told(tmp_path: Path, asked: int, made: int) -> None:
    warnings = settle(spec_of(tmp_path), video_frames=asked).warnings
    assert warnings == (
        () if asked == made else (f"video_frames {asked}: videos have 4n+1 frames; {made} will be made.",)
    )


# --- pictures ---------------------------------------------------------------------------------------------------------

ROLES = ("init_image", "end_image", "control_frames.0", "control_frames.1")


@for_each_case(("variant", "seen"), [
    ("t2v", set()), ("i2v", {"init_image", "end_image"}), ("flf2v", {"init_image", "end_image"}),
    ("vace", {"init_image", "control_frames.0", "control_frames.1"}), ("i2v_22", {"init_image", "end_image"}),
    ("ti2v", {"init_image"}),
])  # fmt: skip
def test_picture_that_the_model_does_not_look_at_is_left_out_with_a_warning(
    tmp_path: Path, variant: str, seen: set[str]
) -> None:
    settled = settle(spec_of(tmp_path, variant), *ROLES)
    assert settled.images.keys() == seen
    ignored = {role.partition(".")[0] for role in set(ROLES) - seen}
    assert {warning.partition(" ")[0] for warning in settled.warnings if "was ignored" in warning} == ignored


@for_each_case(("variant", "alone", "with_picture"), [
    ("t2v", False, False), ("ti2v", False, True), ("i2v", True, True), ("flf2v", True, True), ("vace", True, True),
    ("i2v_22", True, True),
])  # fmt: skip
def test_model_that_reads_pictures_is_bound_with_its_encoder(
    tmp_path: Path, variant: str, alone: bool, with_picture: bool
) -> None:
    """Without pictures, too, where the library encodes grey ones instead: it would read through a null pointer."""
    spec = spec_of(tmp_path, variant)
    for roles, reads in (((), alone), (("init_image",), with_picture)):
        settled = settle(spec, *roles)
        assert settled.spec == (spec.with_encoder if reads else spec)
        assert any("vae_decode_only" in warning for warning in settled.warnings) == reads
    chosen = spec_of(tmp_path, variant, decode_only=False)
    assert settle(chosen, "init_image").spec == chosen


@for_each_case("variant", ["i2v", "flf2v", "vace", "i2v_22"])
def test_model_that_reads_pictures_needs_an_autoencoder_that_can(tmp_path: Path, variant: str) -> None:
    with pytest.raises(InvalidRequest, match=r"tae\.gguf has no encoder"):
        settle(spec_of(tmp_path, variant, encodes=False))


def test_first_frame_of_the_5b_model_needs_an_autoencoder_that_can_read_it(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "ti2v", encodes=False)
    assert settle(spec).spec == spec
    with pytest.raises(InvalidRequest, match="has no encoder"):
        settle(spec, "init_image")


def test_pictures_of_a_model_that_nobody_knows_are_kept(tmp_path: Path) -> None:
    spec = spec_of(tmp_path).model_copy(update={"architecture": None})
    spec = spec.model_copy(update={"model": FileRef(name="new.gguf", path=str(tmp_path / "new.gguf"))})
    assert settle(spec, *ROLES).images.keys() == set(ROLES)


def test_more_control_frames_than_frames_are_refused(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "vace")
    frames = [f"control_frames.{k}" for k in range(6)]
    assert settle(spec, *frames, video_frames=6).images.keys() == set(frames)
    with pytest.raises(InvalidRequest, match=r"control_frames must be at most video_frames \(5\) pictures, got 6"):
        settle(spec, *frames, video_frames=5)


def test_control_frames_outweigh_the_one_control_picture(tmp_path: Path) -> None:
    settled = settle(spec_of(tmp_path, "vace"), "control_image", "control_frames.0")
    assert settled.images.keys() == {"control_frames.0"}
    assert "control_image was ignored: control_frames were given." in settled.warnings


# --- memory -----------------------------------------------------------------------------------------------------------


@for_each_case(
    ("needed_gib", "memory_gib", "refused", "warned"),
    [(20, 24, False, False), (30, 24, False, True), (90, 24, False, True), (100, 24, True, False)],
)
def test_video_that_is_too_large_for_the_machine_is_told_or_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    needed_gib: int,
    memory_gib: int,
    refused: bool,
    warned: bool,
) -> None:
    estimated = []

    def estimate(spec: LoadSpec, *size: int, has_gpu: bool) -> int:
        estimated.append((size, spec.options.vae_tiling, has_gpu))
        return needed_gib << 30

    monkeypatch.setattr(video_checks, "memory_needed", estimate)
    params = VideoParams(prompt="a cat", video_frames=36, vae_tiling=True)
    spec = spec_of(tmp_path)
    ask = functools.partial(check_video, params, spec, {}, {}, LimitsConfig(), None, memory_gib << 30)
    if refused:
        with pytest.raises(InvalidRequest, match=r"33 frames of 832x480 take about 100\.0 GiB with t2v.*24\.0 GiB"):
            ask()
    else:
        assert any("GiB" in warning for warning in ask().warnings) == warned
    assert estimated == [((832, 480, 33), True, False)]


@pytest.mark.parametrize("engine", [None, CPU_ENGINE, GPU_ENGINE])
def test_video_is_estimated_with_the_attention_that_its_device_has(tmp_path: Path, engine: Ready | None) -> None:
    params = VideoParams(prompt="a cat", width=2048, height=2048, video_frames=33, vae_tiling=True)
    ask = functools.partial(check_video, params, spec_of(tmp_path), {}, {}, LimitsConfig(video_pixels=10**9), engine)
    if engine is GPU_ENGINE:
        assert not any("GiB" in warning for warning in ask(400 << 30).warnings)
    else:
        with pytest.raises(InvalidRequest, match=r"2048x2048 take about \d+\.\d GiB"):
            ask(400 << 30)


def test_small_video_is_not_estimated(tmp_path: Path) -> None:
    params = VideoParams(prompt="a cat", width=64, height=64, video_frames=5)
    assert check_video(params, spec_of(tmp_path), {}, {}, LimitsConfig(), None, 1).warnings == ()


# --- what has no effect -----------------------------------------------------------------------------------------------


@for_each_case(("variant", "roles", "asked", "words"), [
    ("t2v", (), {"strength": 0.5}, "strength has no effect"),
    ("t2v", (), {"vace_strength": 0.5}, "vace_strength has no effect"),
    ("t2v", (), {"high_noise_steps": 3, "moe_boundary": 0.5}, "high_noise_steps, moe_boundary: no effect without a"),
    ("t2v", (EXPERT,), {"high_noise_steps": 0}, "high-noise model is left out"),
    ("t2v", (EXPERT,), {"high_noise_scheduler": "karras"}, "high_noise_scheduler has no effect"),
    ("t2v", (EXPERT,), {"high_noise_cfg_scale": 3.0, "cfg_scale": 1.0}, "high_noise_cfg_scale has no effect"),
    ("t2v", (), {"cache_mode": "ucache"}, "ucache"),
])  # fmt: skip
def test_what_the_library_leaves_out_is_told(
    tmp_path: Path, variant: str, roles: tuple[str, ...], asked: dict[str, Any], words: str
) -> None:
    (warning,) = settle(spec_of(tmp_path, variant, *roles), **asked).warnings
    assert words in warning


@for_each_case(("roles", "asked"), [
    ((), {"strength": 0.75, "vace_strength": 1.0, "high_noise_steps": -1, "high_noise_cfg_scale": 7.0}),
    ((EXPERT,), {"high_noise_steps": 3, "moe_boundary": 0.5, "high_noise_sampler": "heun"}),
    ((EXPERT,), {"high_noise_cfg_scale": 2.0}),
    ((EXPERT,), {"high_noise_cfg_scale": 1.0, "cfg_scale": 1.0}),
    ((EXPERT,), {"high_noise_scheduler": "karras", "scheduler": "karras"}),
])  # fmt: skip
def test_what_has_its_effect_or_is_the_default_is_not_told(
    tmp_path: Path, roles: tuple[str, ...], asked: dict[str, Any]
) -> None:
    """Old clients send every field they know with its default."""
    assert settle(spec_of(tmp_path, "t2v", *roles), **asked).warnings == ()


def test_lora_of_an_expert_that_is_not_there_is_told(tmp_path: Path) -> None:
    lora = LoraUse(name="a", path="/a", weight=1.0, is_high_noise=True)
    assert settle(spec_of(tmp_path, "t2v", EXPERT), loras=(lora,)).warnings == ()
    (warning,) = settle(spec_of(tmp_path), loras=(lora,)).warnings
    assert "|high_noise|" in warning
