"""What `make setup` does first, and what it hands on, tried with a made-up Python in a folder with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cases import for_each_case

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, and with a Python that notes its arguments, makes environments of itself, and finds
    the toolchain wanting where a file says so."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    native = ("sdcpp_rest/native/guard.cpp", "sdcpp_rest/native/imported_calls.h", "docs/site/requirements.lock")
    for name in ("requirements.lock", "pyproject.toml", "CMakeLists.txt", *native):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'echo "$@" >> calls\n'
        'case "$*" in\n'
        '  *toolchain*) if [ -e wanting ]; then echo "error: no glslc" >&2; exit 1; fi;;\n'
        '  "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";;\n'
        "  *sphinx*) mkdir -p build/site-new; echo new > build/site-new/index.html;;\n"
        "  *site_check*) if [ -e wanting ]; then exit 1; fi;;\n"
        "esac\n"
    )
    python.chmod(0o755)
    return tmp_path


def run_make(folder: Path, *arguments: str, **variables: str) -> tuple[int, list[str], str]:
    """The exit code, Python's arguments call by call, and what was said."""
    (folder / "calls").unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in ("BACKEND", "MAKEFLAGS", "MAKELEVEL")}
    command = ["make", f"PYTHON={folder}/python", *arguments]
    ran = subprocess.run(command, cwd=folder, env={**kept, **variables}, capture_output=True, text=True)
    calls = (folder / "calls").read_text().splitlines()
    return ran.returncode, [call for call in calls if not call.startswith("-c ")], ran.stdout + ran.stderr


def test_toolchain_is_looked_at_before_anything_is_made(checkout: Path) -> None:
    (checkout / "wanting").touch()
    code, calls, said = run_make(checkout, "setup", "BACKEND=vulkan")
    assert code != 0
    assert calls == ["-m sdcpp_rest.native.toolchain --backend vulkan"]
    assert "error: no glslc" in said
    assert not (checkout / ".venv").exists()
    # Also where an earlier try was broken off in between.
    (checkout / "wanting").unlink()
    run_make(checkout, "setup")
    (checkout / ".venv/.stamps/requirements").unlink()
    (checkout / "wanting").touch()
    assert run_make(checkout, "setup")[1] == ["-m sdcpp_rest.native.toolchain"]


def test_backend_goes_to_the_look_and_to_the_build(checkout: Path) -> None:
    code, calls, _ = run_make(checkout, "setup", FETCH_HEADERS="1", BACKEND="cuda")
    assert code == 0
    assert calls[0] == "-m sdcpp_rest.native.toolchain --backend cuda --fetch-headers"
    assert calls[-1] == "-m sdcpp_rest.native.build --if-needed --backend cuda --fetch-headers"


@for_each_case(
    "stamp", ["stable_diffusion_cpp/lib/sdcpp-rest-build.json", "sdcpp_rest_native/lib/sdcpp-rest-native.json"]
)
def test_library_that_is_there_is_left_to_its_build(checkout: Path, stamp: str) -> None:
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    run_make(checkout, "setup")
    path = checkout / ".venv/lib/python3.12/site-packages" / stamp
    path.parent.mkdir(parents=True)
    path.touch()
    (checkout / "wanting").touch()
    code, calls, _ = run_make(checkout, "setup")
    (checkout / "wanting").unlink()
    assert code == 0
    assert calls == ["-m sdcpp_rest.native.build --if-needed"]


def test_site_needs_neither_the_server_nor_a_compiler_and_installs_its_tools_once(checkout: Path) -> None:
    code, calls, _ = run_make(checkout, "site")
    assert code == 0
    assert calls[0] == "-m venv .venv/site"
    assert calls[1].endswith("--require-hashes --no-deps -r docs/site/requirements.lock")
    assert calls[2].startswith("-m sphinx -q -E -W --keep-going ")
    assert calls[3].startswith("tools/site_check.py ")
    assert len(calls) == 4
    assert len(run_make(checkout, "site")[1]) == 2


def test_site_that_is_not_in_order_does_not_take_the_place_of_the_last_one(checkout: Path) -> None:
    (checkout / "build/site").mkdir(parents=True)
    (checkout / "build/site/index.html").write_text("old")
    (checkout / "wanting").touch()
    assert run_make(checkout, "site")[0] != 0
    assert (checkout / "build/site/index.html").read_text() == "old"
    (checkout / "wanting").unlink()
    assert run_make(checkout, "site")[0] == 0
    assert (checkout / "build/site/index.html").read_text() == "new\n"
