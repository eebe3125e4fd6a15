"""Devices as ggml lists them, and the warning about a GPU that the build cannot use."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdcpp_rest.native.devices import NativeDevice, built_backends, list_devices, main_backend, unused_gpu
from sdcpp_rest.native.library import Library

CPU = NativeDevice("CPU", "a processor", "CPU", 1, 2, is_gpu=False)
GPU = NativeDevice("CUDA0", "a graphics card", "CUDA", 1, 2, is_gpu=True)


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    for name in ("CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.native
def test_cpu_is_listed_with_its_memory(library: Library) -> None:
    devices = list_devices(library)
    cpu = next(device for device in devices if device.backend == "CPU")
    assert not cpu.is_gpu
    assert cpu.description
    assert cpu.total_bytes >= cpu.free_bytes > 2**20


@pytest.mark.native
def test_backends_that_were_built_in_are_those_of_the_devices_at_least(library: Library) -> None:
    built = built_backends(library)
    assert "CPU" in built
    assert {device.backend for device in list_devices(library)} <= set(built)


def test_main_backend_is_the_first_gpu_else_the_cpu() -> None:
    assert main_backend((CPU,)) == "CPU"
    assert main_backend((CPU, GPU)) == "CUDA"


@pytest.mark.parametrize(
    ("node", "backend"),
    [("nvidia0", "cuda"), ("kfd", "hip"), ("dri/renderD128", "vulkan")],
)
def test_gpu_that_the_build_ignores_is_named_with_its_backend(tmp_path: Path, node: str, backend: str) -> None:
    path = tmp_path / "dev" / node
    path.parent.mkdir(parents=True)
    path.touch()
    sentence = unused_gpu((CPU,), root=tmp_path)
    assert sentence is not None
    assert f"native build --backend {backend}`" in sentence
    assert unused_gpu((CPU, GPU), root=tmp_path) is None


def test_nothing_is_said_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    assert unused_gpu((CPU,), root=tmp_path) is None


def test_apple_silicon_is_told_about_metal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert "--backend metal" in (unused_gpu((CPU,), root=tmp_path) or "")


def show_gpu(root: Path, node: str) -> None:
    path = root / "dev" / node
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ("node", "backends"),
    [
        ("nvidia0", ("CUDA", "CPU")),
        ("nvidia0", ("Vulkan", "CPU")),
        ("kfd", ("ROCm", "CPU")),
        ("dri/renderD128", ("Vulkan", "CPU")),
    ],
)
def test_build_for_the_gpu_that_finds_none_is_not_to_be_built_again(
    tmp_path: Path, node: str, backends: tuple[str, ...]
) -> None:
    show_gpu(tmp_path, node)
    sentence = unused_gpu((CPU,), backends, root=tmp_path)
    assert sentence is not None
    assert f"built for {backends[0]}, finds none that it can use: is its driver installed" in sentence
    assert "native build" not in sentence
    assert "hide" not in sentence


def test_variable_that_hides_the_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpu(tmp_path, "nvidia0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES='' may hide it?" in (unused_gpu((CPU,), ("CUDA", "CPU"), root=tmp_path) or "")
    assert "VISIBLE" not in (unused_gpu((CPU,), ("CPU",), root=tmp_path) or "")


@pytest.mark.parametrize(
    ("node", "backend", "found", "is_told"),
    [
        ("nvidia0", "Vulkan", None, True),
        ("nvidia0", "Vulkan", "libEGL.so.1", False),
        ("nvidia0", "CUDA", None, False),
        ("dri/renderD128", "Vulkan", None, False),
    ],
)
def test_library_that_nvidias_vulkan_driver_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str, backend: str, found: str | None, is_told: bool
) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda name: found if name == "EGL" else None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    show_gpu(tmp_path, node)
    sentence = unused_gpu((CPU,), (backend, "CPU"), root=tmp_path)
    assert sentence is not None
    assert sentence.endswith("install libegl1.") == is_told


def test_build_for_another_makers_gpu_is_to_be_built_again(tmp_path: Path) -> None:
    show_gpu(tmp_path, "kfd")
    sentence = unused_gpu((CPU,), ("CUDA", "CPU", "BLAS"), root=tmp_path)
    assert sentence == (
        "an AMD GPU is in this machine, but the native library was built for CPU and CUDA only: "
        "rebuild it with `sdcpp-rest native build --backend hip`"
    )


def test_a_device_with_more_free_than_there_is_has_all_of_it_free() -> None:
    """An unsigned difference below nothing, as ggml-vulkan tells it."""

    class Ggml:
        ggml_backend_dev_count = staticmethod(lambda: 1)
        ggml_backend_dev_get = staticmethod(lambda index: index)
        ggml_backend_dev_backend_reg = staticmethod(lambda device: None)
        ggml_backend_dev_name = staticmethod(lambda device: b"Vulkan0")
        ggml_backend_dev_description = staticmethod(lambda device: b"a card")
        ggml_backend_dev_type = staticmethod(lambda device: 1)

        @staticmethod
        def ggml_backend_dev_memory(device: int, free: Any, total: Any) -> None:
            free._obj.value, total._obj.value = 2**64 - 4096, 8 << 30

    (device,) = list_devices(SimpleNamespace(cdll=Ggml()))  # type: ignore[arg-type]
    assert (device.free_bytes, device.total_bytes) == (8 << 30, 8 << 30)
