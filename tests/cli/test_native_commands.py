"""``sdcpp-rest native install`` and ``tune`` as a user types them. pip, compiler and engine are pretended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sdcpp_rest.cli import tune_command
from sdcpp_rest.native import build, prebuilt, prebuilt_install, tuning
from sdcpp_rest.native.build import BuildError
from sdcpp_rest.native.prebuilt import PrebuiltError, Stamp
from sdcpp_rest.native.tuning import Candidate, Trial
from tests.cases import for_each_case
from tests.cli.conftest import Run

STAMP = Stamp("0.4.7", "Linux", "x86_64", "GNU 12", ("CPU", "Vulkan"), ("-DA=1",), {})


def test_installing_says_what_it_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, str | None]] = []

    def install(source: str | None, sha256: str | None, log: Callable[[str], None]) -> Stamp:
        asked.append((source, sha256))
        log("looking for it")
        return STAMP

    monkeypatch.setattr(prebuilt_install, "install", install)
    assert run("native", "install", "--from", "wheels", "--sha256", "ab").stdout == "looking for it\n"
    told = run("native", "install", "--json")
    assert told.stderr == "looking for it\n"
    assert json.loads(told.stdout)["backends"] == ["CPU", "Vulkan"]
    assert asked == [("wheels", "ab"), (None, None)]


@for_each_case("error", [PrebuiltError("the wheel is another one"), BuildError("pip failed")])
def test_installing_that_fails_is_told_in_words(run: Run, monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    def install(*_: object, **__: object) -> Stamp:
        raise error

    monkeypatch.setattr(prebuilt_install, "install", install)
    result = run("native", "install")
    assert (result.exit_code, result.stderr) == (1, f"Error: {error}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Seconds per picture of each library by its name. What was installed is kept under ``installed``."""
    seconds = {"libstable-diffusion.so": 1.0, "native": 0.5, "portable": 0.8}
    library = tmp_path / "lib" / "libstable-diffusion.so"
    library.parent.mkdir()
    library.touch()
    monkeypatch.delenv(prebuilt.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: library.parent)
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
    monkeypatch.setattr(build, "flagged_backends", lambda: ())

    def make(candidate: Candidate, scratch: Path, log: object) -> Trial:
        if candidate.name not in seconds:
            raise BuildError("it cannot be compiled")
        return Trial(candidate, library=scratch / candidate.name)

    def draw(threads: int | None, steps: int) -> Sequence[float]:
        import os

        return [seconds[Path(os.environ[prebuilt.VARIABLE]).name] * steps]

    monkeypatch.setattr(tuning, "make_trial", make)
    monkeypatch.setattr(tune_command, "_draw", draw)
    monkeypatch.setattr(tuning, "install_trial", lambda trial: seconds.update(installed=seconds[trial.candidate.name]))
    return seconds


def test_tuning_tells_a_table_and_installs_the_fastest(run: Run, machine: dict[str, float]) -> None:
    told = run("native", "tune", "--tries", "3", "--rounds", "1", "--steps", "2").stdout
    assert "native           1.000 s per picture   0.50   (installed now)" in told
    assert "portable         1.600 s per picture   0.80\n" in told
    assert "all-native    failed: it cannot be compiled" in told
    assert machine["installed"] == 0.5


def test_tuning_that_finds_nothing_better_changes_nothing(run: Run, machine: dict[str, float]) -> None:
    machine["native"] = 0.99
    told = run("native", "tune", "--only", "native", "--rounds", "1")
    assert told.stdout.endswith("what was installed stays: nothing is faster in every round, and by 3 %\n")
    assert "installed" not in machine
    as_json = json.loads(run("native", "tune", "--only", "native", "--rounds", "1", "--steps", "1", "--json").stdout)
    assert as_json["installed"] is None
    assert as_json["measured"][1] == {"name": "native", "seconds_per_picture": [0.99], "failure": None}


def test_dry_run_says_what_would_be_tried(run: Run, machine: dict[str, float]) -> None:
    told = run("native", "tune", "--dry-run").stdout
    assert "portable      for any processor with AVX2 (-DGGML_NATIVE=OFF)\n" in told
    assert "prebuilt" not in told
    assert json.loads(run("native", "tune", "--dry-run", "--tries", "1", "--json").stdout)[0]["name"] == "native"
    assert "installed" not in machine


@for_each_case(
    ("arguments", "code", "sentence"),
    [
        (["--only", "fast"], 1, "there are no flags named 'fast'; allowed: native, "),
        (["--only", "prebuilt"], 1, "sdcpp-rest-native is not installed"),
        (["--tries", "0"], 2, "Invalid value for '--tries'"),
        (["--rounds", "x"], 2, "Invalid value for '--rounds'"),
        (["--threads", "-1"], 2, "Invalid value for '--threads'"),
    ],
)
def test_bad_arguments_are_refused(
    run: Run, machine: dict[str, float], arguments: list[str], code: int, sentence: str
) -> None:
    result = run("native", "tune", *arguments)
    assert result.exit_code == code
    assert sentence in result.stderr
    assert "installed" not in machine
