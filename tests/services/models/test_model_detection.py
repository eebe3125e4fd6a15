from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers import inspection
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models import model_detection
from sdcpp_rest.services.models.model_detection import Detection, ModelDetection
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests import model_files
from tests.model_files import gguf_bytes, reversed_shapes, safetensors_bytes, write
from tests.torch_files import torch_bytes

Tensors = Mapping[str, tuple[int, ...]]
FLUX_DEV = {**model_files.FLUX, "guidance_in.in_layer.weight": (256, 128)}
KLEIN_4B = {**model_files.KLEIN, "txt_in.weight": (7680, 128)}


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def detection(models_dir: Path) -> ModelDetection:
    return ModelDetection(ModelLibrary(models_dir))


def add(folder: Path, name: str, tensors: Tensors) -> None:
    """A file with its header alone: its data is a hole, so that a large one takes no room."""
    content = gguf_bytes(tensors, fill=False)
    path = write(folder / name, content)
    whole = 4 * sum(_elements(shape) + 32 for shape in tensors.values())
    with path.open("r+b") as file:
        file.truncate(len(content) + whole)


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def language_model(width: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    return {"token_embd.weight": (width, vocabulary), "model.layers.0.self_attn.q_proj.weight": (8, 8)}


def suggested(found: Detection, role: str) -> list[str]:
    return [file.name for file in found.suggestions[role]]


def test_a_model_is_told_with_its_variant(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flux1-kontext-dev.gguf", FLUX_DEV)
    found = detection.detect("flux1-kontext-dev")
    assert (found.file.type, found.contents, found.architecture) == ("diffusion", "picture model", "Flux")
    assert found.preset is not None
    assert found.variant is not None
    assert (found.preset.id, found.variant.confidence) == ("Flux-Kontext", "likely")
    assert len(found.missing) == 2
    assert found.suggestions == {"clip_l": (), "t5xxl": (), "vae": (), "taesd": ()}


def test_what_a_checkpoint_brings_along_is_not_asked_for(detection: ModelDetection, models_dir: Path) -> None:
    tensors = reversed_shapes(model_files.unet())
    write(models_dir / "checkpoints/a.safetensors", safetensors_bytes(tensors))
    add(models_dir, "vae/vae.gguf", {"decoder.conv_in.weight": (3, 3, 4, 64)})
    found = detection.detect("a")
    assert found.inside == ("clip_l", "vae")
    assert found.missing == ()
    assert set(found.suggestions) == {"taesd"}


def test_components_are_suggested_by_what_is_in_them(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flux.gguf", FLUX_DEV)
    add(models_dir, "clip/one.gguf", model_files.clip(768))
    add(models_dir, "clip/two.gguf", model_files.clip(1280))
    add(models_dir, "clip/three.gguf", model_files.t5(32_128))
    add(models_dir, "t5/four.gguf", model_files.t5(256_384))
    add(models_dir, "vae/five.gguf", model_files.VAE)
    add(models_dir, "vae/six.gguf", {"decoder.conv_in.weight": (3, 3, 4, 64)})
    add(models_dir, "vae/seven.gguf", model_files.wan_vae(16))
    add(models_dir, "taesd/eight.gguf", model_files.TAE)
    found = detection.detect("flux")
    assert suggested(found, "clip_l") == ["one.gguf"]
    assert suggested(found, "t5xxl") == ["three.gguf"]
    assert suggested(found, "vae") == ["five.gguf"]
    assert suggested(found, "taesd") == ["eight.gguf"]
    (encoder,) = found.suggestions["t5xxl"]
    assert (encoder.type, encoder.form) == ("clip", "T5-XXL text encoder")
    assert encoder.why == "It is a T5-XXL text encoder."
    assert found.left_out == 0


def test_video_models_get_the_multilingual_encoder(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/wan.gguf", model_files.wan(30))
    add(models_dir, "t5/t5xxl.gguf", model_files.t5(32_128))
    add(models_dir, "t5/umt5.gguf", model_files.t5(256_384))
    add(models_dir, "vae/wan.gguf", model_files.wan_vae(16))
    add(models_dir, "vae/wan22.gguf", model_files.wan_vae(48))
    found = detection.detect("wan")
    assert suggested(found, "t5xxl") == ["umt5.gguf"]
    assert suggested(found, "vae") == ["wan.gguf"]


def test_a_language_model_must_have_the_width_and_know_the_words(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/klein.gguf", KLEIN_4B)
    add(models_dir, "llm/a-small.gguf", language_model(1024, 151_936))
    add(models_dir, "llm/b-qwen3-4b.gguf", language_model(2560, 151_936))
    add(models_dir, "llm/c-other-words.gguf", language_model(2560, 32_000))
    add(models_dir, "llm/d-nameless.gguf", language_model(2560, 151_936))
    found = detection.detect("klein")
    assert suggested(found, "llm") == ["b-qwen3-4b.gguf", "d-nameless.gguf"]
    assert "its name says" in found.suggestions["llm"][0].why


def test_of_equals_the_name_decides_and_then_the_size(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flux.gguf", FLUX_DEV)
    for name, extra in (("a_sd3_vae", 0), ("b_small", 0), ("c_large", 64), ("d_ae", 0)):
        tensors = {**model_files.VAE, **({"decoder.conv_out.weight": (extra, extra)} if extra else {})}
        add(models_dir, f"vae/{name}.gguf", tensors)
    assert suggested(detection.detect("flux"), "vae") == ["d_ae.gguf", "c_large.gguf", "b_small.gguf", "a_sd3_vae.gguf"]


def test_the_second_expert_is_found_by_its_name_and_family(detection: ModelDetection, models_dir: Path) -> None:
    folder = "diffusion_models/"
    add(models_dir, folder + "Wan2.2-T2V-A14B-LowNoise-Q8_0.gguf", model_files.wan(40))
    add(models_dir, folder + "Wan2.2-T2V-A14B-HighNoise-Q8_0.gguf", model_files.wan(40))
    add(models_dir, folder + "Wan2.2-T2V-A14B-HighNoise-Q4_0.gguf", model_files.wan(40))
    add(models_dir, folder + "Wan2.2-I2V-A14B-HighNoise-Q8_0.gguf", model_files.wan(40, channels=184_320))
    found = detection.detect("Wan2.2-T2V-A14B-LowNoise-Q8_0")
    assert suggested(found, "high_noise_diffusion_model") == [
        "Wan2.2-T2V-A14B-HighNoise-Q8_0.gguf",
        "Wan2.2-T2V-A14B-HighNoise-Q4_0.gguf",
    ]


def test_a_file_that_draws_nothing_is_told_by_its_contents(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "loras/style.gguf", model_files.LORA)
    found = detection.detect("style")
    assert (found.file.type, found.contents, found.architecture, found.preset) == ("lora", "LoRA", None, None)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("old.ckpt", torch_bytes({"weight": (8, 8)}), "not recognised"),
        ("bare.gguf", gguf_bytes({"input_blocks.0.0.weight": (3, 3, 4, 8)}), "UNet without its text encoder"),
        ("odd.gguf", gguf_bytes({"weight": (8, 8)}), "not recognised"),
    ],
)
def test_what_is_not_known_is_told_with_the_reason(
    detection: ModelDetection, models_dir: Path, name: str, content: bytes, words: str
) -> None:
    write(models_dir / "checkpoints" / name, content)
    found = detection.detect(name)
    assert (found.architecture, found.preset) == (None, None)
    assert words in " ".join(found.warnings)


def test_a_family_that_cannot_be_used_says_why(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flex2.gguf", {**FLUX_DEV, "img_in.weight": (196, 128)})
    assert "every picture of Flex.2 ends the engine" in " ".join(detection.detect("flex2").warnings)


def test_damaged_neighbours_are_passed_over(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flux.gguf", FLUX_DEV)
    write(models_dir / "vae/broken.gguf", b"GGUF")
    write(models_dir / "vae/page.safetensors", b"<html>")
    add(models_dir, "vae/whole.gguf", model_files.VAE)
    assert suggested(detection.detect("flux"), "vae") == ["whole.gguf"]


def test_a_damaged_model_is_refused(detection: ModelDetection, models_dir: Path) -> None:
    write(models_dir / "diffusion_models/broken.gguf", b"GGUF")
    with pytest.raises(NotAModel, match=r"broken\.gguf"):
        detection.detect("broken.gguf")


def test_names_are_looked_up_as_everywhere(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flux-dev.gguf", FLUX_DEV)
    add(models_dir, "loras/flux-dev.gguf", model_files.LORA)
    assert detection.detect("flux-dev").contents == "picture model"
    assert detection.detect("flux-dev", "lora").contents == "LoRA"
    assert detection.detect("flux-dev", "loras").contents == "LoRA"
    with pytest.raises(ModelNotFound) as missing:
        detection.detect("flux-def")
    assert "flux-dev.gguf" in missing.value.detail["nearest"]
    for name, type, field in (("../a", None, "model"), ("flux-dev", "picture", "type")):
        with pytest.raises(InvalidRequest) as refused:
            detection.detect(name, type)
        assert refused.value.detail["field"] == field
        assert refused.value.message.startswith(f"{field}: ")


def test_many_files_are_looked_at_in_several_calls_and_each_once(
    detection: ModelDetection, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_detection, "MAX_NEW_FILES", 4)
    add(models_dir, "diffusion_models/flux.gguf", FLUX_DEV)
    for index in range(6):
        add(models_dir, f"vae/{index}.gguf", model_files.VAE)
    add(models_dir, "vae/zz_ae.gguf", model_files.VAE)
    looked: list[str] = []

    def count(path: str) -> inspection.Inspection:
        looked.append(Path(path).name)
        return inspection.inspect_file(path)

    monkeypatch.setattr(model_detection, "inspect_file", count)
    first = detection.detect("flux")
    assert (first.left_out, suggested(first, "vae")[0]) == (3, "zz_ae.gguf")
    second = detection.detect("flux")
    assert second.left_out == 0
    detection.detect("flux")
    assert sorted(name for name in looked if name != "flux.gguf") == [
        *(f"{index}.gguf" for index in range(6)),
        "zz_ae.gguf",
    ]


def test_a_file_that_was_replaced_is_looked_at_again(detection: ModelDetection, models_dir: Path) -> None:
    add(models_dir, "diffusion_models/flux.gguf", FLUX_DEV)
    add(models_dir, "vae/one.gguf", {"decoder.conv_in.weight": (3, 3, 4, 64)})
    assert suggested(detection.detect("flux"), "vae") == []
    add(models_dir, "vae/one.gguf", model_files.VAE)
    assert suggested(detection.detect("flux"), "vae") == ["one.gguf"]
