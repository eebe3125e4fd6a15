from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.fit import Autoencoder, Size, diffusion_buffer, vae_buffer
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.models.fit_estimate import Fit, FitEstimates, FitRequest
from sdcpp_rest.services.models.fit_needs import memory_needed
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests.model_files import CHROMA, FLUX, LLAMA, VAE, gguf_bytes, reversed_shapes, safetensors_bytes, unet, write
from tests.torch_files import torch_bytes

MIB = 1 << 20
GIB = 1 << 30
DEMO = "demo_dit_q8_0"
CPU = {"name": "CPU", "description": "a processor", "is_gpu": False, "free_bytes": 1, "total_bytes": 1}
GPU = {"name": "CUDA0", "description": "a card", "is_gpu": True, "free_bytes": 8 * GIB, "total_bytes": 8 * GIB}
BIG = FitRequest(1024, 1024)


def memory(*devices: Mapping[str, Any], available: int = 64 * GIB, held: int | None = None) -> dict[str, Any]:
    return {
        "system": {"total_bytes": 128 * GIB, "available_bytes": available},
        "engine": {"rss_bytes": held},
        "devices": [dict(device) for device in devices],
    }


class Machine:
    """A library and a memory that a test may change."""

    def __init__(self, library: ModelLibrary) -> None:
        self.library = library
        self.memory = memory(CPU)
        self.held: list[LoadSpec] = []
        self.fits = FitEstimates(library, lambda: self.memory, lambda: self.held)

    def of(self, name: str = DEMO, ask: FitRequest = BIG) -> Fit:
        return self.fits.of("diffusion", name, ask)


@pytest.fixture
def machine(tmp_path: Path, demo_folder: Path) -> Machine:
    return Machine(ModelLibrary(tmp_path, {}, demo_folder))


def test_the_demo_model_takes_what_the_library_says_it_takes(machine: Machine) -> None:
    fit = machine.of(ask=FitRequest(64, 64))
    # From its log: "text_encoders 6.60MB(RAM), diffusion_model 2.53MB(RAM)", and twice 2.35 with the TAESD's encoder.
    shown = {part: round(count / MIB, 1) for part, count in fit.needs.weights.items()}
    assert shown == {"text_encoders": 6.6, "diffusion_model": 2.5, "vae": 4.7, "controlnet": 0.0}
    assert fit.warnings == ()
    assert fit.architecture == "Ovis Image"
    (device,) = fit.devices
    assert (device.verdict, device.advice, device.free_bytes) == ("fits", (), 64 * GIB)
    assert device.needed_bytes == fit.needs.peak_bytes


def test_the_verdict_follows_the_free_memory(machine: Machine) -> None:
    needed = machine.of().needs.peak_bytes
    for available, verdict in ((needed - 1, "no"), (needed, "tight"), (needed * 2, "fits")):
        machine.memory = memory(CPU, available=available)
        assert machine.of().devices[0].verdict == verdict


def test_advice_says_what_it_saves_and_the_largest_comes_first(machine: Machine) -> None:
    machine.memory = memory(CPU, available=1)
    (device,) = machine.of().devices
    options = {advice.option for advice in device.advice}
    assert "vae_tiling" in options
    assert not options & {"offload_to_cpu", "keep_clip_on_cpu", "max_vram"}  # nothing to offload to
    saved = [advice.saves_bytes for advice in device.advice]
    assert saved == sorted(saved, reverse=True)
    assert all(0 < one < device.needed_bytes for one in saved)


def test_a_card_that_is_too_small_is_told_how_it_could_be_used(machine: Machine) -> None:
    machine.memory = memory({**GPU, "free_bytes": GIB}, CPU)
    card, processor = machine.of(ask=FitRequest(2048, 2048)).devices
    assert (card.verdict, processor.verdict) == ("no", "fits")
    advice = {one.option: one for one in card.advice}
    assert "max_vram" not in advice, "without offload_to_cpu the library ignores it"
    assert advice["vae_tiling"].saves_bytes > GIB
    assert processor.advice == ()


