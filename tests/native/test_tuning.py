"""Trying build flags: what is tried, what the figures decide, and that a machine is never left without its library. The
compiler and the measuring are pretended."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from sdcpp_rest.native import build, prebuilt, tuning
from sdcpp_rest.native.build import BuildError
from sdcpp_rest.native.tuning import INSTALLED, Candidate, Trial
from tests.cases import for_each_case

NATIVE, PORTABLE = (next(one for one in tuning.CANDIDATES if one.name == name) for name in ("native", "portable"))


@pytest.fixture
def binding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``lib`` of an installed binding, which sdcpp-rest compiled; sdcpp-rest-native is not installed."""
    folder = tmp_path / "stable_diffusion_cpp" / "lib"
    folder.mkdir(parents=True)
    (folder / "libstable-diffusion.so").write_bytes(b"the old one")
    (folder / build.STAMP_NAME).write_text('{"flags": []}')
    monkeypatch.delenv(prebuilt.VARIABLE, raising=False)
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: folder)
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
    monkeypatch.setattr(build, "_compiler", lambda: "c++ 12.2.0")
    return folder


def trial(candidate: Candidate, *seconds: float, failure: str = "") -> Trial:
    return Trial(candidate, [*seconds], failure)


# --- what is tried ----------------------------------------------------------------------------------------------------


