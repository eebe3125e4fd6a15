"""Installing the engine that comes compiled: a pretended pip, wheels whose libraries cannot be loaded."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.native import prebuilt, prebuilt_install
from sdcpp_rest.native.build import BuildError
from sdcpp_rest.native.prebuilt import PrebuiltError
from tests.cases import for_each_case
from tests.native.prebuilt_folders import make_wheel


class Pip:
    """Fetches ``wheel`` whatever it is asked for, and notes what it is asked for."""

    def __init__(self) -> None:
        self.wheel: Path | None = None
        self.calls: list[list[str]] = []

    def __call__(self, arguments: Sequence[str], what: str) -> None:
        self.calls.append([*arguments])
        if arguments[0] == "download" and self.wheel is not None:
            shutil.copy(self.wheel, arguments[arguments.index("--dest") + 1])

    def installed(self) -> list[str]:
        return [Path(call[-1]).name for call in self.calls if call[0] == "install"]


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    pretended = Pip()
    monkeypatch.setattr(prebuilt_install, "run_pip", pretended)
    monkeypatch.setattr(prebuilt_install, "_try", lambda library: None if library.is_file() else "not there")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    return pretended


def test_wheel_is_installed_and_becomes_the_library_of_choice(pip: Pip, tmp_path: Path) -> None:
    pip.wheel = make_wheel(tmp_path)
    digest = hashlib.sha256(pip.wheel.read_bytes()).hexdigest()
    said: list[str] = []
    stamp = prebuilt_install.install(str(tmp_path), digest.upper(), said.append)
    assert stamp.backends == ("CPU", "Vulkan")
    assert pip.installed() == [pip.wheel.name]
    assert prebuilt.read_wish() == "prebuilt"
    assert digest in said[1]
    assert said[-1] == "sdcpp-rest-native 0.4.7 is installed, and engines that start from now on use it"


@for_each_case(
    ("source", "asked"),
    [
        (None, ["sdcpp-rest-native==0.4.7.*"]),
        (".", ["--no-index", "--find-links", "{here}", "sdcpp-rest-native==0.4.7.*"]),
        ("https://x.org/wheels", ["--no-index", "--find-links", "https://x.org/wheels", "sdcpp-rest-native==0.4.7.*"]),
        ("https://example.org/a.whl", ["https://example.org/a.whl"]),
    ],
)  # fmt: skip
def test_wheel_comes_from_where_it_is_asked_for(
    pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, asked: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pip.calls.clear()
    pip.wheel = make_wheel(tmp_path)
    prebuilt_install.install(source, log=lambda line: None)
    expected = [word.format(here=tmp_path.resolve()) for word in asked]
    assert pip.calls[0][-len(expected) :] == expected
    assert "--only-binary" in pip.calls[0]


@for_each_case(
    ("differences", "sentence"),
    [
        ({"version": "0.4.6"}, "holds the engine of 0.4.6"),
        ({"machine": "riscv64"}, "was built for"),
        ({"files": {"libggml.so": "00"}}, "libggml.so of sdcpp-rest-native is not the file that was built"),
        ({"files": {"libggml-base.so": "00"}}, "libggml-base.so of sdcpp-rest-native is missing"),
        ({"files": None}, "has no readable sdcpp-rest-native.json"),
    ],
)
def test_wheel_that_is_not_right_is_not_installed(
    pip: Pip, tmp_path: Path, differences: dict[str, Any], sentence: str
) -> None:
    pip.wheel = make_wheel(tmp_path, **differences)
    with pytest.raises(PrebuiltError, match=sentence):
        prebuilt_install.install(str(tmp_path), log=lambda line: None)
    assert pip.installed() == []
    assert prebuilt.read_wish() is None


def test_wheel_with_another_sum_is_not_installed(pip: Pip, tmp_path: Path) -> None:
    pip.wheel = make_wheel(tmp_path)
    with pytest.raises(PrebuiltError, match=r"has the sha256 [0-9a-f]{64}, not abc: nothing was installed"):
        prebuilt_install.install(str(tmp_path), "abc", log=lambda line: None)
    assert pip.installed() == []


def test_engine_that_does_not_load_is_not_installed(pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip.wheel = make_wheel(tmp_path)
    monkeypatch.setattr(prebuilt_install, "_try", lambda library: "GLIBC_2.99 not found")
    with pytest.raises(PrebuiltError, match=r"cannot be used here, and nothing was installed: GLIBC_2.99 not found"):
        prebuilt_install.install(str(tmp_path), log=lambda line: None)
    assert pip.installed() == []


def _leave_nothing(folder: Path) -> Path | None:
    return None


def _leave_another(folder: Path) -> Path:
    path = folder / "numpy-2.0-py3-none-any.whl"
    path.write_bytes(b"")
    return path


def _leave_no_archive(folder: Path) -> Path:
    path = folder / "sdcpp_rest_native-0.4.7-py3-none-any.whl"
    path.write_bytes(b"not an archive")
    return path


@for_each_case(
    ("leave", "sentence"),
    [
        (_leave_nothing, "is no wheel of sdcpp-rest-native"),
        (_leave_another, "is no wheel of sdcpp-rest-native"),
        (_leave_no_archive, "cannot be unpacked"),
    ],
)
def test_what_is_no_wheel_of_the_engine_is_refused(
    pip: Pip, tmp_path: Path, leave: Callable[[Path], Path | None], sentence: str
) -> None:
    pip.wheel = leave(tmp_path)
    with pytest.raises(PrebuiltError, match=sentence):
        prebuilt_install.install("https://example.org/x.whl", log=lambda line: None)


def test_place_that_is_not_there_is_told_before_pip_is_asked(pip: Pip, tmp_path: Path) -> None:
    with pytest.raises(PrebuiltError, match=r"there is no .*nowhere: name a wheel, or a folder or page of wheels"):
        prebuilt_install.install(str(tmp_path / "nowhere"), log=lambda line: None)
    assert pip.calls == []


def test_nothing_is_chosen_where_pip_fails(pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(arguments: Sequence[str], what: str) -> None:
        raise BuildError(f"{what} failed")

    monkeypatch.setattr(prebuilt_install, "run_pip", refuse)
    with pytest.raises(
        BuildError, match=r"fetching sdcpp-rest-native 0.4.7 for this platform from the package index failed"
    ):
        prebuilt_install.install(log=lambda line: None)
    assert prebuilt.read_wish() is None


@pytest.mark.slow
def test_trial_of_an_engine_that_cannot_be_loaded_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libstable-diffusion.so"
    library.write_bytes(b"no library")
    assert "Failed to load shared library" in (prebuilt_install._try(library) or "")
