"""Lists the compute devices that the library sees, and notices a GPU that it does not.

Knows ggml's device registry and where the operating system shows a GPU; knows nothing of models.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sdcpp_rest.native import prebuilt_loading
from sdcpp_rest.native.library import Library
from sdcpp_rest.native.machine_gpu import find_gpu

# Variables that choose among GPUs; an empty or a wrong value leaves none.
_HIDING = (
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "MUSA_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR",
)  # fmt: skip
# enum ggml_backend_dev_type { CPU, GPU, IGPU, ACCEL }: integrated GPUs count as GPUs, accelerators (BLAS) do not.
_GPU_TYPES = (1, 2)


@dataclass(frozen=True)
class NativeDevice:
    """One device of ggml; memory in bytes, 0 where the device does not say. Free is never more than there is: a device
    that says so has told nothing."""

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
                # Vulkan's is an unsigned difference: a process above its budget has 16 EiB free.
                free_bytes=min(free.value, total.value),
                total_bytes=total.value,
                is_gpu=ggml.ggml_backend_dev_type(device) in _GPU_TYPES,
            )
        )
    return tuple(devices)


def main_backend(devices: Sequence[ListedDevice]) -> str:
    """The backend that models run on: the first GPU's, else ``CPU``."""
    return next((device.backend for device in devices if device.is_gpu), "CPU")


def built_backends(library: Library) -> tuple[str, ...]:
    """The backends that the library was built with, whether or not they found a device. One is missing where it could
    not even start: Vulkan without its loader."""
    ggml = library.cdll
    return tuple(
        ggml.ggml_backend_reg_name(ggml.ggml_backend_reg_get(index)).decode("utf-8", "replace")
        for index in range(ggml.ggml_backend_reg_count())
    )


def loaded_modules(library: Library) -> tuple[str, ...]:
    """The files of ggml that were chosen for this machine when the library was opened; none where all is in its own."""
    return prebuilt_loading.loaded_modules(library.cdll, library.path, built_backends(library))


def unused_gpu(
    devices: Sequence[ListedDevice], backends: Collection[str] = ("CPU",), *, root: Path = Path("/")
) -> str | None:
    """A sentence when this machine shows a GPU and the library sees none: how to rebuild it, or, where one of its
    ``backends`` could use that GPU, what may keep it from that. ``root`` is where /dev is looked for."""
    if any(device.is_gpu for device in devices):
        return None
    gpu = find_gpu(root)
    if gpu is None:
        return None
    able = " and ".join(sorted(gpu.backends & set(backends)))
    if not able:
        built = " and ".join(sorted({"CPU", *backends} - {"BLAS"}))
        return (
            f"{gpu.name} is in this machine, but the native library was built for {built} only: "
            f"rebuild it with `sdcpp-rest native build --backend {gpu.build}`"
        )
    hiding = [f"{name}={os.environ[name]!r}" for name in _HIDING if name in os.environ]
    hidden = f"; {' and '.join(hiding)} may hide it" if hiding else ""
    # NVIDIA's driver for Vulkan starts through libEGL, which containers lack that were made to compute only.
    is_linux_nvidia = platform.system() == "Linux" and "NVIDIA" in gpu.name
    lacks_egl = is_linux_nvidia and "Vulkan" in backends and not _has_egl()
    egl = " Its driver for Vulkan needs libEGL, which is missing: install libegl1." if lacks_egl else ""
    return (
        f"{gpu.name} is in this machine, and the native library, built for {able}, finds none that it can use: "
        f"is its driver installed and new enough, and may this user open it{hidden}?{egl}"
    )


def _has_egl() -> bool:
    # Imported here: an engine never asks, and would have all of subprocess for it.
    import ctypes.util

    return ctypes.util.find_library("EGL") is not None
