"""Who builds a release from the same commit gets the same bytes, and what it consists of is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tools import release, sbom
from tools.release import ROOT

_BUILD = """
import os, sys
from pathlib import Path
from tools.release import make_release
os.umask(int(sys.argv[3], 8))
make_release(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two builds, as two machines would make them."""
    folders = []
    for name, umask, zone, seed in (("one", "022", "UTC", "1"), ("the other", "077", "Asia/Tokyo", "2")):
        base = tmp_path_factory.mktemp("machine")
        page = base / "page"
        page.mkdir()
        (page / "index.html").write_text("<!doctype html><title>page</title>")
        os.utime(page / "index.html", (int(seed), int(seed)))
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "TMPDIR": str(base), "LC_ALL": "C"}
        environment.pop("SOURCE_DATE_EPOCH", None)
        command = [sys.executable, "-c", _BUILD, str(base / name), str(page), umask]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        folders.append(base / name)
    return folders


@pytest.mark.slow
def test_two_machines_build_the_same_bytes(builds: list[Path]) -> None:
    sums = [(folder / "SHA256SUMS").read_text() for folder in builds]
    assert sums[0] == sums[1]
    assert [line.split(".")[-1] for line in sums[0].splitlines()] == ["whl", "gz"]
    for line in sums[0].splitlines():
        digest, name = line.split()
        assert (builds[0] / name).stat().st_size > 100_000
        assert len(digest) == 64


@pytest.mark.slow
def test_a_wheel_says_what_it_consists_of(builds: list[Path]) -> None:
    (wheel,) = builds[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (place,) = (name for name in archive.namelist() if name.endswith("dist-info/sboms/sdcpp-rest.cdx.json"))
        told = json.loads(archive.read(place))
        assert "sdcpp_rest/webui_dist/index.html" in archive.namelist()
        assert not [name for name in archive.namelist() if "tests/" in name or name.endswith((".cpp", ".pyc"))]
    assert told == json.loads(sbom.make_sbom())
    (sdist,) = builds[0].glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames()}
    assert {"sbom.cdx.json", "requirements.lock", "sdcpp_rest/webui_dist/index.html"} <= names
    assert not [name for name in names if name.startswith(("tests/", "webui/", ".github/"))]


@pytest.mark.slow
def test_what_is_uninstalled_leaves_nothing(builds: list[Path], tmp_path: Path) -> None:
    """But the folders with what is the user's."""
    (wheel,) = builds[0].glob("*.whl")
    home, environment = tmp_path / "home", tmp_path / "environment"
    home.mkdir()
    venv.create(environment, symlinks=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    # What it needs comes from the environment of the tests; itself, from the wheel.
    (own / "shared.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PYTHON"))}

    def run(*command: str) -> str:
        # pip asks compilers for their versions, which make folders of their own in a home that is new.
        variables["HOME"] = str(tmp_path if "pip" in command else home)
        told = subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        return told.stdout

    before = list_files(environment)
    run(*pip, "install", "--no-index", "--no-deps", "--ignore-installed", str(wheel))
    where = run(str(python), "-c", "import sdcpp_rest; print(sdcpp_rest.__file__)").strip()
    assert Path(where).is_relative_to(own)
    picture = home / "circle.png"
    run(str(python), "-m", "sdcpp_rest", "generate", "a red circle", "-o", str(picture), "--set", "engine.n_threads=1")
    picture.unlink()
    run(*pip, "uninstall", "--yes", "sdcpp-rest")
    assert list_files(environment) - before == set()
    assert {"/".join(path.split("/")[:3]) for path in list_files(home)} <= {".local/share/sdcpp-rest"}


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_changes_that_no_commit_has_are_not_released(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(release, "_git", lambda *arguments: " M README.md")
    assert release.main([str(tmp_path / "dist")]) == 1
    assert "README.md" in capsys.readouterr().err
    assert not (tmp_path / "dist").exists()
