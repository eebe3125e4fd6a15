"""What the loaded library says about itself, and what happens when it or the guard is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.core import quantization
from sdcpp_rest.native.guard import GUARD_VARIABLE, Guard, GuardMissing, guard_path
from sdcpp_rest.native.library import Library, LibraryMissing, open_library
from sdcpp_rest.native.weight_types import WEIGHT_TYPES, weight_type_value, writable_types

pytestmark = pytest.mark.native


def test_library_names_its_samplers_and_schedulers(library: Library) -> None:
    assert library.samplers()[:2] == ("euler", "euler_a")
    assert len(library.samplers()) == 15
    assert library.schedulers()[:2] == ("discrete", "karras")
    assert len(library.schedulers()) == 11


def test_every_name_resolves_to_its_own_value(library: Library) -> None:
    checked = 0
    for names in (
        library.sampler_names, library.scheduler_names, library.rng_names, library.prediction_names,
        library.preview_names, library.lora_mode_names, library.hires_upscaler_names,
    ):  # fmt: skip
        for value, name in enumerate(names.all()):
            assert names.resolve(name) == value, f"{names.what} {name}"
            checked += 1
        assert names.resolve("") == names.resolve(None) == names.count
    assert checked > 45


def test_library_reports_version_and_features(library: Library) -> None:
    assert library.version == "0.4.7"
    assert library.physical_cores >= 1
    assert "LLAMAFILE" in library.features, "the library was not built by us: run `make setup`"
    assert all(feature == feature.upper() for feature in library.features)


def test_weight_types_are_those_of_the_library(library: Library) -> None:
    for weight_type in WEIGHT_TYPES:
        assert library.cdll.sd_type_name(weight_type.value).decode().lower() == weight_type.id
    assert len(writable_types()) == 26


def test_the_servers_table_of_sizes_is_true_of_the_library(library: Library) -> None:
    """The server never asks the library: its numbers are the gguf package's, which may be of another age."""
    assert len(WEIGHT_TYPES) == len(quantization.WEIGHT_TYPES) == 33
    for weight_type in WEIGHT_TYPES:
        entry = quantization.BY_NAME[weight_type.id]
        assert entry.id == weight_type.value
        assert library.cdll.sd_type_name(entry.id).decode() == entry.native_name
        sizes = library.cdll.ggml_blck_size(entry.id), library.cdll.ggml_type_size(entry.id)
        assert sizes == (entry.block_size, entry.block_bytes), entry.name
        assert library.bits_per_weight(weight_type) == entry.bits_per_weight


def test_weight_type_is_looked_up_in_any_case() -> None:
    assert weight_type_value("q4_K") == weight_type_value("Q4_k") == 12


def test_missing_guard_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GUARD_VARIABLE, str(tmp_path / "elsewhere.so"))
    with pytest.raises(GuardMissing, match="make setup"):
        Guard(guard_path())


def test_guard_that_is_no_library_says_what_to_run(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_text("not a library")
    with pytest.raises(GuardMissing, match="make setup"):
        Guard(broken)


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        ("libcuda.so.1: cannot open shared object file: No such file or directory", "NVIDIA's driver"),
        ("libcudart.so.13: cannot open shared object file", "the CUDA runtime"),
        ("libvulkan.so.1: cannot open shared object file", "the Vulkan loader"),
    ],
)
def test_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, error: str, needed: str) -> None:
    def refuse(name: str) -> object:
        raise RuntimeError(f"Failed to load shared library 'libstable-diffusion.so': {error}")

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(LibraryMissing, match=f"needs {needed}; install that, or rebuild it for the CPU") as caught:
        open_library.__wrapped__()
    assert error in str(caught.value)
    assert "make setup" not in str(caught.value)


def test_library_that_is_not_there_is_to_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> object:
        raise ImportError("No module named 'stable_diffusion_cpp'")

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(LibraryMissing, match="run `make setup`, or `sdcpp-rest native build`"):
        open_library.__wrapped__()
