"""What is asked for becomes a job, or a sentence that says what is wrong with it; nothing bad goes past this room."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.errors import InvalidRequest, NoModelLoaded, QueueFull
from sdcpp_rest.services.jobs.job_entry import InputsNotStored
from sdcpp_rest.services.models.load_specs import LoadRequest
from tests.cases import for_each_case
from tests.services.conftest import House, config_below, copy_demo, png_text, spec_named

HUGE = 10**400
PNG = png_text()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all, not started: nothing here needs an engine, and jobs stay pending. The bundled model is selected."""
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    made.runtime.models.slot.restore(LoadRequest(model_name=made.runtime.default_model))
    yield made
    made.stop()


def ask(house: House, **more: Any) -> dict[str, Any]:
    """The params of a job; ``more``: fields of the request, or what `Submission.picture` takes beside them."""
    named = {name: more.pop(name) for name in ("images", "spec") if name in more}
    asked = {"prompt": "a red circle", **more}
    job, _ = house.runtime.submission.pictures.picture("img2img" if "images" in named else "txt2img", asked, **named)
    return house.runtime.jobs.queue.get(job.id).params


def traces(house: House) -> tuple[int, int]:
    """The number of jobs and of input folders: a refused request adds to neither."""
    return house.runtime.jobs.queue.counts()["total"], len(list((house.config.paths.data_dir / "inputs").iterdir()))


# --- numbers ----------------------------------------------------------------------------------------------------------

INTEGERS = {
    "width": (8, 4096),
    "height": (8, 4096),
    "steps": (1, 10_000),
    "batch_count": (1, 64),
    "clip_skip": (-1, 12),
    "shifted_timestep": (0, 1000),
    "vae_tile_size_x": (0, 4096),
    "vae_tile_size_y": (0, 4096),
    "hires_width": (0, 4096),
    "hires_height": (0, 4096),
    "hires_steps": (0, 10_000),
    "hires_upscale_tile_size": (16, 4096),
    "upscale_repeats": (1, 16),
}
NUMBERS = {
    "cfg_scale": (0, 1000),
    "img_cfg_scale": (0, 1000),
    "distilled_guidance": (0, 1000),
    "eta": (0, 1000),
    "flow_shift": (0, 1000),
    "strength": (0, 1),
    "control_strength": (0, 10),
    "slg_scale": (0, 1000),
    "slg_start": (0, 1),
    "slg_end": (0, 1),
    "vae_tile_overlap": (0, 1),
    "easycache_threshold": (0, 1000),
    "easycache_start": (0, 1),
    "easycache_end": (0, 1),
    "vae_tile_rel_size_x": (0, 256),
    "vae_tile_rel_size_y": (0, 256),
    "hires_scale": (1, 16),
    "hires_denoising_strength": (0.01, 1),
    "pm_style_strength": (0, 100),
}
REFUSED = [
    *((name, value) for name, (low, high) in INTEGERS.items() for value in (low - 1, high + 1, -(2**31), 2**63, HUGE)),
    *((name, 0) for name in ("width", "height", "steps", "batch_count")),
    *(
        (name, value)
        for name, (low, high) in NUMBERS.items()
        for value in (math.nan, math.inf, -math.inf, low - 0.001, high + 0.001, 1e308, HUGE)
    ),
]


def test_every_number_of_a_request_has_its_bounds_tested() -> None:
    numbers = {name for name, field in ImageParams.model_fields.items() if _is_number(field.annotation)}
    assert numbers - {"seed"} == INTEGERS.keys() | NUMBERS.keys()


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float, int | None, float | None)


@for_each_case(("name", "value"), REFUSED, ids=lambda value: str(value)[:12])
def test_number_out_of_range_is_refused_with_a_sentence(house: House, name: str, value: float) -> None:
    before = traces(house)
    with pytest.raises(InvalidRequest) as caught:
        ask(house, **{name: value})
    error = caught.value
    assert error.detail["field"] == name
    assert name in error.message
    assert len(error.message) < 500
    json.dumps(error.detail, allow_nan=False)
    if value != HUGE or name in INTEGERS:
        low, high = {**INTEGERS, **NUMBERS}[name]
        assert f"from {low} to {high:g}" in error.message
        assert str(value)[:12] in error.message
    assert traces(house) == before


