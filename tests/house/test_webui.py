"""The web page's picture of the API is the API; whatever is published carries the page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.house.test_scaffolding import ROOT, project, workflow
from tools.webui.api_types import is_stale
from tools.webui.page import has_page


def test_the_pages_types_are_those_of_the_api() -> None:
    assert not is_stale(), "the native API has changed: run `make webui-types`"


def test_releases_build_the_page_first_and_fail_without_it() -> None:
    jobs = workflow("release.yml")["jobs"]
    for title in ("sdist", "wheels"):
        text = json.dumps(jobs[title]["steps"])
        built, made, looked = (
            text.index(word)
            for word in (
                "python -m tools.webui build",
                "python -m build --sdist" if title == "sdist" else "cibuildwheel@",
                "python -m tools.webui inside",
            )
        )
        assert built < made < looked, title
        assert "actions/setup-node@" in text
    assert "is_built" in json.dumps(jobs["install"])


def test_the_built_page_is_packed_although_git_ignores_it_and_its_sources_are_not() -> None:
    packing = project()["tool"]["scikit-build"]["sdist"]
    assert packing["include"] == ["sdcpp_rest/webui_dist"]
    assert {"webui", "tools"} <= set(packing["exclude"]), "who installs needs no Node"
    assert "sdcpp_rest/webui_dist/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "webui_dist/index.html" in (ROOT / "CMakeLists.txt").read_text(), "a wheel without it says so"


@pytest.mark.slow
def test_wheel_and_source_distribution_carry_the_page(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", "sbom.cdx.json", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "webui_dist", "*.so")
    for name in ("sdcpp_rest", "docs", "webui"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    for name in ("index.html", "assets/start-1a.js"):
        built = tmp_path / "sdcpp_rest" / "webui_dist" / name
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_text("built")
    build = "from scikit_build_core.build import *; build_sdist('dist'); build_wheel('dist')"
    ran = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    sdist, wheel = sorted((tmp_path / "dist").iterdir(), key=lambda path: path.suffix)
    assert has_page(sdist)
    assert has_page(wheel)
    with tarfile.open(sdist) as opened:
        assert not [name for name in opened.getnames() if name.split("/")[1:2] == ["webui"]], "no Node is needed there"
