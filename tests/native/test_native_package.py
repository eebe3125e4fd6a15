"""The package of the prebuilt engine, built over a source of a few lines that has the names of the real one."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sdcpp_rest.native import prebuilt

PACKAGE = Path(__file__).resolve().parents[2] / "native_package"

SOURCE = {
    "CMakeLists.txt": """
        cmake_minimum_required(VERSION 3.12)
        project("stable-diffusion")
        set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
        if(NOT GGML_CPU_ALL_VARIANTS OR NOT GGML_LLAMAFILE OR GGML_NATIVE OR SD_VULKAN)
          message(FATAL_ERROR "wrong flags")
        endif()
        add_library(ggml-base SHARED base.cpp)
        target_include_directories(ggml-base PUBLIC .)
        add_library(ggml SHARED empty.cpp)
        target_link_libraries(ggml PUBLIC ggml-base)
        add_library(ggml-cpu-x64 MODULE empty.cpp)
        set_target_properties(ggml ggml-base ggml-cpu-x64 PROPERTIES VERSION 0.9.5 SOVERSION 0)
        set(GGML_AVAILABLE_BACKENDS "${GGML_AVAILABLE_BACKENDS};ggml-cpu-x64" CACHE INTERNAL "")
        add_library(stable-diffusion SHARED library.cpp)
        target_link_libraries(stable-diffusion PUBLIC ggml)
        set_target_properties(stable-diffusion PROPERTIES PUBLIC_HEADER ggml-backend.h)
        install(TARGETS stable-diffusion ggml LIBRARY PUBLIC_HEADER)
    """,
    "ggml-backend.h": """
        #pragma once
        typedef struct reg* ggml_backend_reg_t;
        typedef struct backend* ggml_backend_t;
        typedef struct { const char* name; const char* value; } ggml_backend_feature;
        typedef ggml_backend_feature* (*ggml_backend_get_features_t)(ggml_backend_reg_t);
        enum { GGML_BACKEND_DEVICE_TYPE_CPU };
        extern "C" ggml_backend_reg_t ggml_backend_reg_by_name(const char*);
        extern "C" void* ggml_backend_reg_get_proc_address(ggml_backend_reg_t, const char*);
        extern "C" ggml_backend_t ggml_backend_init_by_type(int, const char*);
    """,
    "base.cpp": """
        #include "ggml-backend.h"
        static ggml_backend_feature features[] = {{"AVX2", "1"}, {"FMA", "0"}, {"LLAMAFILE", "1"}, {0, 0}};
        static ggml_backend_feature* list(ggml_backend_reg_t) { return features; }
        ggml_backend_reg_t ggml_backend_reg_by_name(const char*) { return (ggml_backend_reg_t) 1; }
        void* ggml_backend_reg_get_proc_address(ggml_backend_reg_t, const char*) { return (void*) list; }
        ggml_backend_t ggml_backend_init_by_type(int, const char*) { return (ggml_backend_t) 7; }
    """,
    "library.cpp": """
        extern "C" int ggml_cpu_has_avx2(); extern "C" int ggml_cpu_has_fma(); extern "C" int ggml_cpu_has_neon();
        extern "C" void* ggml_backend_cpu_init();
        extern "C" int answers() {
            int can = ggml_cpu_has_avx2() + 2 * ggml_cpu_has_fma() + 4 * ggml_cpu_has_neon();
            return can + 8 * (ggml_backend_cpu_init() != 0);
        }
    """,
    "empty.cpp": "",
    "LICENSE": "of the library",
    "ggml/LICENSE": "of ggml",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.skipif(sys.platform != "linux", reason="names and tools of Linux")
def test_wheel_has_one_file_for_each_library_and_a_stamp_of_them_all(tmp_path: Path) -> None:
    for name, content in SOURCE.items():
        path = tmp_path / "source" / "vendor" / "stable-diffusion.cpp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    settings = [f"build-dir={tmp_path / 'build'}", "cmake.define.SDCPP_REST_VULKAN=OFF",
                f"cmake.define.SDCPP_REST_SOURCE={tmp_path / 'source'}"]  # fmt: skip
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command += [word for setting in settings for word in ("-C", setting)]
    done = subprocess.run([*command, "--wheel-dir", str(tmp_path), str(PACKAGE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("sdcpp_rest_native-*-py3-none-linux_*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    folder = tmp_path / "unpacked" / prebuilt.PACKAGE / "lib"
    stamp = prebuilt.read_stamp(folder)
    assert {path.name for path in folder.iterdir()} - {prebuilt.STAMP} == stamp.files.keys() == {
        "libstable-diffusion.so", "libggml.so", "libggml-base.so", "libggml-cpu-x64.so", "libgomp.so.1",
    }  # fmt: skip
    assert prebuilt.find_misfit(stamp) is None
    assert prebuilt.find_damage(folder, stamp) is None
    assert {"-DGGML_LLAMAFILE=ON", "-DGGML_BACKEND_DL=ON", "-DSD_VULKAN=OFF"} <= {*stamp.flags}
    assert stamp.backends == ("CPU",)
    licences = {path.name for path in folder.parent.glob("LICENSE*")}
    assert licences == {"LICENSE.stable-diffusion.cpp", "LICENSE.ggml"}
    library = ctypes.CDLL(str(folder / "libstable-diffusion.so"))  # and finds ggml beside itself
    assert library.answers() == 1 + 8
    assert library.ggml_cpu_has_llamafile() == 1
    assert not hasattr(library, "ggml_cpu_has_avx2")  # hidden: modules have functions of that name
