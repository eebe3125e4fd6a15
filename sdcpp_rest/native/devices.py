"""Lists the compute devices that the library sees, and notices a GPU that it does not.

Knows ggml's device registry and where the operating system shows a GPU; knows nothing of models.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sdcpp_rest.native.library import Library

# enum ggml_backend_dev_type { CPU, GPU, IGPU, ACCEL }: integrated GPUs count as GPUs, accelerators (BLAS) do not.
_GPU_TYPES = (1, 2)


@dataclass(frozen=True)
class NativeDevice:
    """One device of ggml; memory in bytes, 0 where the device does not say."""

    name: str
    description: str
    backend: str
    free_bytes: int
    total_bytes: int
    is_gpu: bool


class ListedDevice(Protocol):
    """What is asked of a device below; also true of the records that cross process walls."""

    @property
    def backend(self) -> str: ...

    @property
    def is_gpu(self) -> bool: ...


def list_devices(library: Library) -> tuple[NativeDevice, ...]:
    """Every device, in ggml's order; memory as it is now."""
    ggml = library.cdll
    devices = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        registry = ggml.ggml_backend_dev_backend_reg(device)
        devices.append(
            NativeDevice(
                name=ggml.ggml_backend_dev_name(device).decode("utf-8", "replace"),
                description=ggml.ggml_backend_dev_description(device).decode("utf-8", "replace"),
                backend=ggml.ggml_backend_reg_name(registry).decode("utf-8", "replace") if registry else "",
                free_bytes=free.value,
                total_bytes=total.value,
                is_gpu=ggml.ggml_backend_dev_type(device) in _GPU_TYPES,
            )
        )
    return tuple(devices)


def main_backend(devices: Sequence[ListedDevice]) -> str:
    """The backend that models run on: the first GPU's, else ``CPU``."""
    return next((device.backend for device in devices if device.is_gpu), "CPU")


def unused_gpu(devices: Sequence[ListedDevice], *, root: Path = Path("/")) -> str | None:
    """A sentence when this machine shows a GPU and the library sees none; ``root`` is where /dev is looked for."""
    if any(device.is_gpu for device in devices):
        return None
    found = _gpu_of_machine(root)
    if found is None:
        return None
    what, flag = found
    return (
        f"{what} is in this machine, but the native library was built for the CPU only: "
        f'rebuild it with CMAKE_ARGS="{flag}" sdcpp-rest native build'
    )


def _gpu_of_machine(root: Path) -> tuple[str, str] | None:
    if (root / "dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        return "an NVIDIA GPU", "-DSD_CUDA=ON"
    if (root / "dev/kfd").exists():
        return "an AMD GPU", "-DSD_HIPBLAS=ON"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "an Apple GPU", "-DSD_METAL=ON"
    if any((root / "dev/dri").glob("renderD*")):
        return "a GPU", "-DSD_VULKAN=ON"
    return None
