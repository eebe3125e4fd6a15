from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.errors import ModelNotFound
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.model_facts import MAX_ENTRIES, facts_of
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests.model_files import LORA, gguf_bytes, reversed_shapes, safetensors_bytes, unet, write
from tests.torch_files import torch_bytes


@pytest.fixture
def library(tmp_path: Path, demo_folder: Path) -> ModelLibrary:
    return ModelLibrary(tmp_path, {}, demo_folder)


def test_the_demo_model_tells_all_about_itself(library: ModelLibrary) -> None:
    facts = facts_of(library, "diffusion", "demo_dit_q8_0")
    assert (facts.model_architecture, facts.architecture_id, facts.format) == ("Ovis Image", "ovis_image", "gguf")
    assert facts.contents == "picture model"
    assert facts.preset is not None
    assert facts.quantization[0].type == "q8_0"
    assert sum(share.tensors for share in facts.quantization) == facts.tensor_count
    assert sum(share.share for share in facts.quantization) == pytest.approx(1, abs=1e-4)
    # Headers and padding aside, the tensors are the file.
    assert 0.95 < sum(share.bytes for share in facts.quantization) / facts.size_bytes <= 1
    assert facts.sidecar is not None
    assert facts.sidecar.components["llm"] == "demo_llm_q4_0.gguf"


def test_the_histogram_counts_tensors_and_bytes(library: ModelLibrary, tmp_path: Path) -> None:
    write(tmp_path / "vae" / "a.gguf", gguf_bytes({"a": (64, 2), "b": (32,)}, "q8_0"))
    facts = facts_of(library, "vae", "a")
    assert [(share.type, share.tensors, share.bytes) for share in facts.quantization] == [("q8_0", 2, 5 * 34)]
    assert (facts.parameter_count, facts.tensor_count, facts.parts) == (160, 2, 1)


def test_trained_words_come_from_the_sidecar_and_the_file(library: ModelLibrary, tmp_path: Path) -> None:
    metadata = {"modelspec.trigger_phrase": "b", "ss_tag_frequency": '{"x": {"c": 1}}'}
    content = safetensors_bytes(reversed_shapes(LORA), metadata=metadata)
    write(tmp_path / "loras" / "l.safetensors", content)
    write(tmp_path / "loras" / "l.json", b'{"activation text": "a, b,", "preferred weight": 1}')
    facts = facts_of(library, "lora", "l")
    assert facts.trained_words == ("a", "b", "c")
    assert facts.contents == "LoRA"


def test_metadata_is_bounded(library: ModelLibrary, tmp_path: Path) -> None:
    metadata = {f"k{number:04}": "v" for number in range(1000)} | {"long": "x" * 10_000}
    write(tmp_path / "vae" / "a.safetensors", safetensors_bytes({"a": (2, 2)}, metadata=metadata))
    shown = facts_of(library, "vae", "a").metadata
    assert len(shown) == MAX_ENTRIES
    assert "long" not in shown


def test_a_split_model_is_one(library: ModelLibrary, tmp_path: Path) -> None:
    for number in (1, 2):
        tensors = {f"{number}.{name}": shape for name, shape in unet().items()}
        write(tmp_path / "vae" / f"a-0000{number}-of-00002.safetensors", safetensors_bytes(reversed_shapes(tensors)))
    facts = facts_of(library, "vae", "a")
    assert (facts.parts, facts.tensor_count) == (2, 2 * len(unet()))
    assert "merge" in facts.warnings[0]


def test_a_torch_file_is_looked_into(library: ModelLibrary, tmp_path: Path) -> None:
    write(tmp_path / "vae" / "a.pt", torch_bytes({"decoder.conv_in.weight": (8, 16, 3, 3)}))
    facts = facts_of(library, "vae", "a")
    assert (facts.format, facts.contents, facts.parameter_count) == ("torch", "VAE", 1152)
    assert [share.type for share in facts.quantization] == ["f32"]


def test_what_is_no_model_or_not_there_is_refused(library: ModelLibrary, tmp_path: Path) -> None:
    write(tmp_path / "vae" / "a.gguf", b"<html>")
    with pytest.raises(NotAModel, match="web page"):
        facts_of(library, "vae", "a")
    with pytest.raises(ModelNotFound):
        facts_of(library, "vae", "b")
