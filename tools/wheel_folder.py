"""Makes a folder of wheels from which sdcpp-rest is installed without a compiler: ``python -m tools.wheel_folder DIR``.

Three wheels: sdcpp-rest itself, the engine (``native_package/``), and the binding without a library in it. Needs a
compiler. Other dependencies come from PyPI.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sdcpp_rest.native.build import fetch_source, isolation

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the wheels; pip's own words say what goes wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.wheel_folder", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "-C", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="for the engine's build"
    )
    options = parser.parse_args(arguments)
    source = fetch_source()
    # A library that a build left in the source does not belong into the binding's wheel.
    _build_wheel(source, options.folder, ["wheel.cmake=false", "wheel.exclude=stable_diffusion_cpp/lib/**"])
    _build_wheel(ROOT / "native_package", options.folder, options.settings)
    _build_wheel(ROOT, options.folder, [])


def _build_wheel(project: Path, folder: Path, settings: Sequence[str]) -> None:
    options = [word for setting in settings for word in ("-C", setting)]
    with tempfile.TemporaryDirectory() as scratch:
        where = [] if any(setting.startswith("build-dir=") for setting in settings) else ["-C", f"build-dir={scratch}"]
        # No cache: pip would offer the binding without a library to whoever installs that one next.
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", *isolation(), *options, *where]
        subprocess.run([*command, "--wheel-dir", str(folder), str(project)], check=True)


if __name__ == "__main__":
    main()
