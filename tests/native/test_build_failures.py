"""Why a build failed, by its log."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.native.build_failures import explain_failure
from tests.cases import for_each_case

LOG = Path("/somewhere/build.log")


@for_each_case(
    ("line", "reason"),
    [
        ("/tmp/cc1.s: fatal error: error writing to /tmp/x.s: No space left on device", "the disk is full"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "the compiler ran out of memory"),
        ("cc1plus: out of memory allocating 65536 bytes after a total of 1 bytes", "the compiler ran out of memory"),
        ("ggml-vulkan.cpp:5757: error: 'LayerSettingEXT' is not a member of 'vk'", "headers are older than 1.3.272"),
        ("#error -- unsupported GNU version! gcc versions later than 12 are not supported!", "CUDAHOSTCXX"),
        ("nvcc fatal   : Unsupported gpu architecture 'compute_120a'", "CMAKE_CUDA_ARCHITECTURES"),
        ("  Could NOT find Vulkan (missing: Vulkan_LIBRARY) (found version 1.3)", "CMake did not find Vulkan"),
        ("  CUDA Toolkit not found", "CMake did not find CUDA"),
        ('  Could not find a package configuration file provided by "hipblas" with any', "CMake did not find ROCm"),
        ("/usr/bin/ld: cannot find -lcuda: No such file or directory", "a library is missing that the linker needs"),
        ("ERROR: No matching distribution found for scikit-build-core", "the network is missing"),
    ],
)
def test_reason_is_told_in_a_sentence_with_the_line_of_the_log(line: str, reason: str) -> None:
    said = explain_failure("\n".join(["[1/2] c++ -c a.cpp", line, "ninja: build stopped", *["more"] * 50]), LOG)
    assert said.startswith("compiling the native library failed: ")
    assert reason in said
    assert line.strip() in said
    assert str(LOG) in said
    assert "the next call goes on where this one stopped" in said
    assert "more" not in said


def test_unknown_reason_leaves_the_last_lines() -> None:
    said = explain_failure("\n".join(f"line {number}" for number in range(100)), LOG)
    assert said.endswith("\nline 99")
    assert "line 70\n" in said
    assert "line 69\n" not in said
    assert str(LOG) in said
