from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, LoraUse, UpscaleParams, VideoParams
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.native.wire.load_bodies import LoadBody, to_request
from sdcpp_rest.runtime import DEMO_ROOT
from sdcpp_rest.services.models.job_fit import JobAdvice, JobFit, JobFits, JobPlan
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests.cases import for_each_case
from tests.model_files import CONTROLNET, FLUX, LORA, gguf_bytes, unet, write

MIB, GIB = 1 << 20, 1 << 30
GPU = {"name": "CUDA0", "description": "a card", "is_gpu": True, "backend": "CUDA", "total_bytes": 8 * GIB}
ESRGAN = UpscalerSpec(model=FileRef(name="x4", path=str(DEMO_ROOT / "esrgan" / "esrgan_x4.safetensors")))


class Machine:
    """A library, a loaded model, and memory that a test may change."""

    def __init__(self, folder: Path, library: ModelLibrary) -> None:
        self.folder = folder
        self.library = library
        self.available, self.held, self.card_free = 64 * GIB, 0, -1
        self.specs: list[LoadSpec] = []
        self.fits = JobFits(library, self.memory, lambda: self.specs)
        self.spec = build_spec(library, LoadRequest(model_name="demo_dit_q8_0"))[0]

    def memory(self) -> dict[str, Any]:
        return {
            "system": {"total_bytes": 128 * GIB, "available_bytes": self.available},
            "engine": {"rss_bytes": self.held},
            "devices": [] if self.card_free < 0 else [{**GPU, "free_bytes": self.card_free}],
        }

    def plan(self, **fields: Any) -> JobPlan:
        more = {name: fields.pop(name) for name in ("spec", "has_control", "reference_pixels") if name in fields}
        params = ImageParams(**{"prompt": "x", "width": 1024, "height": 1024, **fields})
        return JobPlan(params, **{"spec": self.spec, **more})

    def needed(self, **fields: Any) -> int:
        return self.fits.of(self.plan(**fields)).scarcest.needed_bytes


@pytest.fixture
def machine(tmp_path: Path, demo_folder: Path) -> Machine:
    return Machine(tmp_path, ModelLibrary(tmp_path, {}, demo_folder))


@for_each_case(
    ("less", "more"),
    [
        ({}, {"width": 2048}),
        ({}, {"hires": True, "hires_scale": 2.0}),
        ({}, {"batch_count": 8}),
        ({"vae_tiling": True}, {}),
        ({"vae_tiling": True}, {"vae_tiling": True, "vae_tile_size_x": 64, "vae_tile_size_y": 64}),
        ({"vae_tiling": True}, {"vae_tiling": True, "vae_tile_rel_size_x": 0.9, "vae_tile_rel_size_y": 0.9}),
        ({"width": 64, "height": 64}, {"width": 64, "height": 64, "upscale": True, "upscaler": ESRGAN}),
    ],
    ids=lambda fields: ",".join(fields) or "plain",
)
def test_what_takes_more_is_counted(machine: Machine, less: dict[str, Any], more: dict[str, Any]) -> None:
    assert machine.needed(**more) > machine.needed(**less)


def test_finished_pictures_of_a_batch_wait_in_main_memory(machine: Machine) -> None:
    assert machine.needed(batch_count=5) - machine.needed() == 4 * 1024 * 1024 * 3


def test_reference_pictures_are_tokens_of_the_diffusion_model(machine: Machine, tmp_path: Path) -> None:
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes(FLUX, "q8_0"))
    spec = LoadSpec(
        model=FileRef(name="f", path=str(tmp_path / "diffusion_models" / "f.gguf")),
        kind="diffusion",
        architecture="Flux",
        options=LoadOptions(diffusion_flash_attn=False),
    )
    fields = {"spec": spec, "width": 2048, "height": 2048, "vae_tiling": True}
    assert machine.needed(reference_pixels=2048 * 2048, **fields) > 2 * machine.needed(**fields)


def test_loras_are_held_beside_the_model(machine: Machine, tmp_path: Path) -> None:
    path = write(tmp_path / "loras" / "l.gguf", gguf_bytes({**LORA, "big.lora_up.weight": (1024, 1024)}, "f16"))
    with_lora = machine.needed(loras=(LoraUse(name="l", path=str(path), weight=1.0),))
    assert with_lora - machine.needed() >= 2 * MIB