def test_max_vram_is_advised_with_offload_to_cpu(machine: Machine, tmp_path: Path) -> None:
    content = Path(machine.library.find("diffusion", DEMO).path).read_bytes()
    model = write(tmp_path / "diffusion_models" / "own.gguf", content)
    model.with_suffix(".json").write_text(json.dumps({"load_options": {"offload_to_cpu": True}}))
    machine.library.refresh()
    machine.memory = memory({**GPU, "free_bytes": GIB // 8}, CPU)
    (card, _) = machine.of("own", ask=FitRequest(2048, 2048)).devices
    assert card.verdict == "no"
    assert {one.option: one.value for one in card.advice}["max_vram"] == 0.1


def test_what_the_loaded_model_holds_on_a_card_counts_as_free(machine: Machine) -> None:
    machine.memory = memory({**GPU, "free_bytes": GIB}, CPU)
    before = machine.of().devices[0].free_bytes
    spec, _ = build_spec(machine.library, LoadRequest(model_name=DEMO, model_type="diffusion"))
    machine.held = [spec]
    held = machine.of().devices[0].free_bytes - before
    weights = machine.of().needs.weights
    assert held == weights["diffusion_model"] + weights["vae"], "the text encoders stay in main memory"
    options = spec.options.model_copy(update={"offload_to_cpu": True})
    machine.held = [spec.model_copy(update={"options": options})]
    assert machine.of().devices[0].free_bytes == before, "offloaded, it holds nothing there between jobs"


def test_every_model_that_is_held_counts_as_free_and_on_other_engines_cards_what_those_hold(machine: Machine) -> None:
    other = {**GPU, "name": "cuda:1", "free_bytes": GIB}
    machine.memory = memory({**GPU, "free_bytes": GIB}, CPU, other)
    spec, _ = build_spec(machine.library, LoadRequest(model_name=DEMO, model_type="diffusion"))
    machine.held = [spec]
    one = machine.of().devices[0].free_bytes - GIB
    machine.held = [spec, spec]
    machine.memory["models"] = [
        {"name": "a", "engine": "cuda:1", "bytes": 2 * GIB},
        {"name": "b", "engine": "cuda:1", "bytes": None},
        {"name": "c", "engine": "cuda:0", "bytes": GIB},
    ]
    assert [device.free_bytes for device in machine.of().devices if device.is_gpu] == [GIB + 2 * one, 3 * GIB]


def test_text_encoders_stay_in_main_memory_by_default(machine: Machine, tmp_path: Path) -> None:
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes({**FLUX, "x.weight": (4096, 4096)}, "q8_0", fill=True))
    write(tmp_path / "llm" / "big.gguf", gguf_bytes({**LLAMA, "y.weight": (4096, 4096)}, "q8_0"))
    machine.memory = memory(GPU, CPU)
    ask = FitRequest(64, 64, components={"llm": "big.gguf"})
    with_encoder, without = machine.of("f", ask), machine.of("f", FitRequest(64, 64))
    assert with_encoder.devices[0].needed_bytes == without.devices[0].needed_bytes
    assert with_encoder.devices[1].needed_bytes > without.devices[1].needed_bytes + 17 * MIB


def test_a_smaller_weight_type_takes_less(machine: Machine, tmp_path: Path) -> None:
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes({**FLUX, "x.weight": (1024, 1024)}, "f16"))
    stored = machine.of("f").needs.weights["diffusion_model"]
    converted = machine.of("f", replace(BIG, weight_type="q4_0")).needs.weights["diffusion_model"]
    assert stored - converted >= 1024 * 1024 * (2 - 18 / 32)
    with pytest.raises(InvalidRequest, match="weight_type"):
        machine.of("f", replace(BIG, weight_type="q8_1"))


def test_what_is_not_named_is_told(machine: Machine, tmp_path: Path) -> None:
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes(FLUX, "f16"))
    write(
        tmp_path / "vae" / "v.safetensors",
        safetensors_bytes(reversed_shapes({**VAE, "decoder.conv_out.weight": (3, 3, 32, 3)})),
    )
    fit = machine.of("f")
    assert any("Not counted" in warning for warning in fit.warnings)
    assert any("No VAE is named" in warning for warning in fit.warnings)
    named = machine.of("f", replace(BIG, components={"vae": "v"}))
    assert not any("VAE" in warning for warning in named.warnings)
    assert named.needs.buffers["vae"] == fit.needs.buffers["vae"] / 4


