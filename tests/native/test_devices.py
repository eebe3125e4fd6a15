"""Devices as ggml lists them, and the warning about a GPU that the build cannot use."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import pytest

from sdcpp_rest.native.devices import NativeDevice, list_devices, main_backend, unused_gpu
from sdcpp_rest.native.library import Library

CPU = NativeDevice("CPU", "a processor", "CPU", 1, 2, is_gpu=False)
GPU = NativeDevice("CUDA0", "a graphics card", "CUDA", 1, 2, is_gpu=True)


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")


@pytest.mark.native
def test_cpu_is_listed_with_its_memory(library: Library) -> None:
    devices = list_devices(library)
    cpu = next(device for device in devices if device.backend == "CPU")
    assert not cpu.is_gpu
    assert cpu.description
    assert cpu.total_bytes >= cpu.free_bytes > 2**20


def test_main_backend_is_the_first_gpu_else_the_cpu() -> None:
    assert main_backend((CPU,)) == "CPU"
    assert main_backend((CPU, GPU)) == "CUDA"


@pytest.mark.parametrize(
    ("node", "flag"),
    [("nvidia0", "-DSD_CUDA=ON"), ("kfd", "-DSD_HIPBLAS=ON"), ("dri/renderD128", "-DSD_VULKAN=ON")],
)
def test_gpu_that_the_build_ignores_is_named_with_its_flag(tmp_path: Path, node: str, flag: str) -> None:
    path = tmp_path / "dev" / node
    path.parent.mkdir(parents=True)
    path.touch()
    sentence = unused_gpu((CPU,), root=tmp_path)
    assert sentence is not None
    assert flag in sentence
    assert unused_gpu((CPU, GPU), root=tmp_path) is None


def test_nothing_is_said_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    assert unused_gpu((CPU,), root=tmp_path) is None


def test_apple_silicon_is_told_about_metal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert "-DSD_METAL=ON" in (unused_gpu((CPU,), root=tmp_path) or "")