def test_a_controlnet_computes_beside_the_model_when_it_is_used(machine: Machine, tmp_path: Path) -> None:
    model = write(tmp_path / "checkpoints" / "m.gguf", gguf_bytes(unet(), "f16"))
    control = write(tmp_path / "controlnet" / "c.gguf", gguf_bytes(CONTROLNET, "f16"))
    spec = LoadSpec(
        model=FileRef(name="m", path=str(model)),
        kind="checkpoint",
        architecture="SD 1.x",
        components={"controlnet": FileRef(name="c", path=str(control))},
    )
    fields = {"spec": spec, "vae_tiling": True}
    assert machine.needed(has_control=True, **fields) > machine.needed(**fields)


def test_a_video_counts_by_its_frames(machine: Machine) -> None:
    short, long = (
        JobPlan(VideoParams(prompt="x", width=512, height=512, video_frames=frames), machine.spec) for frames in (5, 81)
    )
    assert machine.fits.of(long).scarcest.needed_bytes > 2 * machine.fits.of(short).scarcest.needed_bytes


def test_an_upscaler_takes_what_the_library_says_it_takes(machine: Machine) -> None:
    # From its log, for the bundled file: "esrgan compute buffer size: 416.19 MB" at 128, "104.05 MB" at 64 pixels.
    for tile, logged in ((128, 416.19), (64, 104.05)):
        params = UpscaleParams(upscaler=ESRGAN.model_copy(update={"tile_size": tile}))
        needed = machine.fits.of(JobPlan(params, source_size=(512, 512))).scarcest.needed_bytes
        assert 0 < needed - logged * MIB < 2 * MIB
    small = machine.fits.of(JobPlan(UpscaleParams(upscaler=ESRGAN), source_size=(16, 16))).scarcest
    assert small.needed_bytes < 10 * MIB, "a picture smaller than a tile"


def test_the_verdict_follows_the_free_memory(machine: Machine) -> None:
    needed = machine.needed()
    for available, verdict in ((needed - 1, "no"), (needed, "tight"), (needed * 2, "yes")):
        machine.available = available
        found = machine.fits.of(machine.plan())
        assert (found.scarcest.fits, found.scarcest.name) == (verdict, "main memory")
        assert bool(found.advice) == (verdict != "yes")


def test_what_is_loaded_makes_room_for_a_model_and_not_for_an_upscaler(machine: Machine) -> None:
    machine.available, machine.held = GIB, 2 * GIB
    upscaling = JobPlan(UpscaleParams(upscaler=ESRGAN), source_size=(512, 512))
    assert machine.fits.of(machine.plan()).scarcest.free_bytes == GIB
    machine.specs = [machine.spec]
    assert machine.fits.of(machine.plan()).scarcest.free_bytes == 3 * GIB
    assert machine.fits.of(upscaling).scarcest.free_bytes == GIB


def test_every_model_that_is_held_makes_room_on_the_card(machine: Machine) -> None:
    machine.card_free = 0
    machine.specs = [machine.spec]
    one = machine.fits.of(machine.plan()).memories
    machine.specs = [machine.spec, machine.spec.without_encoder]
    both = machine.fits.of(machine.plan()).memories
    free = [next(each.free_bytes for each in found if each.is_gpu) for found in (one, both)]
    assert free[1] > free[0] > 0


def test_on_a_card_what_stays_in_main_memory_is_judged_there(machine: Machine) -> None:
    machine.card_free = 8 * GIB
    found = {one.name: one for one in machine.fits.of(machine.plan()).memories}
    assert set(found) == {"CUDA0", "main memory"}
    assert found["main memory"].needed_bytes < found["CUDA0"].needed_bytes
    machine.available = 1
    scarcest = machine.fits.of(machine.plan()).scarcest
    assert (scarcest.name, scarcest.fits) == ("main memory", "no")


def apply(machine: Machine, plan: JobPlan, advice: JobAdvice) -> JobPlan:
    """The plan as it is when somebody has done what was advised."""
    change = dict(advice.change)
    if advice.target == "request":
        if isinstance(plan.params, UpscaleParams):
            upscaler = plan.params.upscaler.model_copy(update=change)
            return replace(plan, params=plan.params.model_copy(update={"upscaler": upscaler}))
        params: Mapping[str, Any] = {**plan.params.model_dump(), **change}
        return replace(plan, params=type(plan.params).model_validate(params))
    # As `POST /models/load` takes it, and nothing of what was loaded before.
    request = to_request(validate_load(change))
    spec, _ = build_spec(machine.library, request)
    return replace(plan, spec=spec)


