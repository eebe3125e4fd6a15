"""The engine that comes compiled: what its stamp must say, and which of two libraries is used. Nothing is loaded."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.native import build, prebuilt, prebuilt_loading
from sdcpp_rest.native.build_stamp import STAMP_NAME
from sdcpp_rest.native.library import LibraryMissing, open_library
from sdcpp_rest.native.prebuilt import Choice, PrebuiltError, choose_library
from sdcpp_rest.native.prebuilt_loading import preload_engine
from tests.cases import for_each_case
from tests.native.prebuilt_folders import make_folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prebuilt engine that is installed, in an environment where nobody has chosen a library."""
    folder = make_folder(tmp_path / "package" / "lib")
    monkeypatch.delenv(prebuilt.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setattr(prebuilt, "package_folder", lambda: folder)
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: None)
    return folder


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    folder = tmp_path / "stable_diffusion_cpp" / "lib"
    folder.mkdir(parents=True)
    (folder / "libstable-diffusion.so").write_bytes(b"machine code")
    (folder / STAMP_NAME).write_text("{}")
    return folder


# --- which library ----------------------------------------------------------------------------------------------------


def test_prebuilt_engine_is_used_where_nothing_was_compiled(package: Path, compiled: Path) -> None:
    expected = Choice("prebuilt", package / "libstable-diffusion.so", "nothing was compiled by sdcpp-rest")
    assert choose_library(None) == expected
    (compiled / STAMP_NAME).unlink()
    assert choose_library(compiled) == expected  # pip's stock build: slower on CPUs


def test_library_that_sdcpp_rest_compiled_goes_before_the_prebuilt_engine(package: Path, compiled: Path) -> None:
    assert choose_library(compiled).kind == "compiled"
    (compiled / "libstable-diffusion.so").unlink()
    assert choose_library(compiled).kind == "prebuilt"


def test_what_was_asked_for_last_is_used(package: Path, compiled: Path) -> None:
    prebuilt.write_wish("prebuilt")
    assert choose_library(compiled).why == "`sdcpp-rest native install` chose it"
    prebuilt.write_wish("compiled")
    assert choose_library(compiled).kind == "compiled"
    (compiled / STAMP_NAME).unlink()
    assert choose_library(compiled).kind == "stock"
    assert choose_library(None).kind == "prebuilt"  # better than none


@pytest.mark.parametrize("content", [b"", b"neither\n", b"\xff"])
def test_choice_that_cannot_be_read_is_none(package: Path, content: bytes) -> None:
    prebuilt.write_wish("compiled")
    Path(sys.prefix, "share/sdcpp-rest/native-library").write_bytes(content)
    assert prebuilt.read_wish() is None


