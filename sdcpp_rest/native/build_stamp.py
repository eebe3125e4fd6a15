"""Reads what the installed native library was built from: the stamp that a build leaves beside it.

Imports little and loads nothing native: the server looks, too.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from sdcpp_rest.native.build_flags import ggml_backends

STAMP_NAME = "sdcpp-rest-build.json"


def installed_folder(package: str = "stable_diffusion_cpp") -> Path | None:
    """``lib`` inside the installed binding, or inside another package; None where there is none. Nothing is imported:
    that would load the library."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "lib"
    return folder if folder.is_dir() else None


def read_stamp(folder: Path | None) -> dict[str, Any]:
    """The stamp of the library in ``folder``; empty where there is none that can be read."""
    try:
        stamp = json.loads((folder / STAMP_NAME).read_text()) if folder is not None else {}
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def read_flags(folder: Path | None, key: str = "flags") -> list[str] | None:
    """The flags of that stamp, or another list of its texts; ``None`` where it has none."""
    flags = read_stamp(folder).get(key)
    return list(flags) if isinstance(flags, list) and all(isinstance(flag, str) for flag in flags) else None


def stamped_backends(folder: Path | None) -> tuple[str, ...]:
    """The GPU backends that the library in ``folder`` was built for, as ggml calls them, by its flags."""
    return ggml_backends(read_flags(folder) or ())
