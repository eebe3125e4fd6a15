from __future__ import annotations

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.routes.swarmui.model_classes import CLASSES, COMPAT_CLASSES, class_of, describe_classes
from sdcpp_rest.services.models.model_cards import HeaderFacts, ModelCard
from tests.cases import for_each_case


def card(
    preset: str | None = None,
    count: int = 0,
    name: str = "model.safetensors",
    notes: dict[str, str] | None = None,
    kind: str = "diffusion",
) -> ModelCard:
    file = ModelFile.model_construct(name=name, type=kind, path=f"/{name}", root="/", size_bytes=1, mtime_ns=1)
    header = HeaderFacts("picture model", None, preset, count, {}, (), "")
    return ModelCard(file=file, header=header, notes=notes or {})


@for_each_case("preset", sorted(PRESETS))
def test_every_variant_that_can_be_drawn_with_has_a_class(preset: str) -> None:
    for count in (1, 20_000_000_000):
        found = class_of(card(preset, count))
        assert found is not None
        assert found.compat in COMPAT_CLASSES
        assert found.width >= 512
        assert found.height >= 512


@for_each_case(
    ("preset", "count", "name", "expected", "compat"),
    [
        ("SD1", 1, "x", "stable-diffusion-v1", "stable-diffusion-v1"),
        ("SD2", 1, "x", "stable-diffusion-v2-768-v", "stable-diffusion-v2"),
        ("SD-Turbo", 1, "x", "stable-diffusion-v2-turbo", "stable-diffusion-v2-turbo"),
        ("SDXL-Lightning", 1, "x", "stable-diffusion-xl-v1-base", "stable-diffusion-xl-v1"),
        ("SD3.5-Medium", 1, "x", "stable-diffusion-v3.5-medium", "stable-diffusion-v3.5-medium"),
        ("Flux-Schnell", 1, "x", "Flux.1-schnell", "flux-1"),
        ("Flux-Control", 1, "flux1-Depth-dev", "Flux.1-dev/depth", "flux-1"),
        ("Flux-Control", 1, "flux1-canny-dev", "Flux.1-dev/canny", "flux-1"),
        ("Flux.2-Klein", 4_000_000_000, "x", "flux.2-klein-4b", "flux-2-klein-4b"),
        ("Flux.2-Klein", 9_000_000_000, "x", "flux.2-klein-9b", "flux-2-klein-9b"),
        ("Qwen-Image-Edit-2511", 1, "x", "qwen-image-edit-plus", "qwen-image"),
        ("Wan2.1-T2V", 1_400_000_000, "x", "wan-2_1-text2video-1_3b", "wan-21-1_3b"),
        ("Wan2.1-T2V", 14_000_000_000, "x", "wan-2_1-text2video-14b", "wan-21-14b"),
        ("Wan2.2-I2V-A14B", 14_000_000_000, "x", "wan-2_2-image2video-14b", "wan-21-14b"),
        ("Wan2.2-TI2V-5B", 5_000_000_000, "x", "wan-2_2-ti2v-5b", "wan-22-5b"),
    ],
)
def test_variants_have_upstreams_ids(preset: str, count: int, name: str, expected: str, compat: str) -> None:
    found = class_of(card(preset, count, name))
    assert found is not None
    assert (found.id, found.compat) == (expected, compat)


@for_each_case(
    ("notes", "expected"),
    [
        ({"architecture": "stable-diffusion-xl-v1-base/lora"}, "stable-diffusion-xl-v1-base/lora"),
        ({"architecture": "Flux-1-Dev/LoRA"}, "Flux.1-dev/lora"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "stable-diffusion-xl-v1-base/lora"),
        ({"architecture": "unheard-of", "ss_base_model_version": "sd_v1"}, "stable-diffusion-v1/lora"),
        ({"architecture": "unheard-of"}, None),
        ({}, None),
    ],
)
def test_lora_has_the_class_that_its_notes_tell(notes: dict[str, str], expected: str | None) -> None:
    found = class_of(card(notes=notes, kind="lora"))
    assert (found.id if found else None) == expected


def test_tensors_are_believed_before_notes() -> None:
    found = class_of(card("SD1", notes={"architecture": "flux-1-dev"}))
    assert found is not None
    assert found.id == "stable-diffusion-v1"


def test_every_class_is_described_by_its_id() -> None:
    described = describe_classes()
    assert {*described} == {*CLASSES}
    assert all(id == one["id"] and one["compat_class"] in COMPAT_CLASSES for id, one in described.items())