def validate_load(change: dict[str, Any]) -> LoadBody:
    body, warnings = examine(LoadBody, change, strict=True)
    assert not warnings
    return body


def check_advice(machine: Machine, plan: JobPlan, found: JobFit) -> set[str]:
    """Every piece of advice does what it says; returns the fields that are advised."""
    for advice in found.advice:
        after = machine.fits.of(apply(machine, plan, advice))
        same = next(one for one in after.memories if one.name == found.scarcest.name)
        assert same.needed_bytes == advice.needed_bytes == found.scarcest.needed_bytes - advice.saves_bytes
        assert advice.saves_bytes > 0
        assert after.scarcest.fits == advice.fits
    return {name for one in found.advice for name in (one.change.get("options") or one.change)}


def test_advice_for_main_memory_does_what_it_says(machine: Machine) -> None:
    plan = machine.plan(width=2048, height=2048, hires=True, batch_count=4, upscale=True, upscaler=ESRGAN)
    machine.available = machine.fits.of(plan).scarcest.needed_bytes // 3
    found = machine.fits.of(plan)
    assert found.scarcest.fits == "no"
    fields = check_advice(machine, plan, found)
    assert {"hires", "width"} <= fields
    assert not fields & {"offload_to_cpu", "keep_clip_on_cpu"}, "nothing to offload to"
    assert found.advice[0].fits in ("yes", "tight"), "what makes it fit comes first"


def test_advice_for_a_card_does_what_it_says(machine: Machine) -> None:
    machine.card_free = 500 * MIB
    plan = machine.plan(width=1536, height=1536)
    found = machine.fits.of(plan)
    assert (found.scarcest.name, found.scarcest.fits) == ("CUDA0", "no")
    assert {"vae_tiling", "offload_to_cpu"} & check_advice(machine, plan, found)


def test_advice_for_videos_and_upscaling_does_what_it_says(machine: Machine) -> None:
    machine.available = 1
    video = JobPlan(VideoParams(prompt="x", width=512, height=512, video_frames=33), machine.spec)
    assert "video_frames" in check_advice(machine, video, machine.fits.of(video))
    upscaling = JobPlan(UpscaleParams(upscaler=ESRGAN), source_size=(512, 512))
    assert check_advice(machine, upscaling, machine.fits.of(upscaling)) == {"tile_size"}


def test_a_smaller_file_of_the_same_model_that_lies_here_is_advised(machine: Machine, tmp_path: Path) -> None:
    tensors = {**FLUX, "double_blocks.0.img_mlp.0.weight": (2048, 2048)}
    for name, kind in (("flux-dev-F16", "f16"), ("flux-dev_Q4_0", "q4_0"), ("other-Q4_0", "q4_0")):
        write(tmp_path / "diffusion_models" / f"{name}.gguf", gguf_bytes(tensors, kind, fill=True))
    machine.library.refresh()
    file = machine.library.find("diffusion", "flux-dev-F16")
    spec = LoadSpec(model=FileRef(name=file.name, path=file.path), kind="diffusion", architecture="Flux")
    plan = machine.plan(spec=spec, width=64, height=64, vae_tiling=True)
    machine.available = 1
    found = machine.fits.of(plan)
    (advice,) = [one for one in found.advice if one.change.get("model_name") != file.name and one.target == "load"]
    assert validate_load(dict(advice.change)).model_name == "flux-dev_Q4_0.gguf"
    small = machine.library.find("diffusion", "flux-dev_Q4_0")
    after = machine.fits.of(
        replace(plan, spec=spec.model_copy(update={"model": FileRef(name=small.name, path=small.path)}))
    )
    assert after.scarcest.needed_bytes == advice.needed_bytes == found.scarcest.needed_bytes - advice.saves_bytes


def test_an_upscaler_on_a_card_takes_nothing_of_the_main_memory(machine: Machine) -> None:
    machine.card_free = 8_000 * MIB
    found = machine.fits.of(JobPlan(UpscaleParams(upscaler=ESRGAN), source_size=(512, 512)))
    needed = {one.name: one.needed_bytes for one in found.memories}
    assert needed["CUDA0"] > 0
    assert needed["main memory"] == 0
