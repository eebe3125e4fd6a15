"""What a build needs is looked for in made-up machines: folders, programs and an os-release each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sdcpp_rest.native import toolchain
from sdcpp_rest.native.system_packages import read_distribution
from sdcpp_rest.native.toolchain import Machine, Tools, ToolsMissing, describe_compiler, find_tools
from tests.cases import for_each_case

DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
MINT = 'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\n'
FEDORA = "# a comment\nID=fedora\nVERSION_ID=43\n"
ARCH = "ID=arch\nPRETTY_NAME='Arch Linux'\n"
UNKNOWN = "ID=plan9\n"
VULKAN, CUDA, HIP = ["-DSD_VULKAN=ON"], ["-DSD_CUDA=ON"], ["-DSD_HIPBLAS=ON"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian 12 with a C++ compiler."""
    put_program(tmp_path / "usr/bin/c++", "c++ (Debian) 12.2.0")
    put(tmp_path / "etc/os-release", DEBIAN_12)
    return Machine({"PATH": str(tmp_path / "usr/bin")}, tmp_path)


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def put_program(path: Path, says: str = "") -> Path:
    put(path, f"#!/bin/sh\necho '{says}'\n").chmod(0o755)
    return path


def put_headers(folder: Path, version: str) -> None:
    major, minor, patch = version.split(".")
    complete = f"#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, {major}, {minor}, VK_HEADER_VERSION)\n"
    put(folder / "vulkan/vulkan_core.h", f"// Version of this file\n#define VK_HEADER_VERSION {patch}\n\n{complete}")


def with_variables(machine: Machine, **variables: Path | str) -> Machine:
    texts = {name: str(value) for name, value in variables.items()}
    return dataclasses.replace(machine, environment={**machine.environment, **texts})


def missing_in(flags: list[str], machine: Machine) -> str:
    with pytest.raises(ToolsMissing) as missing:
        find_tools(flags, machine)
    return str(missing.value)


# --- the C++ compiler -------------------------------------------------------------------------------------------------


def test_compiler_is_all_that_the_cpu_needs(machine: Machine) -> None:
    assert find_tools([], machine) == Tools()
    assert describe_compiler(machine) == "c++ (Debian) 12.2.0"


@for_each_case(
    ("release", "advice"),
    [
        (DEBIAN_12, "Install: apt-get install g++\n"),
        (MINT, "Install: apt-get install g++\n"),
        (FEDORA, "Install: dnf install gcc-c++\n"),
        (ARCH, "Install: pacman -S gcc\n"),
        (UNKNOWN, "Debian and Ubuntu: apt-get install g++\nFedora: dnf install gcc-c++\nArch: pacman -S gcc\n"),
        (None, "Arch: pacman -S gcc\n"),
    ],
)
def test_missing_compiler_is_named_with_the_package_of_the_distribution(
    tmp_path: Path, release: str | None, advice: str
) -> None:
    if release is not None:
        put(tmp_path / "usr/lib/os-release", release)
    said = missing_in(VULKAN, Machine({"PATH": str(tmp_path)}, tmp_path))
    assert "no C++ compiler was found (tried c++)" in said
    assert advice in said


def test_compiler_that_was_named_and_is_not_there_is_named(machine: Machine) -> None:
    assert "tried CXX, no-such-compiler" in missing_in([], with_variables(machine, CXX="no-such-compiler"))


# --- Vulkan -----------------------------------------------------------------------------------------------------------


def test_all_that_vulkan_lacks_is_told_at_once(machine: Machine) -> None:
    said = missing_in(VULKAN, machine)
    assert said.startswith("The backend vulkan cannot be built on this machine (Debian GNU/Linux 12 (bookworm)):\n")
    assert said.count("\n  - ") == 3
    assert "Install: apt-get install glslc libvulkan-dev\n" in said
    # That package's headers would be refused next.
    assert "--fetch-headers" in said


@pytest.fixture
def vulkan_machine(machine: Machine) -> Machine:
    """One that lacks nothing but headers."""
    put_program(machine.root / "usr/bin/glslc")
    put(machine.root / "usr/lib/x86_64-linux-gnu/libvulkan.so")
    return machine


def test_headers_that_are_too_old_are_refused_with_a_way_to_newer_ones(vulkan_machine: Machine) -> None:
    put_headers(vulkan_machine.root / "usr/include", "1.3.239")
    said = missing_in(VULKAN, vulkan_machine)
    assert f"Vulkan's headers in {vulkan_machine.root}/usr/include/vulkan are 1.3.239; 1.3.272 is needed" in said
    assert "make setup BACKEND=vulkan FETCH_HEADERS=1" in said
    assert "apt-get" not in said


