"""What a server says of its devices, by what its build and its engine say."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdcpp_rest.cli.serve_devices import advise_idle_gpu, describe_backend, describe_devices, tell_devices
from sdcpp_rest.engine.protocol import Device, Ready
from sdcpp_rest.native import build_stamp, prebuilt
from tests.cases import for_each_case
from tests.native.prebuilt_folders import make_folder

CPU = Device(name="CPU", description="a processor", backend="CPU", free_bytes=1, total_bytes=2, is_gpu=False)
GPU = Device(name="CUDA0", description="NVIDIA H200", backend="CUDA", free_bytes=1, total_bytes=2, is_gpu=True)
ON_CPU = Ready(pid=1, library_version="1", devices=(CPU,))
ON_GPU = Ready(pid=1, library_version="1", backend="CUDA", backends=("CUDA", "CPU"), devices=(CPU, GPU))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a library that somebody else has built; sdcpp-rest-native is not installed."""
    monkeypatch.delenv(prebuilt.VARIABLE, raising=False)
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: tmp_path)
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
    (tmp_path / "libstable-diffusion.so").touch()
    return tmp_path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that shows an NVIDIA GPU."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    node = tmp_path / "machine/dev/nvidia0"
    node.parent.mkdir(parents=True)
    node.touch()
    return tmp_path / "machine"


@for_each_case(
    ("flags", "said"),
    [
        ('["-DGGML_LLAMAFILE=ON"]', "CPU"),
        ('["-DSD_CUDA=ON"]', "CUDA, by the build's flags; the log names the device"),
        ('["-DSD_CUDA=ON", "-DSD_VULKAN=ON"]', "CUDA and Vulkan, by the build's flags; the log names the device"),
        ("0", "not known yet; the log names it"),
    ],
)
def test_backend_is_told_by_the_flags_of_the_build(installed: Path, flags: str, said: str) -> None:
    (installed / build_stamp.STAMP_NAME).write_text(f'{{"flags": {flags}}}')
    assert describe_backend() == said


def test_backends_of_the_prebuilt_engine_are_told_and_not_those_of_a_library_that_is_not_used(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installed / build_stamp.STAMP_NAME).write_text('{"flags": ["-DSD_CUDA=ON"]}')
    package = make_folder(installed / "package")
    monkeypatch.setattr(sys, "prefix", str(installed / "environment"))
    monkeypatch.setattr(prebuilt, "package_folder", lambda: package)
    assert describe_backend() == "CUDA, by the build's flags; the log names the device"
    prebuilt.write_wish("prebuilt")
    assert describe_backend() == (
        "Vulkan where its driver is here, else CPU, by the prebuilt engine; the log names the device"
    )
    (package / prebuilt.STAMP).write_text("{}")
    assert describe_backend() == "not known yet; the log names it"


def test_library_that_is_missing_is_told(installed: Path) -> None:
    (installed / "libstable-diffusion.so").unlink()
    assert describe_backend() == "none: the native library is not installed"


def test_devices_are_the_gpus_or_else_the_cpu() -> None:
    assert describe_devices(ON_GPU) == "CUDA0: NVIDIA H200 (CUDA)"
    assert describe_devices(ON_CPU) == "CPU: a processor (CPU)"
    assert describe_devices(Ready(pid=1, library_version="1")) == "CPU"


def test_gpu_that_is_idle_beside_a_cpu_build_is_told(installed: Path, root: Path) -> None:
    (installed / build_stamp.STAMP_NAME).write_text('{"flags": []}')
    assert advise_idle_gpu(ON_CPU, root) == (
        "an NVIDIA GPU is in this machine, but the native library was built for CPU only: "
        "rebuild it with `sdcpp-rest native build --backend cuda`"
    )
    assert advise_idle_gpu(ON_GPU, root) is None


def test_build_for_the_gpu_that_sees_none_is_not_called_a_cpu_build(installed: Path, root: Path) -> None:
    (installed / build_stamp.STAMP_NAME).write_text('{"flags": ["-DSD_CUDA=ON"]}')
    said = advise_idle_gpu(ON_CPU, root)
    assert said is not None
    assert "built for CUDA, finds none that it can use" in said


def test_machine_without_a_gpu_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert advise_idle_gpu(ON_CPU, tmp_path) is None


def test_log_names_the_device_and_warns_once_there_is_an_engine(
    installed: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor: Any = SimpleNamespace(was_ready=threading.Event(), ready=ON_CPU)
    supervisor.was_ready.set()
    with caplog.at_level(logging.INFO, logger="sdcpp_rest.cli.serve_devices"):
        tell_devices(supervisor, root)
    assert [(record.levelname, record.message[:22]) for record in caplog.records] == [
        ("INFO", "models run on CPU: a p"),
        ("WARNING", "an NVIDIA GPU is in th"),
    ]
