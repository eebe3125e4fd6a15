"""Explains why a build of the native library failed, by what the compilers wrote into its log."""

from __future__ import annotations

import re
from pathlib import Path

# The first that is found in the log is what happened; the line of the log is told with it.
_REASONS = (
    (r"No space left on device|Disk quota exceeded", "the disk is full"),
    (
        r"Killed signal terminated|(fatal|compiler) error: Killed|out of memory allocating|cannot allocate memory",
        "the compiler ran out of memory; CMAKE_BUILD_PARALLEL_LEVEL=1 makes it compile one file at a time",
    ),
    (
        r"LayerSettingEXT.*(is not a member|has not been declared)|no member named 'LayerSettingEXT'",
        "the Vulkan headers are older than 1.3.272; --fetch-headers downloads newer ones",
    ),
    (
        r"unsupported GNU version|unsupported clang version|host compiler targets unsupported",
        "this CUDA does not know so new a C++ compiler; install an older one and name it in CUDAHOSTCXX (g++-12, say)",
    ),
    (
        r"Unsupported gpu architecture|nvcc fatal\s*:.*compute_",
        "this CUDA does not know an architecture that was asked for; name others in -DCMAKE_CUDA_ARCHITECTURES",
    ),
    (r"Could NOT find Vulkan", "CMake did not find Vulkan"),
    (r"CUDA Toolkit not found|No CMAKE_CUDA_COMPILER could be found", "CMake did not find CUDA"),
    (r"Could not find a package configuration file provided by \"(hip|rocblas|hipblas)\"", "CMake did not find ROCm"),
    (r"cannot find -l\S+", "a library is missing that the linker needs"),
    (
        r"Temporary failure in name resolution|Could not fetch URL|No matching distribution found",
        "the network is missing",
    ),
)
_TAIL_LINES = 30
_LONGEST_LINE = 300


def explain_failure(text: str, log_path: Path) -> str:
    """A sentence with the reason, where it is a known one, or else the log's last lines; where the log is, and that the
    next call goes on."""
    rest = (
        f"The whole log: {log_path}. What is compiled is kept: the next call goes on where this one stopped "
        "(`sdcpp-rest native build --force` begins anew)"
    )
    lines = text.splitlines()
    for pattern, reason in _REASONS:
        for line in lines:
            if re.search(pattern, line, re.IGNORECASE):
                return f"compiling the native library failed: {reason} ({line.strip()[:_LONGEST_LINE]}). {rest}"
    tail = "\n".join(lines[-_TAIL_LINES:])
    return f"compiling the native library failed. {rest}; its last lines:\n{tail}"
