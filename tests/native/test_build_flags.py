"""Which flags the next build has: of BACKEND, CMAKE_ARGS and the build that is installed."""

from __future__ import annotations

import pytest

from sdcpp_rest.native.build_flags import (
    BACKENDS,
    ChosenFlags,
    FlagsRefused,
    choose_flags,
    ggml_backends,
    named_backends,
    setting,
)
from tests.cases import for_each_case

OURS = "-DGGML_LLAMAFILE=ON"
CUDA = [OURS, "-DSD_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=89-real", "-DGGML_NATIVE=OFF"]


def choose(backend: str | None, arguments: str | None, installed: list[str] | None = None) -> str:
    return " ".join(choose_flags(backend, arguments, installed).flags)


@for_each_case(
    ("backend", "arguments", "installed", "flags"),
    [
        # A machine without any stamp builds as it always did.
        (None, None, None, OURS),
        # An installed build's flags stay, where nothing is said.
        (None, None, CUDA, " ".join(CUDA)),
        (None, None, [OURS, "-DGGML_LLAMAFILE=OFF"], f"{OURS} -DGGML_LLAMAFILE=OFF"),
        (None, None, ["-DSD_CUDA=ON"], f"{OURS} -DSD_CUDA=ON"),
        # What is said in CMAKE_ARGS is all that counts, also when it is nothing.
        (None, "", CUDA, OURS),
        (None, "-DSD_VULKAN=ON '-DCMAKE_CXX_FLAGS=-O2 -g'", CUDA, f"{OURS} -DSD_VULKAN=ON -DCMAKE_CXX_FLAGS=-O2 -g"),
        # A named backend replaces the one before; a person's own flags stay.
        ("cuda", None, None, f"{OURS} -DSD_CUDA=ON"),
        ("hip", None, None, f"{OURS} -DSD_HIPBLAS=ON"),
        ("metal", None, None, f"{OURS} -DSD_METAL=ON"),
        ("cpu", None, None, OURS),
        ("vulkan", None, CUDA, f"{OURS} -DSD_VULKAN=ON -DGGML_NATIVE=OFF"),
        ("cpu", None, CUDA, f"{OURS} -DGGML_NATIVE=OFF"),
        ("cpu", None, [OURS, "-DSD_CUDA=ON", "-DSD_VULKAN=ON"], OURS),
        ("cpu", None, [OURS, "-D", "SD_CUDA=ON", "-D", "GGML_NATIVE=OFF"], f"{OURS} -DGGML_NATIVE=OFF"),
        # Both together.
        ("cuda", "-DCMAKE_CUDA_ARCHITECTURES=89", None, f"{OURS} -DSD_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=89"),
        ("cuda", "-DSD_CUDA=ON -DSD_VULKAN=OFF", None, f"{OURS} -DSD_CUDA=ON -DSD_CUDA=ON -DSD_VULKAN=OFF"),
        ("cpu", "-DGGML_NATIVE=OFF", CUDA, f"{OURS} -DGGML_NATIVE=OFF"),
    ],
)
def test_flags_of_the_next_build(
    backend: str | None, arguments: str | None, installed: list[str] | None, flags: str
) -> None:
    assert choose(backend, arguments, installed) == flags


@pytest.mark.parametrize("installed", [CUDA, [OURS, "-DCMAKE_CUDA_ARCHITECTURES=89", "-DSD_CUDA:BOOL=on"]])
def test_backend_that_is_installed_is_left_as_it_is(installed: list[str]) -> None:
    assert [*choose_flags("cuda", None, installed).flags] == installed


def test_settings_of_a_backend_wait_while_another_one_is_built() -> None:
    on_cpu = choose_flags("cpu", None, CUDA)
    assert on_cpu == ChosenFlags((OURS, "-DGGML_NATIVE=OFF"), ("-DCMAKE_CUDA_ARCHITECTURES=89-real",))
    as_it_was = choose_flags(None, None, on_cpu.flags, on_cpu.set_aside)
    assert as_it_was == on_cpu
    on_vulkan = choose_flags("vulkan", None, on_cpu.flags, on_cpu.set_aside)
    assert on_vulkan.set_aside == on_cpu.set_aside
    back = choose_flags("cuda", None, on_vulkan.flags, on_vulkan.set_aside)
    assert {*back.flags} == {*CUDA}
    assert back.set_aside == ()


@for_each_case(
    ("backend", "arguments", "said"),
    [
        ("coda", None, "there is no backend 'coda': BACKEND (--backend) is one of cpu, cuda, vulkan, hip, metal"),
        ("", None, "there is no backend ''"),
        ("CUDA", None, "there is no backend 'CUDA'"),
        ("cpu", "-DSD_CUDA=ON", "BACKEND (--backend) cpu and -DSD_CUDA=ON of CMAKE_ARGS contradict each other"),
        ("vulkan", "-DSD_CUDA:BOOL=yes", "vulkan and -DSD_CUDA=yes of CMAKE_ARGS contradict each other"),
        ("cuda", "-DSD_CUDA=OFF", "cuda and -DSD_CUDA=OFF of CMAKE_ARGS contradict each other"),
        (None, "-DX='", "CMAKE_ARGS cannot be read (No closing quotation)"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(backend: str | None, arguments: str | None, said: str) -> None:
    with pytest.raises(FlagsRefused) as refused:
        choose_flags(backend, arguments)
    assert said in str(refused.value)


def test_backends_of_flags_have_ggmls_names_and_ours() -> None:
    flags = ["-DSD_VULKAN:BOOL=1", "-DSD_HIPBLAS=on", "-DSD_CUDA=ON", "-DSD_CUDA=OFF", "-DSD_SYCL=ON", "-G", "Ninja"]
    assert ggml_backends(flags) == ("ROCm", "Vulkan", "SYCL")
    assert named_backends(flags) == ("vulkan", "hip")
    assert setting(flags, "SD_CUDA") == "OFF"
    assert setting(flags, "SD_METAL") is None


def test_every_backend_but_the_cpu_has_an_option_of_the_library() -> None:
    assert [named_backends(choose_flags(backend, None).flags) for backend in BACKENDS] == [
        (),
        ("cuda",),
        ("vulkan",),
        ("hip",),
        ("metal",),
    ]