@for_each_case(
    ("name", "value"),
    [(name, bound) for name, bounds in {**INTEGERS, **NUMBERS}.items() for bound in bounds],
)
def test_bounds_themselves_are_allowed(house: House, name: str, value: float) -> None:
    asked = {"width": 8, "height": 8, "steps": 2, name: value}
    assert ask(house, **asked)[name] == value


@for_each_case("seed", [-2, -(2**63), 2**63, 2**63 - 1, HUGE])
def test_seed_out_of_range_is_refused(house: House, seed: int) -> None:
    with pytest.raises(InvalidRequest, match="seed must be -1") as caught:
        ask(house, seed=seed)
    assert caught.value.detail["field"] == "seed"


@for_each_case("seed", [0, 1, 2**31, 2**63 - 65])
def test_seed_in_range_is_kept(house: House, seed: int) -> None:
    assert ask(house, seed=seed)["seed"] == seed


@for_each_case("layers", [[-1], [1024], list(range(257)), [HUGE]])
def test_layers_out_of_range_are_refused(house: House, layers: list[int]) -> None:
    with pytest.raises(InvalidRequest, match="skip_layers must be at most 256 layer numbers from 0 to 1023"):
        ask(house, skip_layers=layers)


@for_each_case("sigmas", [[1.0], [math.nan, 0.0], [math.inf, 0.0], [1.0, -0.1], [1.0] * 10_002])
def test_sigmas_that_cannot_be_sampled_are_refused(house: House, sigmas: list[float]) -> None:
    with pytest.raises(InvalidRequest, match="custom_sigmas must be 2 to 10001 finite numbers") as caught:
        ask(house, custom_sigmas=sigmas)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "asked",
    [
        {"width": 4096, "height": 4096, "steps": 10_000, "batch_count": 2},
        {"width": 4096, "height": 4096, "steps": 200, "batch_count": 64},
        {"width": 4096, "height": 4096, "steps": 1, "custom_sigmas": [1.0] * 10_001, "batch_count": 2},
    ],
)
def test_work_that_never_ends_is_refused(house: House, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"at most 2e\+11 is allowed \(limits.pixel_steps\)"):
        ask(house, **asked)


def test_limits_come_from_the_configuration(make_house: Callable[..., House]) -> None:
    house = make_house("limits.steps=5", "limits.side=64", "limits.batch=2", "limits.prompt_characters=10")
    for asked in ({"steps": 6}, {"width": 65}, {"height": 65}, {"batch_count": 3}, {"prompt": "a" * 11}):
        with pytest.raises(InvalidRequest) as caught:
            house.submit(spec=spec_named("x.gguf"), **{"prompt": "a", **asked})
        assert caught.value.detail["field"] == next(iter(asked))


# --- what ends the library's process, or never returns ----------------------------------------------------------------

