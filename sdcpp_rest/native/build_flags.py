"""Chooses the flags that the native library is compiled with: of our own, a named backend, ``CMAKE_ARGS`` and the build
that is installed.

Pure, and of the standard library alone: it also answers before anything is installed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_FLAGS = ("-DGGML_LLAMAFILE=ON",)  # about 0.6 of the stock build's CPU time per step; off by default upstream
BACKENDS = ("cpu", "cuda", "vulkan", "hip", "metal")
"""What a backend is called on the command line."""
# The library's option for each of them.
_OPTIONS = {"cuda": "SD_CUDA", "vulkan": "SD_VULKAN", "hip": "SD_HIPBLAS", "metal": "SD_METAL"}
# All of its options for GPUs, and what ggml calls these backends.
_GGML_NAMES = {
    "SD_CUDA": "CUDA", "SD_HIPBLAS": "ROCm", "SD_MUSA": "MUSA", "SD_VULKAN": "Vulkan", "SD_METAL": "MTL",
    "SD_SYCL": "SYCL", "SD_OPENCL": "OpenCL",
}  # fmt: skip
# Settings that mean something to one backend alone: they are set aside while another one is built.
_SETTINGS_OF = {
    "cuda": re.compile(r"(CMAKE_CUDA|GGML_CUDA|CUDAToolkit|CUDA)_"),
    "vulkan": re.compile(r"(GGML_VULKAN|Vulkan)_"),
    "hip": re.compile(r"(CMAKE_HIP|GGML_HIP|ROCM|HIP)_|(AMDGPU|GPU)_TARGETS$"),
    "metal": re.compile(r"GGML_METAL_"),
}
_ON = ("ON", "1", "TRUE", "YES", "Y")


class FlagsRefused(ValueError):
    """What was asked for makes no sense; the message says what does."""


@dataclass(frozen=True)
class ChosenFlags:
    """``flags`` to build with; ``set_aside`` are a person's own for backends that are not built now."""

    flags: tuple[str, ...]
    set_aside: tuple[str, ...] = ()


def choose_flags(
    backend: str | None,
    cmake_args: str | None,
    installed: Sequence[str] | None = None,
    set_aside: Sequence[str] = (),
) -> ChosenFlags:
    """The flags of the next build; of two equal settings the later one counts.

    ``cmake_args`` are all that is wanted besides our own flags and ``backend``'s; where they are ``None`` the
    ``installed`` build's flags stay, and ``backend`` replaces those that choose a backend. Raises FlagsRefused.
    """
    own = _read_arguments(cmake_args)
    if backend is not None and backend not in BACKENDS:
        raise FlagsRefused(f"there is no backend {backend!r}: BACKEND (--backend) is one of {', '.join(BACKENDS)}")
    if own is not None:
        if backend is not None:
            _refuse_contradictions(backend, own)
        return ChosenFlags((*DEFAULT_FLAGS, *_switches(backend), *own))
    kept = [flag for flag in installed or () if flag not in DEFAULT_FLAGS]
    if backend is None:
        # As they were; where they turned one of ours off, that stands behind ours, and counts.
        return ChosenFlags((*DEFAULT_FLAGS, *kept), tuple(set_aside))
    return _switch(backend, _join_settings(kept), set_aside)


def _switch(backend: str, kept: Sequence[str], set_aside: Sequence[str]) -> ChosenFlags:
    aside = [flag for flag in set_aside if _belongs_to_another(flag, backend)]
    back = [flag for flag in set_aside if flag not in aside]
    switches = _switches(backend)
    if ggml_backends(kept) == ggml_backends(switches) and not back:
        # It is built already: another order of the same flags would be a build of minutes for nothing.
        return ChosenFlags((*DEFAULT_FLAGS, *kept), tuple(aside))
    extra = [flag for flag in kept if _name(flag) not in _GGML_NAMES]
    used = [flag for flag in extra if not _belongs_to_another(flag, backend)]
    aside += [flag for flag in extra if flag not in used and flag not in aside]
    return ChosenFlags((*DEFAULT_FLAGS, *switches, *dict.fromkeys((*used, *back))), tuple(aside))


def ggml_backends(flags: Sequence[str]) -> tuple[str, ...]:
    """The GPU backends that ``flags`` ask for, as ggml calls them."""
    settings = _settings(flags)
    return tuple(name for option, name in _GGML_NAMES.items() if settings.get(option, "OFF").upper() in _ON)


def ggml_name(backend: str) -> str:
    """What ggml calls a backend of the command line."""
    option = _OPTIONS.get(backend)
    return _GGML_NAMES[option] if option else "CPU"


def named_backends(flags: Sequence[str]) -> tuple[str, ...]:
    """The GPU backends that ``flags`` ask for, as the command line calls them; those that it cannot name are left
    out."""
    settings = _settings(flags)
    return tuple(backend for backend, option in _OPTIONS.items() if settings.get(option, "OFF").upper() in _ON)


def setting(flags: Sequence[str], name: str) -> str | None:
    """What ``flags`` set the variable ``name`` of CMake to."""
    return _settings(flags).get(name)


def _read_arguments(cmake_args: str | None) -> tuple[str, ...] | None:
    if cmake_args is None:
        return None
    try:
        return tuple(shlex.split(cmake_args))
    except ValueError as error:
        raise FlagsRefused(f"CMAKE_ARGS cannot be read ({error}): {cmake_args}") from error


def _switches(backend: str | None) -> tuple[str, ...]:
    option = _OPTIONS.get(backend or "cpu")
    return (f"-D{option}=ON",) if option else ()


def _refuse_contradictions(backend: str, own: Sequence[str]) -> None:
    wanted = _OPTIONS.get(backend)
    for option, value in _settings(own).items():
        is_on = value.upper() in _ON
        if (option in _GGML_NAMES and is_on and option != wanted) or (option == wanted and not is_on):
            raise FlagsRefused(
                f"BACKEND (--backend) {backend} and -D{option}={value} of CMAKE_ARGS contradict each other: give "
                "one of them; several backends at once go by CMAKE_ARGS alone"
            )


def _belongs_to_another(flag: str, backend: str) -> bool:
    return any(pattern.match(_name(flag)) for other, pattern in _SETTINGS_OF.items() if other != backend)


def _join_settings(flags: Sequence[str]) -> list[str]:
    """``-D NAME=VALUE`` may be two arguments; each setting is one here."""
    joined: list[str] = []
    for flag in flags:
        if joined and joined[-1] == "-D":
            joined[-1] += flag
        else:
            joined.append(flag)
    return joined


def _settings(flags: Sequence[str]) -> dict[str, str]:
    pairs = (flag.removeprefix("-D").split("=", 1) for flag in flags if "=" in flag)
    return {name.partition(":")[0]: value for name, value in pairs}


def _name(flag: str) -> str:
    return flag.removeprefix("-D").partition("=")[0].partition(":")[0]
