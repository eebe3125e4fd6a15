"""The binding's ctypes structs against the C header they mirror, as a C compiler sees it.

A field at the wrong offset is not an error anywhere: it is a picture drawn with other parameters, or a crash.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.native import build
from sdcpp_rest.native.library import Library

pytestmark = pytest.mark.native

STRUCTS = (
    "sd_tiling_params_t",
    "sd_embedding_t",
    "sd_ctx_params_t",
    "sd_image_t",
    "sd_slg_params_t",
    "sd_guidance_params_t",
    "sd_sample_params_t",
    "sd_pm_params_t",
    "sd_cache_params_t",
    "sd_lora_t",
    "sd_hires_params_t",
    "sd_img_gen_params_t",
    "sd_vid_gen_params_t",
)
ENUMS = {
    "rng_type_t": "RNGType",
    "sample_method_t": "SampleMethod",
    "scheduler_t": "Scheduler",
    "prediction_t": "Prediction",
    "sd_type_t": "GGMLType",
    "preview_t": "Preview",
    "lora_apply_mode_t": "LoraApplyMode",
    "sd_cache_mode_t": "SDCacheMode",
    "sd_hires_upscaler_t": "SDHiresUpscaler",
}


@pytest.fixture(scope="module")
def header() -> Path:
    return build.fetch_source() / "vendor/stable-diffusion.cpp/include/stable-diffusion.h"


@pytest.fixture(scope="module")
def declared(header: Path) -> dict[str, list[str]]:
    """Field names of every struct, read from the header itself: a field that ctypes lacks must not go unseen."""
    text = re.sub(r"//[^\n]*", "", header.read_text())
    found = {}
    for body, name in re.findall(r"typedef struct \{(.*?)\}\s*(\w+);", text, re.DOTALL):
        found[name] = [declaration.split()[-1].lstrip("*") for declaration in body.split(";") if declaration.strip()]
    return found


@pytest.fixture(scope="module")
def probe(header: Path, declared: dict[str, list[str]], library: Library, tmp_path_factory: Any) -> dict[str, int]:
    """``sizeof``, ``offsetof`` and enum values as the C compiler computes them."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"NO C COMPILER ({compiler[0]}): the layout of the structs was NOT checked")
    lines = []
    for struct in STRUCTS:
        lines.append(f'printf("{struct} %zu\\n", sizeof({struct}));')
        for name in declared[struct]:
            lines.append(f'printf("{struct}.{name} %zu\\n", offsetof({struct}, {name}));')
            lines.append(f'printf("{struct}.{name}.size %zu\\n", sizeof((({struct}*)0)->{name}));')
    for mirror in ENUMS.values():
        lines += [f'printf("{member.name} %d\\n", (int){member.name});' for member in getattr(library.raw, mirror)]
    folder = tmp_path_factory.mktemp("probe")
    source = folder / "probe.c"
    source.write_text(
        f'#include <stdio.h>\n#include "{header}"\nint main(void) {{\n' + "\n".join(lines) + "\nreturn 0; }\n"
    )
    subprocess.run([*compiler, "-std=c11", str(source), "-o", str(folder / "probe")], check=True)
    output = subprocess.run([str(folder / "probe")], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def test_every_size_offset_and_value_matches_the_header(
    probe: dict[str, int], declared: dict[str, list[str]], library: Library
) -> None:
    mirrored: dict[str, int] = {}
    for name in STRUCTS:
        struct = getattr(library.raw, name)
        assert [field[0] for field in struct._fields_] == declared[name]
        mirrored[name] = ctypes.sizeof(struct)
        for field in struct._fields_:
            mirrored[f"{name}.{field[0]}"] = getattr(struct, field[0]).offset
            mirrored[f"{name}.{field[0]}.size"] = getattr(struct, field[0]).size
    for mirror in ENUMS.values():
        mirrored.update({member.name: int(member) for member in getattr(library.raw, mirror)})
    assert mirrored == probe
    assert len(probe) > 400, "the probe found too little to prove anything"


def test_every_enum_member_of_the_header_is_mirrored(header: Path, library: Library) -> None:
    text = re.sub(r"//[^\n]*", "", header.read_text())
    checked = 0
    for name, mirror in ENUMS.items():
        body = re.search(rf"enum {name} \{{(.*?)\}}", text, re.DOTALL)
        assert body, name
        members = [member.split("=")[0].strip() for member in body[1].split(",") if member.strip()]
        assert members == [member.name for member in getattr(library.raw, mirror)]
        checked += len(members)
    assert checked > 90


def test_every_function_we_call_is_in_the_header(header: Path) -> None:
    text = header.read_text()
    native = Path(build.__file__).parent
    prototypes = [
        re.sub(r"\s+", " ", line.strip().removeprefix("# "))
        for line in (native / "library.py").read_text().splitlines()
        if line.strip().startswith("# SD_API")
    ]
    flat = re.sub(r"\s+", " ", text)
    for prototype in prototypes:
        assert prototype in flat, prototype
    assert len(prototypes) >= 20


def test_images_of_the_guard_have_the_layout_of_the_library(library: Library) -> None:
    source = (Path(build.__file__).parent / "guard.cpp").read_text()
    struct = re.search(r"struct Image \{[^\n]*\n\s*uint32_t width, height, channel;\n\s*uint8_t\* pixels;\n\};", source)
    assert struct, "guard.cpp's Image changed: compare it with sd_image_t"
    assert [field[0] for field in library.raw.sd_image_t._fields_] == ["width", "height", "channel", "data"]
    assert library.raw.sd_image_t.data.offset == 16
    assert ctypes.sizeof(library.raw.sd_image_t) == 24


def test_the_registry_of_the_guard_has_the_layout_of_ggml(header: Path) -> None:
    ours = (Path(build.__file__).parent / "guard.cpp").read_text()
    theirs = (header.parent.parent / "ggml/src/ggml-backend-impl.h").read_text()
    version = re.search(r"#define GGML_BACKEND_API_VERSION (\d+)", theirs)
    assert version
    assert f"REGISTRY_VERSION = {version[1]};" in ours
    interface = re.search(r"struct ggml_backend_reg_i \{(.*?)\};", theirs, re.DOTALL)
    assert interface
    functions = ["get_name", "get_device_count", "get_device", "get_proc_address"]
    assert re.findall(r"\(\*(\w+)\)\(", interface[1]) == functions
    fields = r"\s*int api_version;[^\n]*\s*struct ggml_backend_reg_i iface;\s*void \* context;"
    assert re.search(rf"struct ggml_backend_reg \{{{fields}", theirs)
    struct = re.search(r"struct Registry \{(.*?)\};", ours, re.DOTALL)
    assert struct
    named = ["api_version", "name", "device_count", "device", "find", "context"]
    assert re.findall(r"\b(\w+)(?:;|\)\(Registry)", struct[1]) == named
