from __future__ import annotations

from pathlib import Path

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.services.models.architecture_presets import preset_of
from tests import model_files
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, write

FLUX_DEV = {**model_files.FLUX, "guidance_in.in_layer.weight": (256, 128)}


def spec_of(path: Path, architecture: str | None, **components: str) -> LoadSpec:
    files = {role: FileRef(name=name, path=f"/nowhere/{name}") for role, name in components.items()}
    model = FileRef(name=path.name, path=str(path))
    return LoadSpec(model=model, kind="diffusion", architecture=architecture, components=files)


@for_each_case(
    ("name", "tensors", "family", "preset"),
    [
        ("a.gguf", FLUX_DEV, "Flux", "Flux"),
        ("a.gguf", model_files.FLUX, "Flux", "Flux-Schnell"),
        ("a-kontext.gguf", FLUX_DEV, "Flux", "Flux-Kontext"),
        ("a.gguf", model_files.QWEN, "Qwen Image", "Qwen-Image"),
    ],
)
def test_a_model_has_the_preset_of_its_variant(
    tmp_path: Path, name: str, tensors: dict[str, tuple[int, ...]], family: str, preset: str
) -> None:
    found = preset_of(spec_of(write(tmp_path / name, gguf_bytes(tensors)), family))
    assert found is not None
    assert found.id == preset


def test_the_files_beside_it_count_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", gguf_bytes(model_files.wan(40)))
    alone, paired = spec_of(path, "Wan 2.x"), spec_of(path, "Wan 2.x", high_noise_diffusion_model="b.gguf")
    assert [found.id for found in (preset_of(alone), preset_of(paired)) if found] == ["Wan2.1-T2V", "Wan2.2-T2V-A14B"]


def test_a_model_of_an_unknown_family_has_no_preset_unless_the_library_knows_it(tmp_path: Path) -> None:
    spec = spec_of(write(tmp_path / "a.pt", b"PK\x03\x04" + bytes(64)), None)
    assert preset_of(spec) is None
    assert preset_of(spec, "something new") is None
    found = preset_of(spec, "SD 1.x")
    assert found is not None
    assert found.id == "SD1"


def test_a_file_that_is_gone_keeps_the_preset_that_its_name_tells(tmp_path: Path) -> None:
    found = preset_of(spec_of(tmp_path / "flux1-kontext.gguf", "Flux"))
    assert found is not None
    assert found.id == "Flux-Kontext"