def test_components_are_the_sidecars_unless_named_and_none_when_empty(machine: Machine) -> None:
    assert machine.of().needs.weights["text_encoders"] > 0
    assert machine.of(ask=replace(BIG, components={"llm": ""})).needs.weights["text_encoders"] == 0
    with pytest.raises(ModelNotFound) as caught:
        machine.of(ask=replace(BIG, components={"llm": "nothing"}))
    assert caught.value.detail["field"] == "component"
    with pytest.raises(InvalidRequest, match=r"^component: 'motor'"):
        machine.of(ask=replace(BIG, components={"motor": "x"}))


@pytest.mark.parametrize("name", ["nothing", "../../secret"])
def test_a_sidecars_component_that_cannot_be_used_is_a_warning(machine: Machine, tmp_path: Path, name: str) -> None:
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes(FLUX, "f16"))
    write(tmp_path / "diffusion_models" / "f.json", json.dumps({"components": {"vae": name}}).encode())
    assert any(name in warning for warning in machine.of("f").warnings)


def test_what_the_engine_holds_is_free_for_the_next_model(machine: Machine) -> None:
    machine.memory = memory(CPU, available=GIB, held=2 * GIB)
    assert machine.of().devices[0].free_bytes == GIB
    machine.held = [LoadSpec(model=FileRef(name="m", path="/m"), kind="diffusion")]
    assert machine.of().devices[0].free_bytes == 3 * GIB


def test_a_torch_file_counts_as_any_other(machine: Machine, tmp_path: Path) -> None:
    tensors = {**FLUX, "double_blocks.0.img_mlp.0.weight": (1024, 1024)}
    write(tmp_path / "diffusion_models" / "t.pt", torch_bytes(reversed_shapes(tensors)))
    write(tmp_path / "diffusion_models" / "g.gguf", gguf_bytes(tensors, "f32"))
    fit = machine.of("t")
    assert fit.needs.weights["diffusion_model"] == machine.of("g").needs.weights["diffusion_model"] > 4 * MIB


def test_the_usual_size_is_the_sidecars_else_the_familys(machine: Machine, tmp_path: Path) -> None:
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes(FLUX, "f16"))
    assert machine.fits.usual_size("diffusion", DEMO) == (64, 64)
    assert machine.fits.usual_size("diffusion", "f") == (1024, 1024)


def test_a_load_spec_is_estimated_as_its_files_are(machine: Machine) -> None:
    spec, _ = build_spec(machine.library, LoadRequest(model_name=DEMO))
    of_1024, of_2048 = (memory_needed(spec, side, side, has_gpu=False) for side in (1024, 2048))
    assert of_1024 == machine.of().needs.peak_bytes
    assert of_2048 > 2 * of_1024
    machine.memory = memory({**GPU, "free_bytes": GIB}, CPU)
    assert memory_needed(spec, 2048, 2048, has_gpu=True) == machine.of(ask=FitRequest(2048, 2048)).needs.peak_bytes


def test_a_video_of_many_frames_takes_more(machine: Machine) -> None:
    assert machine.of(ask=replace(BIG, video_frames=33)).needs.peak_bytes > machine.of().needs.peak_bytes
    assert machine.of(ask=replace(BIG, batch_count=8)).needs == machine.of().needs


def test_without_a_device_list_there_is_the_processor(machine: Machine) -> None:
    machine.memory = memory()
    (device,) = machine.of().devices
    assert (device.name, device.is_gpu, device.verdict) == ("CPU", False, "fits")


@pytest.mark.parametrize(("options", "is_flash"), [({}, False), ({"chroma_use_dit_mask": False}, True)])
def test_chroma_with_its_mask_is_estimated_without_flash_attention(
    machine: Machine, tmp_path: Path, options: dict[str, Any], is_flash: bool
) -> None:
    write(tmp_path / "diffusion_models" / "c.gguf", gguf_bytes(CHROMA, "f16"))
    write(tmp_path / "diffusion_models" / "c.json", json.dumps({"load_options": options}).encode())
    machine.memory = memory({**GPU, "free_bytes": 1}, CPU)
    fit = machine.of("c", FitRequest(1536, 1536))
    expected = diffusion_buffer(ARCHITECTURES["chroma"], CHROMA, Size(1536, 1536), flash=is_flash)
    assert fit.needs.buffers["diffusion_model"] == expected
    assert "diffusion_flash_attn" not in {advice.option for advice in fit.devices[0].advice}