def test_file_that_the_variable_names_goes_before_everything(
    package: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(prebuilt.VARIABLE, "/elsewhere/libstable-diffusion.so")
    assert choose_library(compiled).file == Path("/elsewhere/libstable-diffusion.so")
    assert choose_library(compiled).kind == "given"


def test_without_either_there_is_no_library(compiled: Path, monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
    assert choose_library(None) == Choice("none", None, "no library is installed")
    (compiled / STAMP_NAME).unlink()
    assert choose_library(compiled).why == "pip compiled it with the binding"


def test_packages_are_found_without_importing_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / prebuilt.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert prebuilt.package_folder() is None
    (package / "lib").mkdir()
    assert prebuilt.package_folder() == package / "lib"


# --- the build knows it -----------------------------------------------------------------------------------------------


def test_nothing_is_built_where_the_prebuilt_engine_is_used(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_installed_folder", lambda: None)
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    assert build.reason_to_build() is None
    assert build.flagged_backends() == ("Vulkan",)
    monkeypatch.setenv("CMAKE_ARGS", "-DSD_CUDA=ON")
    assert build.reason_to_build() == "the prebuilt engine of sdcpp-rest-native was compiled without your CMAKE_ARGS"
    monkeypatch.delenv("CMAKE_ARGS")
    assert build.reason_to_build("vulkan") is build.reason_to_build("cpu") is None
    assert build.reason_to_build("cuda") == (
        "the prebuilt engine of sdcpp-rest-native was compiled for CPU and Vulkan alone"
    )


def test_build_that_is_not_needed_names_the_prebuilt_engine(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_installed_folder", lambda: None)
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    said: list[str] = []
    build.build(log=said.append)
    assert said == [
        "native library 0.4.7 is up to date: sdcpp-rest-native is used, and --force compiles what takes its place"
    ]


def test_damaged_prebuilt_engine_is_a_reason_to_build(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_installed_folder", lambda: None)
    (package / "libggml.so").write_bytes(b"of another program")
    assert build.reason_to_build() == "libggml.so of sdcpp-rest-native is not the file that was built"
    (package / "libggml.so").unlink()
    assert build.reason_to_build() == "libggml.so of sdcpp-rest-native is missing"
    (package / prebuilt.STAMP).unlink()
    assert "has no readable sdcpp-rest-native.json" in (build.reason_to_build() or "")
    assert build.flagged_backends() == ()


# --- loading ----------------------------------------------------------------------------------------------------------


class _Ggml:
    """Stands for libggml: remembers which folder's modules it was to load, and has a CPU module or none."""

    def __init__(self, has_cpu: bool = True) -> None:
        self.folders: list[bytes] = []
        self.ggml_backend_load_all_from_path = _Function(self.folders.append)
        self.ggml_backend_reg_by_name = _Function(lambda _name: 1 if has_cpu else None)
        self.ggml_backend_reg_get_proc_address = _Function(lambda _, name: 2 if b"threads" in name else 1)

    def dladdr(self, address: Any, place: Any) -> int:
        place._obj.file = b"/lib/libggml-cpu-x64.so" if address.value == 1 else b"/sdcpp_rest/native/libsdcpp_guard.so"
        return 1


class _Function:
    restype: Any = None
    argtypes: Any = None

    def __init__(self, does: Any) -> None:
        self._does = does

    def __call__(self, *arguments: Any) -> Any:
        return self._does(*arguments)


def test_modules_are_loaded_and_the_library_is_named_while_the_binding_is_imported(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ggml = _Ggml()
    monkeypatch.setattr(ctypes, "CDLL", lambda _path: ggml)
    with preload_engine():
        assert os.environ[prebuilt.VARIABLE] == str(package / "libstable-diffusion.so")
    assert prebuilt.VARIABLE not in os.environ
    assert ggml.folders == [os.fsencode(package)]
    (package / "libggml-vulkan.so").touch()
    modules = prebuilt_loading.loaded_modules(ggml, package / "x", ["Vulkan", "BLAS", "CPU"])  # type: ignore[arg-type]
    assert modules == ("libggml-cpu-x64.so", "libggml-vulkan.so")


def test_prebuilt_engine_that_the_variable_names_gets_its_modules_too(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ggml = _Ggml()
    named = str(package / "libstable-diffusion.so")
    monkeypatch.setattr(ctypes, "CDLL", lambda _path: ggml)
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
    monkeypatch.setenv(prebuilt.VARIABLE, named)
    with preload_engine():
        pass
    assert ggml.folders == [os.fsencode(package)]
    assert os.environ[prebuilt.VARIABLE] == named


def test_compiled_library_is_left_to_the_binding(
    package: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: compiled)
    monkeypatch.setattr(ctypes, "CDLL", lambda _path: pytest.fail("loaded something"))
    with preload_engine():
        assert prebuilt.VARIABLE not in os.environ


@for_each_case(
    ("differences", "sentence"),
    [
        ({"version": "0.4.6"}, "engine of 0.4.6, and this sdcpp-rest needs that of 0.4.7: run `sdcpp-rest"),
        ({"system": "Plan9"}, "was built for Plan9 on "),
        ({"machine": "riscv64"}, "on riscv64, and this is "),
        ({"files": {"libggml-base.so": "0"}}, "libggml-base.so of sdcpp-rest-native is missing: run"),
        ({"files": 3}, "has no readable sdcpp-rest-native.json"),
    ],
)  # fmt: skip
def test_engine_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differences: dict[str, Any], sentence: str
) -> None:
    folder = make_folder(tmp_path / "lib", **differences)
    monkeypatch.delenv(prebuilt.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(prebuilt, "package_folder", lambda: folder)
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: None)
    with pytest.raises(PrebuiltError) as refused, preload_engine():
        pytest.fail("went on")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_machine_goes_by_several_names(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = prebuilt.read_stamp(make_folder(package.parent / "other", machine="AMD64"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert prebuilt.find_misfit(stamp) is None


def test_files_that_are_no_libraries_are_refused_as_the_engine_starts(package: Path) -> None:
    with pytest.raises(LibraryMissing, match=r"does not run on this system \(.*\): `sdcpp-rest native build` compiles"):
        open_library.__wrapped__()


def test_processor_without_a_module_is_told(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _path: _Ggml(has_cpu=False))
    with (
        pytest.raises(PrebuiltError, match="no CPU module of sdcpp-rest-native suits this processor"),
        preload_engine(),
    ):
        pytest.fail("went on")
