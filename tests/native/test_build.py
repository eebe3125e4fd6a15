"""When the native library counts as built, and from what. Nothing is compiled here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdcpp_rest.native import build


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the installed binding's, stamped as if it had just been built."""
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setattr(build, "_compiler", lambda: "c++ 12.2.0")
    monkeypatch.setattr(build, "_installed_folder", lambda: tmp_path)
    (tmp_path / "libstable-diffusion.so").write_bytes(b"machine code")
    build._write_stamp(build.current_recipe())
    return tmp_path


def test_fresh_build_is_not_built_again(installed: Path) -> None:
    assert build.reason_to_build() is None


def test_changed_flags_are_a_reason_to_build(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DSD_CUDA=ON")
    assert build.reason_to_build() == (
        "the native library's flags changed from -DGGML_LLAMAFILE=ON to -DGGML_LLAMAFILE=ON -DSD_CUDA=ON"
    )


def test_changed_compiler_is_a_reason_to_build(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_compiler", lambda: "c++ 14.0.0")
    assert build.reason_to_build() == "the native library's compiler changed from c++ 12.2.0 to c++ 14.0.0"


def test_library_that_was_replaced_is_a_reason_to_build(installed: Path) -> None:
    (installed / "libstable-diffusion.so").write_bytes(b"a stock build")
    assert build.reason_to_build() == "the native library was replaced after sdcpp-rest built it"


@pytest.mark.parametrize("stamp", [None, "", "not json", "[]"])
def test_library_without_a_readable_stamp_is_a_reason_to_build(installed: Path, stamp: str | None) -> None:
    path = installed / build.STAMP_NAME
    path.unlink()
    if stamp is not None:
        path.write_text(stamp)
    assert (
        build.reason_to_build()
        == "the native library was not built by sdcpp-rest; on CPUs a stock build takes about 1.7 times as long"
    )


def test_missing_library_is_a_reason_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_installed_folder", lambda: None)
    assert build.reason_to_build() == "the native library is not installed"


def test_machine_without_a_compiler_keeps_the_library_it_has(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise build.BuildError("no C++ compiler")

    monkeypatch.setattr(build, "_compiler", missing)
    assert build.reason_to_build() is None


def test_library_that_is_up_to_date_is_left_alone(installed: Path) -> None:
    said: list[str] = []
    build.build(log=said.append)
    assert said == ["native library 0.4.7 is up to date"]


def test_users_flags_come_after_ours_so_that_they_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_LLAMAFILE=OFF '-DCMAKE_CXX_FLAGS=-O2 -g'")
    assert build.current_recipe().flags == ("-DGGML_LLAMAFILE=ON", "-DGGML_LLAMAFILE=OFF", "-DCMAKE_CXX_FLAGS=-O2 -g")


def test_every_part_of_the_recipe_changes_the_key() -> None:
    recipe = build.Recipe("1", ("-DA=1",), "c++ 1", "cp311")
    others = [
        build.Recipe("2", ("-DA=1",), "c++ 1", "cp311"),
        build.Recipe("1", ("-DA=2",), "c++ 1", "cp311"),
        build.Recipe("1", ("-DA=1",), "c++ 2", "cp311"),
        build.Recipe("1", ("-DA=1",), "c++ 1", "cp312"),
    ]
    assert len({recipe.key, *(other.key for other in others)}) == 5


def test_missing_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.BuildError, match="apt-get install g\\+\\+"):
        build.current_recipe()


def test_installed_copy_keeps_the_source_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "__file__", str(tmp_path / "site-packages/sdcpp_rest/native/build.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache/sdcpp-rest"))
    assert build.source_home() == tmp_path / "cache/sdcpp-rest/vendor"


def test_silent_compiler_is_reported_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "HEARTBEAT_SECONDS", 0.0)
    said: list[str] = []
    command = ["/bin/sh", "-c", "echo '[3/53] c++ -c a.cpp'; echo '[ 40%] Building'; exit 7"]
    assert build._stream(command, {}, tmp_path / "build.log", said.append) == 7
    assert said[0].startswith("native library: 3/53, ")
    assert said[-1].startswith("native library: 40 %, ")
    assert "[3/53] c++ -c a.cpp" in (tmp_path / "build.log").read_text()


def test_failing_build_is_one_sentence_and_exit_code_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise build.BuildError("the disk is full")

    monkeypatch.setattr(build, "reason_to_build", lambda: "flags changed")
    monkeypatch.setattr(build, "build", fail)
    assert build.main(["--if-needed"]) == 1
    assert capsys.readouterr().err == "error: the disk is full\n"


def test_nothing_is_done_when_nothing_is_needed(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", lambda **_: pytest.fail("built without need"))
    assert build.main(["--if-needed"]) == 0


def test_stamp_names_all_that_went_into_the_library(installed: Path) -> None:
    stamp = json.loads((installed / build.STAMP_NAME).read_text())
    assert stamp["version"] == "0.4.7"
    assert stamp["flags"] == ["-DGGML_LLAMAFILE=ON"]
    assert stamp["compiler"] == "c++ 12.2.0"
    assert stamp["key"] == build.current_recipe().key


def test_flags_are_no_reason_to_build_where_none_are_given(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DSD_CUDA=ON")
    build._write_stamp(build.current_recipe())
    monkeypatch.delenv("CMAKE_ARGS")
    assert "flags changed" in (build.reason_to_build() or "")
    assert build.reason_to_build(whatever_flags=True) is None
    monkeypatch.setattr(build, "_compiler", lambda: "c++ 14.0.0")
    assert "compiler changed" in (build.reason_to_build(whatever_flags=True) or "")


@pytest.mark.parametrize(
    ("flags", "backends"),
    [
        ("", ()),
        ("-DSD_CUDA=ON", ("CUDA",)),
        ("-DSD_VULKAN=1 -DSD_HIPBLAS=on -DCMAKE_BUILD_TYPE=Release -G Ninja", ("ROCm", "Vulkan")),
        ("-DSD_CUDA=ON -DSD_CUDA=OFF", ()),
    ],
)
def test_backends_are_those_of_the_flags(
    installed: Path, monkeypatch: pytest.MonkeyPatch, flags: str, backends: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", flags)
    build._write_stamp(build.current_recipe())
    assert build.flagged_backends() == backends


@pytest.mark.parametrize("stamp", [None, "not json", "[]", '{"flags": 3}', '{"flags": [3]}'])
def test_no_backends_are_known_without_a_readable_stamp(installed: Path, stamp: str | None) -> None:
    path = installed / build.STAMP_NAME
    path.unlink()
    if stamp is not None:
        path.write_text(stamp)
    assert build.flagged_backends() == ()