def test_headers_that_cannot_be_read_are_refused(vulkan_machine: Machine) -> None:
    put(vulkan_machine.root / "usr/include/vulkan/vulkan_core.h", "no version")
    assert "of a version that cannot be read" in missing_in(VULKAN, vulkan_machine)


@pytest.mark.parametrize("version", ["1.3.272", "1.3.275", "1.4.304", "2.0.1"])
def test_headers_that_are_new_enough_are_taken(vulkan_machine: Machine, version: str) -> None:
    put_headers(vulkan_machine.root / "usr/include", version)
    assert find_tools(VULKAN, vulkan_machine) == Tools()


def test_headers_that_were_fetched_are_told_to_the_build_where_they_are_needed(vulkan_machine: Machine) -> None:
    put_headers(vulkan_machine.root / "usr/include", "1.3.239")
    fetched = dataclasses.replace(vulkan_machine, fetched_headers=Path("/fetched"))
    assert find_tools(VULKAN, fetched) == Tools(("-DVulkan_INCLUDE_DIR=/fetched",))
    put_headers(vulkan_machine.root / "usr/include", "1.4.309")
    assert find_tools(VULKAN, fetched) == Tools()


def test_old_headers_of_cpath_are_not_met_before_those_that_were_fetched(
    vulkan_machine: Machine, tmp_path: Path
) -> None:
    put_headers(tmp_path / "old", "1.3.239")
    fetched = dataclasses.replace(vulkan_machine, fetched_headers=Path("/fetched"))
    found = find_tools(VULKAN, with_variables(fetched, CPATH=f"{tmp_path}/old:/other"))
    assert found.environment == {"CPATH": "/other"}


def test_headers_that_will_be_fetched_are_not_missed(vulkan_machine: Machine) -> None:
    assert find_tools(VULKAN, dataclasses.replace(vulkan_machine, may_fetch=True)) == Tools()


@pytest.mark.parametrize("variable", ["VULKAN_SDK", "CMAKE_PREFIX_PATH", "CONDA_PREFIX"])
def test_sdk_that_lies_elsewhere_is_found(machine: Machine, variable: str, tmp_path: Path) -> None:
    put_headers(machine.root / "usr/include", "1.3.239")
    sdk = tmp_path / "sdk"
    put_program(sdk / "bin/glslc")
    put(sdk / "lib/libvulkan.so")
    put_headers(sdk / "include", "1.4.321")
    assert find_tools(VULKAN, with_variables(machine, **{variable: sdk})) == Tools()


def test_what_flags_name_is_believed(vulkan_machine: Machine, tmp_path: Path) -> None:
    (vulkan_machine.root / "usr/bin/glslc").unlink()
    (vulkan_machine.root / "usr/lib/x86_64-linux-gnu/libvulkan.so").unlink()
    put_headers(tmp_path / "mine", "1.4.309")
    glslc = put_program(tmp_path / "glslc-of-mine")
    named = [
        f"-DVulkan_INCLUDE_DIR={tmp_path}/mine",
        "-DVulkan_LIBRARY:FILEPATH=/x",
        f"-DVulkan_GLSLC_EXECUTABLE={glslc}",
    ]
    assert find_tools([*VULKAN, *named], vulkan_machine) == Tools()


# --- CUDA, ROCm, Metal ------------------------------------------------------------------------------------------------


def test_all_that_cuda_lacks_is_told_at_once(machine: Machine) -> None:
    said = missing_in(CUDA, machine)
    assert "nvcc, CUDA's compiler, was not found (tried PATH, CUDACXX, CUDA_HOME" in said
    assert "cuBLAS (cublas_v2.h) was not found" in said
    assert "Install: apt-get install nvidia-cuda-toolkit\nDebian has it in non-free" in said


@pytest.mark.parametrize("variable", ["CUDA_HOME", "CUDA_PATH", None])
def test_cuda_beside_the_path_is_found_and_told_to_cmake(
    machine: Machine, variable: str | None, tmp_path: Path
) -> None:
    root = tmp_path / "cuda" if variable else machine.root / "usr/local/cuda"
    nvcc = put_program(root / "bin/nvcc")
    put(root / "targets/x86_64-linux/include/cublas_v2.h")
    there = with_variables(machine, **{variable: root}) if variable else machine
    assert find_tools(CUDA, there).environment == {"CUDACXX": str(nvcc), "CUDAToolkit_ROOT": str(root)}


