"""Looks for the compilers, headers and libraries that a build of the native library needs, before it begins.

Of the standard library alone: ``python3 -m sdcpp_rest.native.toolchain`` answers before the project's own dependencies
are installed. Looks where CMake will look; where it is wrong, ``SDCPP_REST_SKIP_TOOL_CHECK`` turns it off.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdcpp_rest.native.build_flags import BACKENDS, FlagsRefused, choose_flags, named_backends, setting
from sdcpp_rest.native.system_packages import advise_packages, read_distribution

SKIP_VARIABLE = "SDCPP_REST_SKIP_TOOL_CHECK"
NEEDED_HEADERS = (1, 3, 272)  # the first with vk::LayerSettingEXT, which ggml's Vulkan backend names
_FETCHING = (
    "Newer headers (1.5 MB, of Debian 13's package, checked against its hash) are downloaded by "
    "`make setup BACKEND=vulkan FETCH_HEADERS=1`, or `sdcpp-rest native build --backend vulkan --fetch-headers`; "
    "LunarG's Vulkan SDK has them, too (set VULKAN_SDK)."
)


class ToolsMissing(RuntimeError):
    """Something is missing that the build needs; the message says what, and what to install."""


@dataclass(frozen=True)
class Machine:
    """Where to look: ``environment`` and files below ``root``. ``fetched_headers``: a folder of newer Vulkan headers
    that was downloaded, or may be (``may_fetch``)."""

    environment: Mapping[str, str]
    root: Path = Path("/")
    system: str = "Linux"
    fetched_headers: Path | None = None
    may_fetch: bool = False


@dataclass(frozen=True)
class Tools:
    """What the build has to be told about the tools that were found."""

    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Findings:
    """What is missing, by the keys of `system_packages`, with a sentence each; what to tell the build; more to say."""

    missing: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def this_machine(fetched_headers: Path | None = None, *, may_fetch: bool = False) -> Machine:
    """The machine that this process runs on."""
    return Machine(os.environ, system=platform.system(), fetched_headers=fetched_headers, may_fetch=may_fetch)


def describe_compiler(machine: Machine) -> str:
    """The first line of what the C++ compiler says of itself. Raises ToolsMissing."""
    chosen = shlex.split(machine.environment.get("CXX", "c++"))
    try:
        said = subprocess.run(
            [*chosen, "--version"], capture_output=True, text=True, check=True, env=dict(machine.environment)
        ).stdout
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        told = f"CXX, {machine.environment['CXX']}" if "CXX" in machine.environment else "c++"
        raise ToolsMissing(
            _describe({"c++": f"no C++ compiler was found (tried {told})"}, [], machine, "The native library")
        ) from error
    return said.splitlines()[0].strip() if said else "unknown"


def find_tools(flags: Sequence[str], machine: Machine) -> Tools:
    """What a build with ``flags`` needs; also what it has to be told. Raises ToolsMissing with all that is missing."""
    if machine.environment.get(SKIP_VARIABLE):
        headers = machine.fetched_headers
        return Tools((f"-DVulkan_INCLUDE_DIR={headers}",) if headers and "vulkan" in named_backends(flags) else ())
    describe_compiler(machine)
    found = _Findings()
    backends = named_backends(flags)
    for backend in backends:
        _LOOKS[backend](flags, machine, found)
    if found.missing:
        raise ToolsMissing(_describe(found.missing, found.remarks, machine, f"The backend {' and '.join(backends)}"))
    return Tools(tuple(found.flags), found.environment)


def _look_for_cuda(flags: Sequence[str], machine: Machine, found: _Findings) -> None:
    told = setting(flags, "CMAKE_CUDA_COMPILER") or machine.environment.get("CUDACXX")
    named = [setting(flags, "CUDAToolkit_ROOT"), *_variables(machine, "CUDAToolkit_ROOT", "CUDA_HOME", "CUDA_PATH")]
    roots = [Path(root) for root in named if root] + [machine.root / "usr/local/cuda", machine.root / "opt/cuda"]
    nvcc = _find_program(told or "nvcc", machine)
    if nvcc is None and told is None:
        nvcc = _find_program("nvcc", machine, [root / "bin" for root in roots])
        if nvcc is not None:
            # CMake looks for the compiler along PATH alone.
            found.environment |= {"CUDACXX": str(nvcc), "CUDAToolkit_ROOT": str(nvcc.parent.parent)}
    if nvcc is None:
        tried = told or "tried PATH, CUDACXX, CUDA_HOME, CUDA_PATH, /usr/local/cuda"
        found.missing["nvcc"] = f"nvcc, CUDA's compiler, was not found ({tried})"
    else:
        roots.append(nvcc.resolve().parent.parent)
    folders = [folder for root in roots for folder in (root / "include", *_glob(root, "targets/*/include"))]
    if not _find_header("cublas_v2.h", machine, folders):
        found.missing["cublas"] = "cuBLAS (cublas_v2.h) was not found in CUDA's folders"


def _look_for_vulkan(flags: Sequence[str], machine: Machine, found: _Findings) -> None:
    roots = _prefixes(flags, machine, "VULKAN_SDK")
    if _find_program(setting(flags, "Vulkan_GLSLC_EXECUTABLE") or "glslc", machine, [r / "bin" for r in roots]) is None:
        found.missing["glslc"] = "glslc, the compiler of shaders, was not found (tried PATH and VULKAN_SDK)"
    if not setting(flags, "Vulkan_LIBRARY") and not _has_library("vulkan", machine, roots):
        found.missing["vulkan loader"] = "Vulkan's loader for compilers (libvulkan.so) was not found"
    told = setting(flags, "Vulkan_INCLUDE_DIR")
    folders = [Path(told)] if told else [root / "include" for root in roots]
    header = _find_header("vulkan/vulkan_core.h", machine, folders)
    version = _read_version(header) if header is not None else None
    if version is not None and version >= NEEDED_HEADERS:
        return
    if machine.fetched_headers is not None:
        found.flags.append(f"-DVulkan_INCLUDE_DIR={machine.fetched_headers}")
        if told := machine.environment.get("CPATH"):
            # Compilers look there before they look into CMake's folders.
            kept = [one for one in told.split(os.pathsep) if not (Path(one) / "vulkan").is_dir()]
            found.environment["CPATH"] = os.pathsep.join(kept)
    elif not machine.may_fetch:
        needed = ".".join(map(str, NEEDED_HEADERS))
        if header is None:
            found.missing["vulkan headers"] = f"Vulkan's headers ({needed} or newer) were not found"
        else:
            said = ".".join(map(str, version)) if version else "of a version that cannot be read"
            found.missing["newer vulkan headers"] = (
                f"Vulkan's headers in {header.parent} are {said}; {needed} is needed"
            )
        if header is not None or read_distribution(machine.root, machine.system).has_old_headers:
            found.remarks.append(_FETCHING)


def _look_for_hip(flags: Sequence[str], machine: Machine, found: _Findings) -> None:
    roots = [Path(one) for one in _variables(machine, "ROCM_PATH", "HIP_PATH")] + [machine.root / "opt/rocm"]
    if _find_program("hipcc", machine, [root / "bin" for root in roots]) is None:
        found.missing["hipcc"] = "hipcc, ROCm's compiler, was not found (tried PATH, ROCM_PATH, HIP_PATH, /opt/rocm)"
    for name, header in (("hipblas", "hipblas/hipblas.h"), ("rocblas", "rocblas/rocblas.h")):
        if not _find_header(header, machine, [root / "include" for root in roots]):
            found.missing[name] = f"{name} ({header}) was not found"


def _look_for_metal(flags: Sequence[str], machine: Machine, found: _Findings) -> None:
    if machine.system != "Darwin":
        found.missing["metal"] = f"Metal is a part of macOS, and this is {machine.system}"
    elif _find_program("xcrun", machine) is None:
        found.missing["metal"] = "Apple's command line tools (xcrun) were not found"


_LOOKS = {"cuda": _look_for_cuda, "vulkan": _look_for_vulkan, "hip": _look_for_hip, "metal": _look_for_metal}


def _describe(missing: Mapping[str, str], remarks: Sequence[str], machine: Machine, what: str) -> str:
    distribution = read_distribution(machine.root, machine.system)
    lines = [
        f"{what} cannot be built on this machine ({distribution.name}):",
        *(f"  - {one}" for one in missing.values()),
    ]
    lines += [*advise_packages([*missing], distribution), *remarks]
    lines.append(f"docs/gpu.md has more. Where this look is mistaken, {SKIP_VARIABLE}=1 skips it.")
    return "\n".join(lines)


def _variables(machine: Machine, *names: str) -> list[str]:
    return [machine.environment[name] for name in names if machine.environment.get(name)]


def _prefixes(flags: Sequence[str], machine: Machine, *names: str) -> list[Path]:
    """Folders with ``bin``, ``include`` and ``lib``, in CMake's order."""
    lists = [(setting(flags, "CMAKE_PREFIX_PATH") or "").replace(";", os.pathsep)]
    lists += _variables(machine, "CMAKE_PREFIX_PATH", "CONDA_PREFIX")
    named = [one for text in [*_variables(machine, *names), *lists] for one in text.split(os.pathsep) if one]
    return [*map(Path, named), *(machine.root / one for one in ("usr/local", "usr", "opt/homebrew"))]