def test_prebuilt_engine_is_tried_where_it_is_installed(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [one.name for one in tuning.CANDIDATES]
    assert [one.name for one in tuning.list_candidates((), None)] == [name for name in every if name != "prebuilt"]
    monkeypatch.setattr(prebuilt, "package_folder", lambda: tmp_path)
    assert [one.name for one in tuning.list_candidates((), None)] == every
    assert [one.name for one in tuning.list_candidates((), 2)] == every[:2]
    assert [one.name for one in tuning.list_candidates(("lto", "native"), None)] == ["lto", "native"]


@for_each_case(
    ("name", "sentence"),
    [
        ("fast", "there are no flags named 'fast'; allowed: native, prebuilt, "),
        ("prebuilt", "sdcpp-rest-native is not installed: run `sdcpp-rest native install` first"),
    ],
)
def test_flags_that_are_not_there_are_refused(binding: Path, name: str, sentence: str) -> None:
    with pytest.raises(BuildError, match=sentence):
        tuning.list_candidates((name,), None)


def test_nothing_is_tuned_where_it_would_change_nothing(binding: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuning.find_installed() == binding / "libstable-diffusion.so"
    monkeypatch.setattr(build, "flagged_backends", lambda: ("CUDA",))
    with pytest.raises(BuildError, match="was built for CUDA: the processor's flags matter little"):
        tuning.find_installed()
    monkeypatch.setenv(prebuilt.VARIABLE, "/x/libstable-diffusion.so")
    with pytest.raises(BuildError, match="STABLE_DIFFUSION_CPP_LIB names the library that is used: unset it first"):
        tuning.find_installed()


def test_candidate_is_compiled_with_its_flags_after_all_others_and_unpacked(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=ON")
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("stable_diffusion_cpp/lib/libstable-diffusion.so", b"a new one")
    recipes = []
    monkeypatch.setattr(build, "make_wheel", lambda recipe, log: recipes.append(recipe) or wheel)
    made = tuning.make_trial(PORTABLE, tmp_path / "scratch", print)
    assert made.library is not None
    assert made.library.read_bytes() == b"a new one"
    assert recipes[0].flags == ("-DGGML_LLAMAFILE=ON", "-DGGML_NATIVE=ON", "-DGGML_NATIVE=OFF")
    wheel.write_bytes(b"no archive")
    with pytest.raises(BuildError, match=r"cannot be unpacked \(.*\): delete it"):
        tuning.make_trial(PORTABLE, tmp_path / "scratch", print)


def test_prebuilt_engine_is_measured_where_it_lies(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = next(one for one in tuning.CANDIDATES if one.flags is None)
    with pytest.raises(BuildError, match="is not installed"):
        tuning.make_trial(ready, tmp_path, print)
    monkeypatch.setattr(prebuilt, "package_folder", lambda: tmp_path)
    assert tuning.make_trial(ready, tmp_path / "scratch", print).library == prebuilt.library_file(tmp_path)


# --- measuring --------------------------------------------------------------------------------------------------------


def test_candidates_are_measured_in_turns(tmp_path: Path) -> None:
    measured = []

    def measure(library: Path) -> Sequence[float]:
        measured.append(library.name)
        return [3.0, 1.0, 2.0]

    trials = tuning.try_all(
        tmp_path / "old",
        [NATIVE, PORTABLE],
        lambda candidate: Trial(candidate, library=tmp_path / candidate.name),
        measure,
        2,
        lambda line: None,
    )
    assert measured == ["old", "native", "portable"] * 2
    assert [one.seconds for one in trials] == [[2.0, 2.0]] * 3


def test_candidate_that_fails_stops_no_other(tmp_path: Path) -> None:
    def make(candidate: Candidate) -> Trial:
        if candidate is NATIVE:
            raise BuildError("compiling failed\nwith many lines")
        return Trial(candidate, library=tmp_path / candidate.name)

    def measure(library: Path) -> Sequence[float]:
        if library.name == "portable":
            raise RuntimeError("signal SIGILL\nmore")
        return [1.0]

    others = next(one for one in tuning.CANDIDATES if one.name == "lto")
    trials = tuning.try_all(None, [NATIVE, PORTABLE, others], make, measure, 2, lambda line: None)
    assert [one.failure for one in trials] == ["compiling failed", "signal SIGILL", ""]
    assert [one.seconds for one in trials] == [[], [], [1.0, 1.0]]
    assert tuning.choose_best(trials) is trials[2]


@for_each_case(
    ("trials", "chosen"),
    [
        ([trial(INSTALLED, 1.0), trial(NATIVE, 0.9), trial(PORTABLE, 0.95)], "native"),
        ([trial(INSTALLED, 1.0), trial(NATIVE, 0.98)], None),  # so much runs of one build differ
        ([trial(INSTALLED, 1.0, 3.0), trial(NATIVE, 0.9, 2.0)], "native"),  # somebody else was busy in round 2
        ([trial(INSTALLED, 1.0, 1.0), trial(NATIVE, 3.0, 0.5)], None),  # or all the time
        ([trial(INSTALLED, failure="it does not draw"), trial(NATIVE, 9.0)], "native"),
        ([trial(NATIVE, 2.0), trial(PORTABLE, failure="no compiler")], "native"),
        ([trial(NATIVE, failure="no compiler")], None),
        ([], None),
    ],
)
def test_only_what_is_clearly_faster_replaces_what_is_installed(trials: list[Trial], chosen: str | None) -> None:
    best = tuning.choose_best(trials)
    assert (best.candidate.name if best else None) == chosen


def test_engines_load_the_library_that_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(prebuilt.VARIABLE, raising=False)
    with tuning.library_named(Path("/a")):
        with tuning.library_named(Path("/b")):
            assert os.environ[prebuilt.VARIABLE] == "/b"
        assert os.environ[prebuilt.VARIABLE] == "/a"
    assert prebuilt.VARIABLE not in os.environ


# --- installing -------------------------------------------------------------------------------------------------------


def test_fastest_build_is_installed(binding: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(build, "install_wheel", lambda *arguments: calls.append(arguments))
    recipe = build.current_recipe()
    tuning.install_trial(Trial(NATIVE, recipe=recipe, wheel=Path("/x.whl")))
    assert calls == [(recipe, Path("/x.whl"), ())]
    tuning.install_trial(Trial(Candidate("prebuilt", None, ""), library=Path("/y")))
    assert prebuilt.read_wish() == "prebuilt"


def test_tuned_library_stays_at_the_next_setup_and_the_next_tuning_begins_without_its_flags(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (binding / build.STAMP_NAME).write_text('{"flags": ["-DX=1"], "set_aside": ["-DGGML_CUDA_F16=ON"]}')
    wheel = tmp_path / "x.whl"
    zipfile.ZipFile(wheel, "w").close()
    monkeypatch.setattr(build, "make_wheel", lambda recipe, log: wheel)
    monkeypatch.setattr(build, "run_pip", lambda *_: (binding / "libstable-diffusion.so").write_bytes(b"tuned"))
    tuning.install_trial(tuning.make_trial(PORTABLE, tmp_path / "first", print))
    assert build.current_recipe().flags == ("-DGGML_LLAMAFILE=ON", "-DX=1", "-DGGML_NATIVE=OFF")
    assert build.reason_to_build() is None
    assert build.set_aside_flags() == ("-DGGML_CUDA_F16=ON",)
    assert prebuilt.read_wish() == "compiled"
    again = tuning.make_trial(NATIVE, tmp_path / "second", print)
    assert again.recipe is not None
    assert again.recipe.flags == ("-DGGML_LLAMAFILE=ON", "-DX=1")


@pytest.fixture(params=[BuildError("pip failed"), KeyboardInterrupt()], ids=["failure", "ctrl-c"])
def interrupted(request: pytest.FixtureRequest, binding: Path, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """Installing replaces half of the library, and ends."""

    def install(*_: object) -> None:
        (binding / "libstable-diffusion.so").write_bytes(b"half of the new")
        (binding / "more.so").touch()
        (binding / build.STAMP_NAME).unlink()
        prebuilt.write_wish("compiled")
        raise request.param

    monkeypatch.setattr(build, "install_wheel", install)
    return request.param


def test_library_is_put_back_where_installing_fails(binding: Path, interrupted: BaseException) -> None:
    prebuilt.write_wish("prebuilt")
    with pytest.raises(type(interrupted)):
        tuning.install_trial(Trial(NATIVE, recipe=build.current_recipe(), wheel=Path("/x.whl")))
    found = {path.name: path.read_bytes() for path in binding.iterdir()}
    assert found == {"libstable-diffusion.so": b"the old one", build.STAMP_NAME: b'{"flags": []}'}
    assert prebuilt.read_wish() == "prebuilt"


def test_interrupted_measuring_has_changed_nothing(binding: Path) -> None:
    def measure(library: Path) -> Sequence[float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning.try_all(tuning.find_installed(), [NATIVE], Trial, measure, 1, print)
    assert (binding / "libstable-diffusion.so").read_bytes() == b"the old one"
    assert prebuilt.read_wish() is None
