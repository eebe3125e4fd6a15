"""Looks where the operating system shows a GPU. Knows nothing of the native library, and imports little."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import NamedTuple


class MachineGpu(NamedTuple):
    """A GPU as the operating system shows it: ``build`` is the backend to build the library for, ``backends`` can all
    use it."""

    name: str
    build: str
    backends: frozenset[str]


def find_gpu(root: Path = Path("/")) -> MachineGpu | None:
    """The GPU of this machine, if it shows one; ``root`` is where /dev is looked for."""
    if (root / "dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        return MachineGpu("an NVIDIA GPU", "cuda", frozenset({"CUDA", "Vulkan", "OpenCL"}))
    if (root / "dev/kfd").exists():
        return MachineGpu("an AMD GPU", "hip", frozenset({"ROCm", "Vulkan", "OpenCL"}))
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return MachineGpu("an Apple GPU", "metal", frozenset({"MTL", "Vulkan"}))
    if any((root / "dev/dri").glob("renderD*")):
        return MachineGpu("a GPU", "vulkan", frozenset({"Vulkan", "SYCL", "OpenCL", "MUSA"}))
    return None