@pytest.mark.parametrize(
    ("options", "components", "scaled"),
    [({}, {}, True), ({}, {"vae": "v"}, False), ({"force_sdxl_vae_conv_scale": True}, {"vae": "v"}, True)],
)
def test_sdxls_own_autoencoder_takes_more_than_one_that_is_named(
    machine: Machine, tmp_path: Path, options: dict[str, Any], components: dict[str, str], scaled: bool
) -> None:
    vae = {**VAE, "decoder.conv_out.weight": (3, 3, 32, 3)}
    inside = {f"first_stage_model.{name}": shape for name, shape in vae.items()}
    write(tmp_path / "checkpoints" / "xl.gguf", gguf_bytes({**unet(second_encoder=True), **inside}))
    write(tmp_path / "checkpoints" / "xl.json", json.dumps({"load_options": options}).encode())
    write(tmp_path / "vae" / "v.gguf", gguf_bytes(vae))
    fit = machine.fits.of("checkpoint", "xl", FitRequest(1024, 1024, components=components))
    assert fit.architecture == "SDXL"
    assert fit.needs.buffers["vae"] == vae_buffer(Autoencoder(32, is_scaled=scaled), Size(1024, 1024))


def test_what_a_cuda_backend_keeps_for_itself_is_counted(machine: Machine) -> None:
    size = FitRequest(2048, 2048)
    machine.memory = memory({**GPU, "backend": "SYCL", "free_bytes": 2 * GIB}, CPU)
    plain, processor = machine.of(ask=size).devices
    machine.memory = memory({**GPU, "backend": "CUDA", "free_bytes": 2 * GIB}, {**CPU, "backend": "CPU"})
    cuda, beside = machine.of(ask=size).devices
    assert cuda.needed_bytes - plain.needed_bytes == 664 * MIB, "its pools grow with the picture"
    assert beside == processor
    # Options save what they save on any card.
    saved = [{one.option: one.saves_bytes for one in device.advice} for device in (plain, cuda)]
    assert "vae_tiling" in saved[0]
    assert saved[0] == saved[1]


def test_what_a_vulkan_backend_takes_more_is_counted(machine: Machine) -> None:
    size = FitRequest(2048, 2048)
    machine.memory = memory({**GPU, "backend": "SYCL"}, CPU)
    plain = machine.of(ask=size).devices[0]
    machine.memory = memory({**GPU, "backend": "Vulkan"}, CPU)
    vulkan = machine.of(ask=size).devices[0]
    largest = max(machine.of(ask=size).needs.buffers.values())
    assert largest > GIB
    assert vulkan.needed_bytes - plain.needed_bytes == 128 * MIB + largest // 3


def test_a_card_with_room_is_told_to_take_the_text_encoders(machine: Machine, tmp_path: Path) -> None:
    machine.memory = memory(GPU, CPU)
    card, processor = machine.of().devices
    (advice,) = card.advice
    assert (advice.option, advice.value) == ("keep_clip_on_cpu", False)
    assert -advice.saves_bytes >= machine.of().needs.weights["text_encoders"] > 0
    assert processor.advice == ()
    assert machine.of(ask=replace(BIG, components={"llm": ""})).devices[0].advice == ()  # there are none

    more = -advice.saves_bytes
    just_enough = -(-(card.needed_bytes + more) * 10 // 9)
    for free, verdict, options in ((just_enough, "fits", {"keep_clip_on_cpu"}), (just_enough - 2, "fits", set())):
        machine.memory = memory({**GPU, "free_bytes": free}, CPU)
        device = machine.of().devices[0]
        assert (device.verdict, {one.option for one in device.advice}) == (verdict, options)

    machine.memory = memory(GPU, CPU)
    write(tmp_path / "diffusion_models" / "f.gguf", gguf_bytes(FLUX, "f16"))
    write(tmp_path / "llm" / "e.gguf", gguf_bytes({**LLAMA, "y.weight": (1024, 1024)}, "q8_0"))
    ask = replace(BIG, components={"llm": "e.gguf"})
    for options, count in (({}, 1), ({"keep_clip_on_cpu": False}, 0), ({"offload_to_cpu": True}, 0)):
        write(tmp_path / "diffusion_models" / "f.json", json.dumps({"load_options": options}).encode())
        assert len(machine.of("f", ask).devices[0].advice) == count
