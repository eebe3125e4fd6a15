"""What only pictures have is brought to what can be drawn, or refused with what to do about it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.protocol import Device, Ready
from sdcpp_rest.errors import InvalidRequest, NoUpscalerLoaded
from sdcpp_rest.runtime import DEMO_ROOT
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.submission.picture_checks import CheckedPicture, PictureChecks
from sdcpp_rest.services.submission.submission_checks import check_sampling
from tests import model_files
from tests.cases import for_each_case
from tests.model_files import safetensors_bytes, write
from tests.services.conftest import House, config_below, spec_named

X2, X4 = "esrgan_x2.safetensors", "esrgan_x4.safetensors"
INIT = {"init_image": ""}
CONTROL = {"control_image": ""}
FACES = {"pm_id_images.0": "", "pm_id_images.1": ""}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(config_below(tmp_path_factory.mktemp("house")), "inline")
    yield made
    made.stop()


def model(architecture: str | None = None, **components: str) -> LoadSpec:
    parts = {role: FileRef(name=Path(path).name, path=path) for role, path in components.items()}
    return spec_named("model.gguf").model_copy(update={"architecture": architecture, "components": parts})


def settle(
    house: House,
    spec: LoadSpec | None = None,
    images: Mapping[str, str] | None = None,
    *,
    embedding_name: str = "",
    **fields: Any,
) -> CheckedPicture:
    checks = PictureChecks(house.config.limits, house.runtime.models.library, house.runtime.models.upscalers)
    params = ImageParams(**{"prompt": "a man img on a beach", "width": 64, "height": 64, **fields})
    check_sampling(params, house.config.limits)
    return checks.check(params, spec or model(), images or {}, embedding_name=embedding_name)


@pytest.fixture
def upscaler(house: House) -> Iterator[None]:
    house.runtime.models.upscalers.selected = house.runtime.models.upscalers.build_spec(X4)
    yield
    house.runtime.models.upscalers.selected = None


V1 = {"photo_maker": "/nowhere/photomaker.safetensors"}
V2 = {"photo_maker": "/nowhere/photomaker-v2.bin"}
# What ends the library's process, or is silently something else than what was asked for: model, request, field, words.
REFUSED: list[tuple[LoadSpec, dict[str, Any], dict[str, str], str, str]] = [
    (model("Wan 2.x"), {}, {}, "", "makes videos, not pictures"),
    (model("Wan 2.2 TI2V"), {"hires": True}, INIT, "", "makes videos, not pictures"),
    (model(), {}, CONTROL, "control_image", 'needs a ControlNet.*"controlnet": "<name>"'),
    (model("SD 1.x"), {}, CONTROL, "control_image", "GET /models\\?type=controlnet lists them"),
    (model("Flux"), {}, CONTROL, "control_image", "Flux does not work with a ControlNet"),
    (model("Flux", controlnet="/c"), {}, CONTROL, "control_image", "Flux does not work with a ControlNet"),
    (model("SD 1.x Tiny UNet", controlnet="/c"), {}, CONTROL, "control_image", "does not work with a ControlNet"),
    (model("SDXL"), {}, FACES, "pm_id_images", 'needs a PhotoMaker model.*"photo_maker": "<name>"'),
    (model("SDXL", **V1), {}, {}, "pm_id_images", "pm_id_images is required.*load it without one"),
    (model("SDXL", **V1), {"prompt": "a man"}, FACES, "prompt", "'img' once.*it is not there"),
    (model("SDXL", **V1), {"prompt": "img of a man"}, FACES, "prompt", "no word stands before it"),
    (model("SDXL", **V1), {"prompt": "a man (img:1.2)"}, FACES, "prompt", "no word stands before it"),
    (model("SDXL", **V1), {"prompt": "a man img img"}, FACES, "prompt", "it is there 2 times"),
    (model("SDXL", **V1), {"pm_style_strength": 101.0}, FACES, "pm_style_strength", "from 0 to 100"),
    (model("SDXL", **V1), {"pm_style_strength": -1.0}, FACES, "pm_style_strength", "from 0 to 100"),
    (model("SDXL", **V2), {}, FACES, "pm_id_embed_path", "PhotoMaker v2 needs the file about the face"),
    (model(), {"upscale": True}, {}, "upscale", "No upscaler loaded; load one with POST /upscaler/load"),
    (model(), {"hires": True, "hires_scale": 0.5}, {}, "hires_scale", "from 1 to 16"),
    (model(), {"hires": True, "width": 1024, "hires_scale": 16.0}, {}, "hires_scale", "16384x1024; sides of 8 to 4096"),
    (model(), {"hires": True, "height": 4096, "hires_width": 128}, {}, "hires_width", "128x8192; sides of 8 to 4096"),
    (model(), {"hires": True, "hires_denoising_strength": 0.0}, {}, "hires_denoising_strength", "from 0.01 to 1"),
    (model(), {"hires": True, "hires_upscale_tile_size": 0}, {}, "hires_upscale_tile_size", "from 16 to 4096"),
    (model(), {"hires": True, "hires_upscaler": "magic"}, {}, "hires_upscaler", "one of Latent, .* got 'magic'"),
    (model(), {"hires": True, "hires_upscaler": "Model"}, {}, "hires_upscaler", "or the name of an ESRGAN model"),
    (model(), {"hires": True, "hires_upscaler": "None"}, {}, "hires_upscaler", "got 'None'"),
    (model(), {"hires": True, "hires_upscaler": ""}, {}, "hires_upscaler", "got ''"),
    (model(), {"hires": True, "hires_upscaler": "../../etc/passwd"}, {}, "hires_upscaler", "one of Latent"),
    (model(), {"hires": True, "hires_upscaler": "esrgan_x3"}, {}, "hires_upscaler", "did you mean esrgan_x"),
    (model(), {"hires": True, "scheduler": "gits", "steps": 1}, {}, "hires_steps", "at least 2 with scheduler gits"),
    (model(), {"hires": True, "scheduler": "gits", "hires_steps": 1}, {}, "hires_steps", "got 1"),
    (model(), {"hires": True, "scheduler": "gits", "steps": 9, "strength": 0.1}, INIT, "hires_steps", "got 1"),
    (model(), {"hires": True}, CONTROL, "control_image", "needs a ControlNet"),
    (model("SD 1.x", controlnet="/c"), {"hires": True}, CONTROL, "hires", "not work together with a control image"),
    (model("SD 1.x Inpaint"), {"hires": True}, INIT, "hires", "SD 1.x Inpaint cannot be drawn with the hires fix"),
    (model("SDXL Instruct-Pix2Pix"), {"hires": True}, {}, "hires", "cannot be drawn with the hires fix"),
    (model("Flux Fill"), {"hires": True}, {}, "hires", "cannot be drawn with the hires fix"),
    (model("Flux Control"), {"hires": True}, {}, "hires", "cannot be drawn with the hires fix"),
    (model(), {"batch_count": 0}, {}, "batch_count", "from 1 to 64"),
    (model(), {"width": 4096, "height": 4096, "steps": 10_000, "batch_count": 2}, {}, "steps", "batch_count is"),
    (model(), {"width": 2048, "height": 2048, "steps": 10_000, "hires": True}, {}, "steps", "with the hires fix"),
]  # fmt: skip


@for_each_case(("spec", "fields", "images", "field", "words"), REFUSED)
def test_what_cannot_be_drawn_is_refused(
    house: House, spec: LoadSpec, fields: dict[str, Any], images: dict[str, str], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        settle(house, spec, images, **fields)
    assert caught.value.detail.get("field", "") == field
    assert caught.value.status == 400
    assert len(caught.value.message) < 500
    json.dumps(caught.value.detail, allow_nan=False)


def test_without_an_upscaler_the_code_says_so(house: House) -> None:
    with pytest.raises(NoUpscalerLoaded):
        settle(house, upscale=True)


# --- hires fix --------------------------------------------------------------------------------------------------------


@for_each_case(
    ("given", "kept"),
    [("Latent", "Latent"), ("latent (BICUBIC)", "Latent (bicubic)"), ("lanczos", "Lanczos"), ("Nearest", "Nearest")],
)
def test_librarys_own_ways_are_known_in_any_case(house: House, given: str, kept: str) -> None:
    params = settle(house, hires=True, hires_upscaler=given).params
    assert (params.hires_upscaler, params.hires_model) == (kept, None)


@pytest.mark.parametrize("name", [X2, "esrgan_x2", "ESRGAN_X2"])
def test_name_of_an_upscaler_file_makes_it_the_hires_model(house: House, name: str) -> None:
    params = settle(house, hires=True, hires_upscaler=name).params
    assert params.hires_upscaler == "Model"
    assert params.hires_model is not None
    assert params.hires_model.name == X2
    assert Path(params.hires_model.path).is_file()


def test_file_that_is_no_upscaler_is_refused(house: House) -> None:
    folder = house.config.paths.models_dir / "esrgan"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO_ROOT / "loras" / "demo_lora.safetensors", folder / "false.safetensors")
    house.runtime.models.library.refresh()
    with pytest.raises(InvalidRequest, match=r"hires_upscaler: false\.safetensors is no ESRGAN upscaler") as caught:
        settle(house, hires=True, hires_upscaler="false")
    assert caught.value.detail["field"] == "hires_upscaler"


@for_each_case(
    ("fields", "size"),
    [
        ({"hires_scale": 1.5}, (96, 48)),
        ({"hires_width": 128}, (128, 64)),
        ({"hires_height": 64}, (128, 64)),
        ({"hires_width": 100, "hires_height": 100}, (100, 100)),
        ({"hires_width": 100, "hires_height": 100, "hires_scale": 4.0}, (100, 100)),
    ],
)
def test_one_side_alone_keeps_the_proportions(house: House, fields: dict[str, Any], size: tuple[int, int]) -> None:
    assert settle(house, height=32, hires=True, **fields).params.picture_size == size


def test_hires_fields_count_only_with_hires(house: House) -> None:
    settled = settle(house, hires_upscaler="magic", hires_scale=16.0, scheduler="gits", hires_steps=1)
    assert settled.params.picture_size == (64, 64)


# --- which spec draws it ----------------------------------------------------------------------------------------------


@for_each_case(
    ("architecture", "fields", "images", "reads"),
    [
        (None, {}, {}, False),
        (None, {}, INIT, True),
        (None, {}, {"ref_images.0": ""}, True),
        ("Flux", {}, {"ref_images.0": ""}, True),
        ("SD 1.x", {}, {"ref_images.0": ""}, False),
        ("Z-Image", {"hires": True}, {}, False),
        ("Z-Image", {"hires": True, "hires_upscaler": "Latent (bicubic)"}, {}, False),
        ("Z-Image", {"hires": True, "hires_upscaler": "Lanczos"}, {}, True),
        ("Z-Image", {"hires": True, "hires_upscaler": X2}, {}, True),
        ("Z-Image", {"hires_upscaler": "Lanczos"}, {}, False),
        ("Instruct-Pix2Pix", {}, {}, False),
        ("Instruct-Pix2Pix", {}, {"ref_images.0": ""}, True),
        ("Flux Control", {}, CONTROL, False),
    ],
)
def test_encoder_is_loaded_where_a_picture_is_read(
    house: House, architecture: str | None, fields: dict[str, Any], images: dict[str, str], reads: bool
) -> None:
    spec = model(architecture)
    settled = settle(house, spec, images, **fields)
    assert settled.spec == (spec.with_encoder if reads else spec)
    assert any("VAE's encoder" in warning for warning in settled.warnings) == reads


def test_model_that_has_its_encoder_is_left_as_it_is(house: House) -> None:
    spec = model().with_encoder
    settled = settle(house, spec, INIT)
    assert (settled.spec, settled.warnings) == (spec, ())


def test_control_image_of_a_controlnet_reads_nothing(house: House) -> None:
    spec = model("SD 1.x", controlnet="/nowhere/canny.safetensors")
    settled = settle(house, spec, CONTROL, preprocess="canny")
    assert (settled.spec, settled.params.preprocess) == (spec, "canny")


def test_autoencoder_without_encoder_is_told(house: House, tmp_path: Path) -> None:
    tensors = {"decoder.conv_in.weight": (3, 3, 4, 32), "decoder.conv_out.bias": (3,)}
    vae = model_files.write(tmp_path / "half.safetensors", model_files.safetensors_bytes(tensors))
    with pytest.raises(InvalidRequest, match=r"half\.safetensors has no encoder") as caught:
        settle(house, model("SD 1.x", vae=str(vae)), INIT)
    assert caught.value.detail["field"] == "vae"


# --- pictures that are not looked at ----------------------------------------------------------------------------------


@for_each_case("family", ["SDXL", "Flux Fill", "Flux Control", "SD3.x"])
def test_references_for_a_family_that_is_blind_to_them_are_left_out(house: House, family: str) -> None:
    settled = settle(house, model(family), {"ref_images.0": "A", "init_image": "B", "mask_image": "C"})
    assert settled.images == {"init_image": "B", "mask_image": "C"}
    assert f"{family} does not look at reference pictures; ref_images was ignored." in settled.warnings


@for_each_case("family", ["Flux", "Qwen Image", "Flux.2", "Flux.2 klein", "Ovis Image", None])
def test_references_for_a_family_that_sees_them_are_kept(house: House, family: str | None) -> None:
    assert "ref_images.0" in settle(house, model(family), {"ref_images.0": "A"}).images


@for_each_case(
    ("spec", "fields", "images", "words"),
    [
        (model("Instruct-Pix2Pix"), {}, {}, "edits the picture in ref_images"),
        (model("Flux Fill"), {}, INIT, "made to fill the masked part"),
        (model("SD 1.x Inpaint"), {}, {}, "made to fill the masked part"),
        (model(), {"preprocess": "canny"}, {}, "preprocess has no effect"),
        (model(), {"prompt": "embedding:ugly"}, {}, "'embedding:ugly' is read as words.*load it with the model"),
        (model(), {"negative_prompt": "Embedding: ugly.v2, x"}, {}, "'embedding:ugly.v2'"),
        (model("Flux"), {"cache_mode": "ucache"}, {}, "for UNet models; with Flux it has no effect"),
        (model("SD 1.x"), {"cache_mode": "dbcache"}, {}, "for DiT models; with SD 1.x it has no effect"),
        (model("SD 1.x"), {"easycache": True}, {}, "'easycache' is for DiT models"),
        (model("SD 1.x"), {"shifted_timestep": 300}, {}, "shifted_timestep is for SDXL models"),
        (model("SDXL"), {"slg_scale": 2.5}, {}, "Skip-layer guidance is for DiT models; with SDXL"),
        (model("Flux"), {"easycache": True, "easycache_start": 0.9, "easycache_end": 0.2}, {}, "begin at 0.9 and end"),
        (model("SD 1.x"), {"cache_mode": "ucache", "cache_options": {"end": 0.1}}, {}, "begin at 0.15 and end at 0.1"),
    ],
)
def test_what_will_have_no_effect_is_told(
    house: House, spec: LoadSpec, fields: dict[str, Any], images: dict[str, str], words: str
) -> None:
    (warning,) = [text for text in settle(house, spec, images, **fields).warnings if "VAE's encoder" not in text]
    assert re.search(words, warning)


@for_each_case(
    ("architecture", "mode"),
    [("Flux", "easycache"), ("Z-Image", "cache_dit"), ("SDXL", "ucache"), ("SDXL", "spectrum"), ("Flux", "spectrum"),
     (None, "taylorseer")],
)  # fmt: skip
def test_cache_that_suits_the_model_is_nothing_to_tell(house: House, architecture: str | None, mode: str) -> None:
    assert settle(house, model(architecture), cache_mode=mode).warnings == ()


# --- faces ------------------------------------------------------------------------------------------------------------


def test_faces_are_drawn_by_a_photo_maker(house: House) -> None:
    settled = settle(house, model("SDXL", **V1), FACES, pm_style_strength=30.0, embedding_name="x")
    assert settled.params.pm_id_embed is None
    assert settled.warnings == ("pm_id_embed_path was ignored: only PhotoMaker v2 reads one.",)


# --- memory -----------------------------------------------------------------------------------------------------------


@for_each_case(
    ("memory_gib", "fields", "refused", "warned"),
    [
        (64, {"width": 4096, "height": 4096}, False, False),
        (28, {"width": 4096, "height": 4096}, False, True),
        (8, {"width": 4096, "height": 4096}, True, False),
        (8, {"width": 2048, "height": 2048, "hires": True}, True, False),
        (20, {"width": 4096, "height": 4096, "vae_tiling": True}, False, False),
        (0, {"width": 64, "height": 64}, False, False),
        (None, {"width": 4096, "height": 4096}, False, False),
    ],
)
def test_picture_that_no_memory_can_hold_is_refused(
    house: House, memory_gib: int | None, fields: dict[str, Any], refused: bool, warned: bool
) -> None:
    memory = None if memory_gib is None else memory_gib << 30
    runtime = house.runtime
    checks = PictureChecks(house.config.limits, runtime.models.library, runtime.models.upscalers, lambda: memory)
    spec, _ = build_spec(runtime.models.library, LoadRequest(model_name=runtime.default_model))
    spec = spec.model_copy(update={"options": spec.options.model_copy(update={"flash_attn": False})})
    params = ImageParams(prompt="a", steps=1, **fields)
    if refused:
        with pytest.raises(InvalidRequest, match=r"4096x4096 takes about \d+\.\d GiB with demo.*8\.0 GiB; vae_tiling"):
            checks.check(params, spec, {})
    else:
        assert any("GiB" in text for text in checks.check(params, spec, {}).warnings) == warned


@pytest.mark.parametrize("flash", [None, False])
@pytest.mark.parametrize("is_gpu", [False, True])
def test_picture_is_estimated_with_the_attention_that_its_device_has(
    house: House, is_gpu: bool, flash: bool | None
) -> None:
    """On a GPU flash attention is on by itself, and the matrix of all pairs of tokens is never held."""
    device = Device(name="D0", description="", backend="CUDA" if is_gpu else "CPU", is_gpu=is_gpu)
    ready = Ready(pid=1, library_version="", backend=device.backend, devices=(device,))
    library, upscalers = house.runtime.models.library, house.runtime.models.upscalers
    checks = PictureChecks(house.config.limits, library, upscalers, lambda: 8 << 30, lambda: ready)
    spec, _ = build_spec(library, LoadRequest(model_name=house.runtime.default_model))
    spec = spec.model_copy(update={"options": spec.options.model_copy(update={"flash_attn": flash})})
    params = ImageParams(prompt="a", steps=1, width=4096, height=4096, vae_tiling=True)
    if is_gpu and flash is None:
        assert not any("GiB" in text for text in checks.check(params, spec, {}).warnings)
    else:
        with pytest.raises(InvalidRequest, match=r"4096x4096 takes about \d+\.\d GiB"):
            checks.check(params, spec, {})


# --- upscaling --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("upscaler")
def test_chosen_upscaler_is_bound(house: House) -> None:
    params = settle(house, upscale=True, upscale_repeats=2, upscale_auto_unload=False, hires=True).params
    assert params.upscaler == house.runtime.models.upscalers.selected
    assert settle(house).params.upscaler is None


@pytest.mark.usefixtures("upscaler")
@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"upscale_repeats": 5}, "upscale_repeats", "65536x65536; at most 16384 pixels a side"),
        ({"upscale_repeats": 2, "width": 2048, "height": 64}, "upscale_repeats", "32768x1024"),
        ({"upscale_repeats": 2, "width": 1024, "height": 64, "hires": True}, "upscale_repeats", "32768x2048"),
        ({"width": 2048, "height": 2048, "batch_count": 5, "steps": 1}, "batch_count", "5 pictures of 8192x8192"),
        ({"upscale_repeats": 17}, "upscale_repeats", "from 1 to 16"),
    ],
)
def test_picture_that_would_become_too_large_is_refused(
    house: House, fields: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        settle(house, upscale=True, **fields)
    assert caught.value.detail["field"] == field


def test_seeds_of_a_batch_end_where_the_librarys_do(house: House) -> None:
    highest = 2**63 - 1
    assert settle(house, seed=highest).params.seed == highest
    assert settle(house, seed=highest - 3, batch_count=4).params.seed == highest - 3
    with pytest.raises(InvalidRequest, match=rf"^seed must be at most {highest - 3}, since 4 pictures") as caught:
        settle(house, seed=highest - 2, batch_count=4)
    assert caught.value.detail["field"] == "seed"


def test_idle_words_are_told(house: House) -> None:
    assert "clip_skip is for CLIP" in " ".join(settle(house, model("Qwen Image"), clip_skip=2).warnings)


def test_an_embedding_that_was_not_loaded_is_told_where_a_prompt_names_it(house: House) -> None:
    folder = house.runtime.models.library.folders()["embedding"]
    write(folder / "ink.safetensors", safetensors_bytes({"emb_params": (2, 1024)}))
    house.runtime.models.library.refresh()
    told = " ".join(settle(house, model("SD 1.x"), prompt="a cat, ink").warnings)
    assert "ink.safetensors is an embedding for SD 2.x" in told
    assert "ink.safetensors" not in " ".join(settle(house, model("SD 1.x"), prompt="a pink cat").warnings)
    (folder / "ink.safetensors").unlink()
    house.runtime.models.library.refresh()