NARROW = png_text(1, 1000)
SPECS: dict[str, dict[str, Any]] = {
    "none": {},
    "video": {"architecture": "Wan 2.x"},
    "tiny": {"architecture": "SD 1.x Tiny UNet"},
    "face": {"architecture": "SDXL", "components": {"photo_maker": FileRef(name="p", path="/p")}},
    "inpaint": {"architecture": "SD 1.x Inpaint"},
}
DEADLY: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    # killed by a signal, whatever is around the call
    ("none", {"steps": 0}, {}, "steps must be from 1 to"),
    ("none", {"steps": 0, "strength": 0.5}, {"init_image": PNG}, "steps must be from 1 to"),
    ("none", {"sampler": "1000000"}, {}, "sampler must be one of"),
    ("none", {"scheduler": "gits", "steps": 1}, {}, "steps must be at least 2"),
    ("none", {"scheduler": "gits", "hires": True, "hires_steps": 1}, {}, "hires_steps must be at least 2"),
    ("none", {"prompt": "a" * 30_000}, {}, "characters are too many"),
    ("none", {"prompt": "\N{GRINNING FACE}" * 7_500}, {}, "bytes of UTF-8 are too many"),
    ("video", {}, {}, "makes videos, not pictures"),
    ("none", {"cache_mode": "taylorseer", "cache_options": {"taylorseer_n_derivatives": -5}}, {}, "from 0 to 10"),
    ("none", {"cache_mode": "spectrum", "cache_options": {"spectrum_m": 10**6}}, {}, "from 1 to 32"),
    # an exception of the library's own
    ("none", {"width": 0}, {}, "width must be from 8"),
    ("none", {"height": -8}, {}, "height must be from 8"),
    ("none", {"width": 100_000, "height": 100_000}, {}, "width must be from 8 to 4096"),
    ("none", {"strength": -0.1}, {"init_image": PNG}, "strength must be from 0 to 1"),
    ("none", {"prompt": "(a:.)"}, {}, "is not a number"),
    ("none", {"negative_prompt": "(a:" + "9" * 46 + ")"}, {}, "is too large"),
    ("none", {"prompt": "(a:0." + "0" * 50 + "1)"}, {}, "too close to zero"),
    ("none", {"cache_mode": "dbcache", "cache_options": {"scm_mask": "1,x"}}, {}, "zeros and ones"),
    ("none", {"width": 64, "height": 64}, {"ref_images.0": NARROW}, "too narrow"),
    # an assertion of the library's
    ("tiny", {}, {"control_image": PNG}, "does not work with a ControlNet"),
    ("face", {}, {}, "pm_id_images is required"),
    ("face", {"prompt": "a man"}, {"pm_id_images.0": PNG}, "needs the word 'img' once"),
    ("inpaint", {"hires": True}, {"init_image": PNG}, "cannot be drawn with the hires fix"),
    # no end in sight
    ("none", {"steps": -1}, {}, "steps must be from 1"),
    ("none", {"steps": 100_000_000}, {}, "steps must be from 1 to 10000"),
    ("none", {"width": 20_000, "height": 20_000}, {}, "width must be from 8 to 4096"),
    # nothing, or something flat
    ("none", {"batch_count": 0}, {}, "batch_count must be from 1"),
    ("none", {"cfg_scale": math.nan}, {}, "cfg_scale must be from 0"),
    ("none", {"custom_sigmas": [math.nan, 0.0]}, {}, "finite numbers"),
    ("none", {"prompt": "<lora:nobody:1>"}, {}, "no LoRA named 'nobody'"),
    ("none", {"prompt": "<lora:x:nan>"}, {}, "expected a number"),
]  # fmt: skip


@for_each_case(("model", "asked", "images", "words"), DEADLY)
def test_what_the_library_dies_of_is_refused_before_it(
    house: House, model: str, asked: dict[str, Any], images: dict[str, str], words: str
) -> None:
    before = traces(house)
    spec = spec_named("other.gguf").model_copy(update=SPECS[model])
    with pytest.raises(InvalidRequest, match=words) as caught:
        ask(house, spec=spec, **({"images": images} if images else {}), **asked)
    assert caught.value.status == 400
    assert len(caught.value.message) < 500
    assert traces(house) == before


@for_each_case(
    ("asked", "images"),
    [
        ({"seed": -1}, {}),
        ({"width": 65, "height": 70}, {"init_image": png_text(3, 5), "mask_image": png_text(200, 1)}),
        ({"auto_resize_ref_image": False}, {"ref_images.0": png_text(65, 70), "ref_images.1": NARROW}),
        ({"auto_resize_ref_image": True}, {"ref_images.0": png_text(65, 70)}),
        ({"strength": 0.0}, {"init_image": PNG}),
        ({"scheduler": "karras", "steps": 1}, {}),
        ({"vae_tiling": True, "vae_tile_size_x": 1, "vae_tile_overlap": 1.0}, {}),
        ({"slg_scale": 5.0, "skip_layers": [1023], "slg_start": 1.0, "slg_end": 0.0}, {}),
    ],
)
def test_what_is_made_safe_is_accepted(house: House, asked: dict[str, Any], images: dict[str, str]) -> None:
    params = ask(house, spec=spec_named("other.gguf"), **({"images": images} if images else {}), **asked)
    assert params["seed"] >= 0


# --- names and texts --------------------------------------------------------------------------------------------------


