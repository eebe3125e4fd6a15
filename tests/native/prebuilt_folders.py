"""Folders and wheels that look like those of sdcpp-rest-native. Nothing in them can be loaded."""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from pathlib import Path
from typing import Any

from sdcpp_rest.native import prebuilt

FILES = {"libstable-diffusion.so": b"the engine", "libggml.so": b"ggml", "libggml-cpu-x64.so": b"a module"}


def stamp_of(**differences: Any) -> dict[str, Any]:
    return {
        "version": prebuilt.ENGINE_VERSION,
        "system": platform.system(),
        "machine": platform.machine(),
        "compiler": "GNU 12.2.0",
        "backends": ["CPU", "Vulkan"],
        "flags": ["-DGGML_LLAMAFILE=ON"],
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
        **differences,
    }


def make_folder(folder: Path, **differences: Any) -> Path:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / prebuilt.STAMP).write_text(json.dumps(stamp_of(**differences)))
    return folder


def make_wheel(folder: Path, **differences: Any) -> Path:
    path = folder / f"sdcpp_rest_native-{prebuilt.ENGINE_VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"{prebuilt.PACKAGE}/lib/{name}", content)
        archive.writestr(f"{prebuilt.PACKAGE}/lib/{prebuilt.STAMP}", json.dumps(stamp_of(**differences)))
    return path
