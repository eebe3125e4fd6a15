"""Names the packages of Linux distributions and macOS that the native library's build needs.

Of the standard library alone: it answers before anything is installed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_FAMILIES = {
    "debian": "debian", "ubuntu": "debian", "fedora": "fedora", "rhel": "fedora", "centos": "fedora", "arch": "arch",
}  # fmt: skip
_COMMANDS = {"debian": "apt-get install", "fedora": "dnf install", "arch": "pacman -S", "macos": "brew install"}
_TITLES = {"debian": "Debian and Ubuntu", "fedora": "Fedora", "arch": "Arch", "macos": "macOS"}
# By what is missing. Headers that are too old are not here: the same package would bring the same ones.
_PACKAGES: dict[str, dict[str, str]] = {
    "c++": {"debian": "g++", "fedora": "gcc-c++", "arch": "gcc"},
    "nvcc": {"debian": "nvidia-cuda-toolkit", "fedora": "cuda-toolkit", "arch": "cuda"},
    "cublas": {"debian": "nvidia-cuda-toolkit", "fedora": "cuda-toolkit", "arch": "cuda"},
    "glslc": {"debian": "glslc", "fedora": "glslc", "arch": "shaderc", "macos": "shaderc"},
    "vulkan headers": {
        "debian": "libvulkan-dev", "fedora": "vulkan-headers", "arch": "vulkan-headers", "macos": "vulkan-headers",
    },
    "vulkan loader": {
        "debian": "libvulkan-dev", "fedora": "vulkan-loader-devel", "arch": "vulkan-icd-loader",
        "macos": "vulkan-loader",
    },
    "hipcc": {"debian": "hipcc", "fedora": "hipcc rocm-hip-devel", "arch": "rocm-hip-sdk"},
    "hipblas": {"debian": "libhipblas-dev", "fedora": "hipblas-devel", "arch": "rocm-hip-sdk"},
    "rocblas": {"debian": "librocblas-dev", "fedora": "rocblas-devel", "arch": "rocm-hip-sdk"},
}  # fmt: skip
_COMMAND_LINE_TOOLS = ("c++", "metal")
# Where a distribution's own packages are none, or are old.
_REMARKS = {
    ("nvcc", "debian"): "Debian has it in non-free; NVIDIA's own repository has newer ones, as cuda-toolkit.",
    ("nvcc", "fedora"): "cuda-toolkit is in NVIDIA's own repository (developer.nvidia.com/cuda-downloads).",
    ("cublas", "debian"): "Beside an nvcc of NVIDIA's own packages it is libcublas-dev-12-8 (nvcc's version).",
    ("cublas", "fedora"): "Beside an nvcc of NVIDIA's own packages it is libcublas-devel-12-8 (nvcc's version).",
    ("hipcc", "debian"): "AMD's own repository has newer ones, as rocm-hip-sdk.",
    ("glslc", "debian"): "Where the distribution has no glslc, LunarG's Vulkan SDK has one (set VULKAN_SDK).",
}
# Distributions whose own Vulkan headers are older than 1.3.272.
_OLD_HEADERS = {("debian", "11"), ("debian", "12"), ("ubuntu", "20.04"), ("ubuntu", "22.04")}


class Distribution(NamedTuple):
    """``family`` says which package manager there is: "debian", "fedora", "arch", "macos", or empty where that is not
    known. ``has_old_headers``: its own Vulkan headers are too old."""

    family: str
    name: str
    has_old_headers: bool = False


def read_distribution(root: Path, system: str) -> Distribution:
    """Which system this is, by ``etc/os-release`` below ``root``; ``system`` as ``platform.system()`` has it."""
    if system == "Darwin":
        return Distribution("macos", "macOS")
    told: dict[str, str] = {}
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / place).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
        break
    told = {name: value.strip().strip("\"'") for name, value in told.items()}
    own = told.get("ID", "")
    family = next((_FAMILIES[word] for word in (own, *told.get("ID_LIKE", "").split()) if word in _FAMILIES), "")
    is_old = (own, told.get("VERSION_ID", "")) in _OLD_HEADERS
    return Distribution(family, told.get("PRETTY_NAME") or own or system, is_old)


def advise_packages(missing: Sequence[str], distribution: Distribution) -> list[str]:
    """Sentences that say what to install for what is ``missing``; on a system that is not known, for each that is."""
    families = [distribution.family] if distribution.family else [name for name in _COMMANDS if name != "macos"]
    lines = [
        command for family in families if (command := _install_command(missing, family, bool(distribution.family)))
    ]
    remarks = (_REMARKS.get((what, distribution.family)) for what in missing)
    return [*lines, *dict.fromkeys(remark for remark in remarks if remark)]


def _install_command(missing: Sequence[str], family: str, is_alone: bool) -> str:
    commands = []
    if family == "macos" and any(what in _COMMAND_LINE_TOOLS for what in missing):
        commands.append("xcode-select --install")
    packages = [package for what in missing for package in shlex.split(_PACKAGES.get(what, {}).get(family, ""))]
    if packages:
        commands.append(f"{_COMMANDS[family]} {' '.join(dict.fromkeys(packages))}")
    if not commands:
        return ""
    return f"{'Install' if is_alone else _TITLES[family]}: {'; '.join(commands)}"