def test_cuda_on_the_path_needs_no_words(machine: Machine) -> None:
    """As Debian has it: the compiler in /usr/bin, the headers in /usr/include."""
    put_program(machine.root / "usr/bin/nvcc")
    put(machine.root / "usr/include/cublas_v2.h")
    assert find_tools(CUDA, machine) == Tools()


def test_cublas_apart_is_found_by_cpath(machine: Machine, tmp_path: Path) -> None:
    put_program(machine.root / "usr/bin/nvcc")
    assert "cuBLAS" in missing_in(CUDA, machine)
    put(tmp_path / "wheel/include/cublas_v2.h")
    find_tools(CUDA, with_variables(machine, CPATH=tmp_path / "wheel/include"))


def test_what_rocm_lacks_is_told_until_it_is_there(machine: Machine) -> None:
    put(machine.root / "etc/os-release", FEDORA)
    said = missing_in(HIP, machine)
    assert "Install: dnf install hipcc rocm-hip-devel hipblas-devel rocblas-devel\n" in said
    put_program(machine.root / "opt/rocm/bin/hipcc")
    put(machine.root / "opt/rocm/include/hipblas/hipblas.h")
    put(machine.root / "usr/include/rocblas/rocblas.h")
    assert find_tools(HIP, machine) == Tools()


def test_metal_is_for_macos_alone(machine: Machine) -> None:
    assert "Metal is a part of macOS, and this is Linux" in missing_in(["-DSD_METAL=ON"], machine)
    on_mac = dataclasses.replace(machine, system="Darwin")
    assert "Install: xcode-select --install" in missing_in(["-DSD_METAL=ON"], on_mac)
    put_program(machine.root / "usr/bin/xcrun")
    assert find_tools(["-DSD_METAL=ON"], on_mac) == Tools()


def test_macos_has_vulkan_of_brew(machine: Machine) -> None:
    said = missing_in(VULKAN, dataclasses.replace(machine, system="Darwin"))
    assert "Install: brew install shaderc vulkan-loader vulkan-headers\n" in said


# --- all of them ------------------------------------------------------------------------------------------------------


def test_two_backends_at_once_need_what_both_need(machine: Machine) -> None:
    said = missing_in([*VULKAN, *CUDA], machine)
    assert said.startswith("The backend cuda and vulkan cannot be built")
    assert said.count("\n  - ") == 5


def test_look_can_be_skipped(machine: Machine) -> None:
    skipping = with_variables(machine, SDCPP_REST_SKIP_TOOL_CHECK="1", CXX="no-such-compiler")
    assert find_tools(CUDA, skipping) == Tools()
    fetched = dataclasses.replace(skipping, fetched_headers=Path("/fetched"))
    assert find_tools(VULKAN, fetched) == Tools(("-DVulkan_INCLUDE_DIR=/fetched",))


@for_each_case(
    ("release", "family", "name", "is_old"),
    [
        (DEBIAN_12, "debian", "Debian GNU/Linux 12 (bookworm)", True),
        ('ID=ubuntu\nVERSION_ID="22.04"\n', "debian", "ubuntu", True),
        ('ID=ubuntu\nVERSION_ID="24.04"\n', "debian", "ubuntu", False),
        (MINT, "debian", "linuxmint", False),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora", "rocky", False),
        (ARCH, "arch", "Arch Linux", False),
        (UNKNOWN, "", "plan9", False),
        ("", "", "Linux", False),
    ],
)
def test_distribution_is_read_of_os_release(tmp_path: Path, release: str, family: str, name: str, is_old: bool) -> None:
    put(tmp_path / "etc/os-release", release)
    assert read_distribution(tmp_path, "Linux") == (family, name, is_old)


def test_command_says_it_in_words_and_by_its_exit_code(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def this_machine(fetched: Path | None, *, may_fetch: bool) -> Machine:
        return dataclasses.replace(machine, may_fetch=may_fetch)

    monkeypatch.setattr(toolchain, "this_machine", this_machine)
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    assert toolchain.main([]) == 0
    assert toolchain.main(["--backend", "coda"]) == 1
    assert "error: there is no backend 'coda'" in capsys.readouterr().err
    assert toolchain.main(["--backend", "vulkan", "--fetch-headers"]) == 1
    assert "headers" not in capsys.readouterr().err.partition("docs/gpu.md")[0].replace("libvulkan-dev", "")
    monkeypatch.setenv("CMAKE_ARGS", "-DSD_CUDA=ON")
    assert toolchain.main([]) == 1
    assert "error: The backend cuda cannot be built" in capsys.readouterr().err