@for_each_case("name", ["sampler", "scheduler"])
@for_each_case("value", ["", "nobody", "Euler", "1000000", "euler\0", "a" * 10_000])
def test_unknown_name_is_refused_with_the_known_ones(house: House, name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be one of ") as caught:
        ask(house, **{name: value})
    assert caught.value.detail["field"] == name
    assert ", ".join(SAMPLERS if name == "sampler" else SCHEDULERS) in caught.value.message
    assert len(caught.value.message) < 1000


def test_names_are_those_of_the_running_engine(make_house: Callable[..., House]) -> None:
    house = make_house().start()
    with pytest.raises(InvalidRequest, match="one of euler, euler_a, heun, dpm\\+\\+2m,"):
        house.submit(sampler="dpm2")


def test_gits_needs_two_steps(house: House) -> None:
    with pytest.raises(InvalidRequest, match="steps must be at least 2 with scheduler gits, got 1"):
        ask(house, scheduler="gits", steps=1)
    assert ask(house, scheduler="gits", steps=2)["steps"] == 2


@for_each_case("field", ["prompt", "negative_prompt"])
@for_each_case("text", ["a" * 16_001, "a\0b", "\ud800", "(a:.)", "(a:" + "9" * 46 + ")", "ä" * 10_001])
def test_text_that_ends_the_library_is_refused(house: House, field: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: ") as caught:
        ask(house, **{field: text})
    assert caught.value.detail["field"] == field


def test_prompt_is_required_but_may_be_empty(house: House) -> None:
    with pytest.raises(InvalidRequest, match="prompt is required"):
        house.runtime.submission.pictures.picture("txt2img", {})
    assert ask(house, prompt="")["prompt"] == ""


@for_each_case("asked", [{"width": "wide"}, {"steps": 1.5}, {"nonsense": 1}, {"prompt": 5}, {"seed": "x"}])
def test_what_a_dialect_lets_through_is_still_a_clear_refusal(house: House, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(house, **asked)
    assert next(iter(asked)) in caught.value.message


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_models_own_defaults_fill_what_was_not_asked(house: House) -> None:
    params = ask(house)
    assert (params["width"], params["height"], params["steps"]) == (64, 64, 12)
    assert (params["cfg_scale"], params["sampler"]) == (2.5, "euler")


def test_request_outweighs_sidecar_outweighs_general_default(house: House) -> None:
    path = copy_demo(house.config, "mine.gguf")
    path.with_suffix(".json").write_text('{"generation_defaults": {"steps": 7, "cfg_scale": 3}}')
    spec = LoadSpec(model=FileRef(name="mine.gguf", path=str(path)), kind="diffusion")
    params = ask(house, spec=spec, cfg_scale=1.5, width=64, height=64)
    assert params["cfg_scale"] == 1.5
    assert params["steps"] == 7
    assert params["sampler"] == ImageParams.model_fields["sampler"].default


def test_load_options_that_are_per_picture_become_defaults(house: House) -> None:
    options = LoadOptions(
        flow_shift=3.0, vae_tiling=True, vae_tile_size_x=32, vae_tile_size_y=16, vae_tile_overlap=0.25
    )
    spec = spec_named("other.gguf").model_copy(update={"options": options})
    params = ask(house, spec=spec)
    assert params["flow_shift"] == 3.0
    assert params["vae_tiling"] is True
    assert (params["vae_tile_size_x"], params["vae_tile_size_y"], params["vae_tile_overlap"]) == (32, 16, 0.25)
    assert ask(house, spec=spec, flow_shift=1.0)["flow_shift"] == 1.0


# --- models and LoRAs -------------------------------------------------------------------------------------------------


def test_without_a_model_there_is_no_job(make_house: Callable[..., House]) -> None:
    house = make_house()
    with pytest.raises(NoModelLoaded, match=r"^No model loaded$"):
        house.submit()


def test_job_is_bound_to_the_selected_model_or_to_its_own(house: House) -> None:
    queue, submission = house.runtime.jobs.queue, house.runtime.submission.pictures
    selected, _ = submission.picture("txt2img", {"prompt": "a"})
    own, _ = submission.picture("txt2img", {"prompt": "a"}, spec=spec_named("other.gguf"))
    assert queue.get(selected.id).load_spec == house.runtime.models.slot.selected
    assert queue.get(own.id).load_spec == spec_named("other.gguf")


def test_size_that_the_demo_model_cannot_draw_is_accepted_with_a_warning(house: House) -> None:
    job, _ = house.runtime.submission.pictures.picture(
        "txt2img", {"prompt": "a", "width": 512, "height": 512}, warnings=["mine"]
    )
    assert house.runtime.jobs.queue.get(job.id).warnings == job.warnings
    assert job.warnings[0] == "mine"
    assert "64-128 pixels a side; 512x512" in job.warnings[1]
    assert house.runtime.submission.pictures.picture("txt2img", {"prompt": "a"})[0].warnings == ()


def test_loras_of_the_prompt_are_resolved(house: House) -> None:
    params = ask(house, prompt="a red circle <lora:demo_lora:0.5>")
    assert params["prompt"] == "a red circle <lora:demo_lora:0.5>"
    (lora,) = params["loras"]
    assert (lora["name"], lora["weight"], lora["is_high_noise"]) == ("demo_lora.safetensors", 0.5, False)
    assert Path(lora["path"]).is_file()


@for_each_case("tag", ["<lora:nobody:1>", "<lora:../../etc/passwd:1>", "<lora:demo_lora:much>", "<lora::1>"])
def test_lora_that_cannot_be_used_is_refused(house: House, tag: str) -> None:
    before = traces(house)
    with pytest.raises(InvalidRequest, match="prompt") as caught:
        ask(house, prompt=f"a {tag}")
    assert caught.value.detail["field"] == "prompt"
    assert traces(house) == before


def test_video_model_is_refused_for_pictures(house: House) -> None:
    spec = spec_named("wan.gguf").model_copy(update={"architecture": "Wan 2.x"})
    with pytest.raises(InvalidRequest, match="makes videos, not pictures"):
        ask(house, spec=spec)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_input_pictures_are_stored_in_the_size_of_the_job(house: House) -> None:
    images = {
        "init_image": png_text(100, 50),
        "mask_image": "data:image/png;base64," + png_text(10, 10),
        "ref_images.0": png_text(30, 20),
    }
    asked = {"prompt": "a", "width": 48, "height": 24}
    job, _ = house.runtime.submission.pictures.picture("img2img", asked, images=images)
    assert job.kind == "img2img"
    stored = house.runtime.jobs.queue.get(job.id).inputs
    assert stored == {role: f"{role}.png" for role in images}
    folder = house.runtime.jobs.outputs.inputs_of(job.id)
    shapes = {}
    for role, name in stored.items():
        with Image.open(folder / name) as picture:
            shapes[role] = (picture.mode, picture.size)
    assert shapes == {
        "init_image": ("RGB", (48, 24)), "mask_image": ("L", (48, 24)), "ref_images.0": ("RGB", (96, 64)),
    }  # fmt: skip


def test_pictures_reach_the_engine(make_house: Callable[..., House]) -> None:
    house = make_house().start()
    seen: dict[str, str] = {}
    house.at_step = lambda command, step: seen.update(command.inputs)
    job = house.draw(images={"init_image": png_text()})
    assert job.status == "completed"
    assert Path(seen["init_image"]).is_file()
    with Image.open(seen["init_image"]) as picture:
        assert picture.size == (8, 8)


def test_damaged_picture_is_refused_and_leaves_nothing(house: House) -> None:
    before = traces(house)
    with pytest.raises(InvalidRequest, match=r"^mask_image ") as caught:
        ask(house, images={"init_image": png_text(), "mask_image": "bm90IGEgcGljdHVyZQ=="})
    assert caught.value.detail["field"] == "mask_image"
    assert traces(house) == before


def test_disk_that_cannot_take_the_pictures_is_left_clean(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = traces(house)
    save, saved = Image.Image.save, []

    def full(picture: Image.Image, *args: Any, **more: Any) -> None:
        if saved:
            raise OSError(28, "No space left on device")
        saved.append(save(picture, *args, **more))

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputsNotStored, match="No space left"):
        ask(house, images={"init_image": PNG, "mask_image": PNG})
    assert traces(house) == before


def test_model_without_its_encoder_is_bound_with_it_when_pictures_are_to_be_read(house: House) -> None:
    spec = spec_named("other.gguf")
    assert spec.options.vae_decode_only
    job, _ = house.runtime.submission.pictures.picture(
        "img2img", {"prompt": "a"}, images={"init_image": PNG}, spec=spec
    )
    assert house.runtime.jobs.queue.get(job.id).load_spec == spec.with_encoder
    assert any("it is loaded with the VAE's encoder" in warning for warning in job.warnings)


def test_pictures_of_a_refused_job_are_removed(make_house: Callable[..., House]) -> None:
    house = make_house("limits.pending_jobs=1")
    house.runtime.models.slot.restore(LoadRequest(model_name=house.runtime.default_model))
    house.submit()
    with pytest.raises(QueueFull):
        house.submit(images={"init_image": PNG})
    assert list((house.config.paths.data_dir / "inputs").iterdir()) == []