def _find_program(name: str, machine: Machine, folders: Sequence[Path] = ()) -> Path | None:
    path = os.pathsep.join([*map(str, folders), machine.environment.get("PATH", os.defpath)])
    program = shutil.which(name, path=path)
    return Path(program) if program else None


def _find_header(name: str, machine: Machine, folders: Sequence[Path]) -> Path | None:
    more = [Path(one) for text in _variables(machine, "CPATH", "CPLUS_INCLUDE_PATH") for one in text.split(os.pathsep)]
    system = [machine.root / "usr/local/include", machine.root / "usr/include"]
    places = (*folders, *more, *system, *_glob(machine.root, "usr/include/*-linux-gnu*"))
    return next((folder / name for folder in places if (folder / name).is_file()), None)


def _has_library(name: str, machine: Machine, roots: Sequence[Path]) -> bool:
    listed = _variables(machine, "CMAKE_LIBRARY_PATH")
    folders = [Path(one) for text in listed for one in text.split(os.pathsep)]
    folders += [root / lib for root in roots for lib in ("lib", "lib64")]
    folders += [*_glob(machine.root, "usr/lib/*-linux-gnu*"), machine.root / "lib64"]
    return any((folder / f"lib{name}{ending}").exists() for folder in folders for ending in (".so", ".dylib"))


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(root.glob(pattern)) if path.is_dir())


def _read_version(header: Path) -> tuple[int, int, int] | None:
    text = header.read_text(encoding="utf-8", errors="replace")
    patch = re.search(r"^#define VK_HEADER_VERSION (\d+)", text, re.MULTILINE)
    main = re.search(r"^#define VK_HEADER_VERSION_COMPLETE VK_MAKE_(?:API_)?VERSION\((?:0, )?(\d+), (\d+),", text, re.M)
    return (int(main[1]), int(main[2]), int(patch[1])) if patch and main else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, for the Makefile, before anything is installed; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m sdcpp_rest.native.toolchain", description=__doc__)
    parser.add_argument("--backend", help=f"one of {', '.join(BACKENDS)}")
    parser.add_argument("--fetch-headers", action="store_true", help="newer Vulkan headers will be downloaded")
    options = parser.parse_args(arguments)
    fetched = sorted((Path(__file__).resolve().parents[2] / "vendor").glob("vulkan-headers-*"))
    machine = this_machine(fetched[-1] if fetched else None, may_fetch=options.fetch_headers)
    try:
        find_tools(choose_flags(options.backend, os.environ.get("CMAKE_ARGS")).flags, machine)
    except (FlagsRefused, ToolsMissing) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
