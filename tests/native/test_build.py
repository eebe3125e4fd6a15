"""When the native library counts as built, and from what. Nothing is compiled here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sdcpp_rest.native import build, prebuilt, toolchain, vulkan_headers
from sdcpp_rest.native.system_packages import Distribution
from sdcpp_rest.native.toolchain import Tools
from tests.cases import for_each_case


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the installed binding's, stamped as if it had just been built."""
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setattr(build, "_compiler", lambda: "c++ 12.2.0")
    monkeypatch.setattr(build, "_installed_folder", lambda: tmp_path)
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
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
    monkeypatch.setattr(prebuilt, "package_folder", lambda: None)
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
    monkeypatch.setattr(toolchain, "read_distribution", lambda root, system: Distribution("debian", "Debian"))
    with pytest.raises(build.BuildError, match="apt-get install g\\+\\+"):
        build.current_recipe()


def test_installed_copy_keeps_the_source_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "__file__", str(tmp_path / "site-packages/sdcpp_rest/native/build.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache/sdcpp-rest"))
    assert build.source_home() == tmp_path / "cache/sdcpp-rest/vendor"


def test_failing_build_is_one_sentence_and_exit_code_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise build.BuildError("the disk is full")

    monkeypatch.setattr(build, "reason_to_build", lambda backend: "flags changed")
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


@pytest.fixture
def cuda_build(installed: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The flags of an installed build for CUDA, in a shell without CMAKE_ARGS."""
    monkeypatch.setenv("CMAKE_ARGS", "-DSD_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=89")
    recipe = build.current_recipe()
    build._write_stamp(recipe)
    monkeypatch.delenv("CMAKE_ARGS")
    return recipe.flags


def test_flags_of_the_build_stay_where_none_are_given(
    cuda_build: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build.reason_to_build() is None
    assert build.reason_to_build("cuda") is None
    # It is compiled anew with the same flags when something else has changed.
    monkeypatch.setattr(build, "_compiler", lambda: "c++ 14.0.0")
    assert "compiler changed" in (build.reason_to_build() or "")
    assert build.current_recipe().flags == cuda_build
    monkeypatch.setattr(build, "VERSION", "0.5.0")
    assert "version changed from 0.4.7 to 0.5.0" in (build.reason_to_build() or "")
    assert build.current_recipe().flags == cuda_build


def test_flags_that_are_given_count_and_nothing_else(
    cuda_build: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "")
    assert build.reason_to_build() == (
        f"the native library's flags changed from {' '.join(cuda_build)} to -DGGML_LLAMAFILE=ON"
    )


def test_another_backend_is_a_reason_to_build_and_its_settings_are_kept(
    cuda_build: tuple[str, ...], installed: Path
) -> None:
    assert "flags changed" in (build.reason_to_build("cpu") or "")
    build._write_stamp(build.current_recipe("cpu"), build._chosen_flags("cpu").set_aside)
    assert build.reason_to_build() is None
    assert build.flagged_backends() == ()
    assert build.current_recipe("cuda").flags == cuda_build
    assert json.loads((installed / build.STAMP_NAME).read_text())["set_aside"] == ["-DCMAKE_CUDA_ARCHITECTURES=89"]


@for_each_case(
    ("arguments", "backend", "said"),
    [
        (None, "coda", "there is no backend 'coda': BACKEND (--backend) is one of cpu, cuda, vulkan, hip, metal"),
        ("-DSD_CUDA=ON", "cpu", "contradict each other"),
        ("-DX='", None, "CMAKE_ARGS cannot be read"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_is_done(
    installed: Path, monkeypatch: pytest.MonkeyPatch, arguments: str | None, backend: str | None, said: str
) -> None:
    if arguments is not None:
        monkeypatch.setenv("CMAKE_ARGS", arguments)
    else:
        monkeypatch.delenv("CMAKE_ARGS", raising=False)
    for ask in (build.reason_to_build, build.current_recipe, lambda backend: build.build(backend=backend)):
        with pytest.raises(build.BuildError) as refused:
            ask(backend)
        assert said in str(refused.value)


# --- a build, with a made-up compiler ---------------------------------------------------------------------------------


@pytest.fixture
def shelf(installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the next build for Vulkan keeps its wheel; pip installs nothing, and the source is an empty folder."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(build, "source_home", lambda: tmp_path / "home")
    monkeypatch.setattr(build, "fetch_source", lambda log: tmp_path / "home/source")
    monkeypatch.setattr(build, "run_pip", lambda arguments, what: None)
    monkeypatch.setattr(toolchain, "find_tools", lambda flags, machine: Tools(("-DX=1",), {"CUDACXX": "/nvcc"}))
    return tmp_path / "venv/share/sdcpp-rest/wheels" / build.current_recipe("vulkan").key


def compile_with(monkeypatch: pytest.MonkeyPatch, run: Callable[[Path, dict[str, str], Path], int]) -> None:
    """Have ``run`` stand for pip: (folder of the build, environment, folder of the wheel) to an exit code."""

    def stream(command: Sequence[str], environment: dict[str, str], log_path: Path, log: build.Log) -> int:
        log_path.write_text("fatal error: No space left on device")
        return run(Path(environment["SKBUILD_BUILD_DIR"]), environment, Path(command[command.index("--wheel-dir") + 1]))

    monkeypatch.setattr(build, "run_build", stream)


def test_build_that_failed_goes_on_where_it_stopped(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(kept: Path, environment: dict[str, str], wheels: Path) -> int:
        (kept / "CMakeFiles").mkdir(parents=True)
        (kept / "CMakeCache.txt").write_text("what was found yesterday")
        (kept / ".ninja_log").write_text("a.o")
        return 1

    compile_with(monkeypatch, fail)
    said: list[str] = []
    with pytest.raises(build.BuildError) as failed:
        build.build(log=said.append, backend="vulkan")
    assert "the disk is full" in str(failed.value)
    assert str(shelf / "build.log") in str(failed.value)
    assert any(line.startswith("native library: compiling 0.4.7 with") for line in said)

    def finish(kept: Path, environment: dict[str, str], wheels: Path) -> int:
        assert [path.name for path in kept.iterdir()] == [".ninja_log"]
        assert environment["CMAKE_ARGS"] == "-DGGML_LLAMAFILE=ON -DSD_VULKAN=ON -DX=1"
        assert environment["CUDACXX"] == "/nvcc"
        (wheels / "a.whl").touch()
        return 0

    compile_with(monkeypatch, finish)
    abandoned = shelf.parent / "of-other-flags" / "build"
    abandoned.mkdir(parents=True)
    build.build(log=said.append, backend="vulkan")
    assert any(line.startswith("native library: going on with 0.4.7 with") for line in said)
    assert sorted(path.name for path in shelf.iterdir()) == ["a.whl", "build.log"]
    assert not abandoned.exists()
    assert build.flagged_backends() == ("Vulkan",)


def test_forced_build_begins_anew(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shelf / "build").mkdir(parents=True)
    (shelf / "build" / ".ninja_log").touch()

    def finish(kept: Path, environment: dict[str, str], wheels: Path) -> int:
        assert not kept.exists()
        (wheels / "a.whl").touch()
        return 0

    compile_with(monkeypatch, finish)
    build.build(force=True, log=lambda line: None, backend="vulkan")


def test_missing_tools_are_told_before_anything_is_fetched(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(flags: Sequence[str], machine: toolchain.Machine) -> Tools:
        raise toolchain.ToolsMissing("no glslc")

    monkeypatch.setattr(toolchain, "find_tools", miss)
    monkeypatch.setattr(build, "fetch_source", lambda log: pytest.fail("fetched"))
    with pytest.raises(build.BuildError, match="no glslc"):
        build.build(log=lambda line: None, backend="vulkan")


def test_wheel_that_was_kept_needs_no_tools(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.mkdir(parents=True)
    (shelf / "a.whl").touch()
    monkeypatch.setattr(toolchain, "find_tools", lambda *_: pytest.fail("looked for tools"))
    build.build(log=lambda line: None, backend="vulkan")
    assert build.flagged_backends() == ("Vulkan",)


def test_headers_are_fetched_where_that_is_asked_and_of_use(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Path] = []

    def fetch(home: Path, log: build.Log) -> Path:
        fetched.append(home)
        raise vulkan_headers.HeadersUnavailable("no network")

    monkeypatch.setattr(vulkan_headers, "fetch_headers", fetch)
    with pytest.raises(build.BuildError, match="no network"):
        build.build(log=lambda line: None, backend="vulkan", fetch_headers=True)
    compile_with(monkeypatch, lambda kept, environment, wheels: (wheels / "a.whl").touch() or 0)
    build.build(log=lambda line: None, backend="vulkan")
    build.build(log=lambda line: None, backend="cpu", fetch_headers=True)
    assert len(fetched) == 1


def test_full_disk_is_a_sentence(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(kept: Path, environment: dict[str, str], wheels: Path) -> int:
        raise OSError(28, "No space left on device")

    compile_with(monkeypatch, fill)
    with pytest.raises(build.BuildError, match="No space left on device; what is compiled is kept in"):
        build.build(log=lambda line: None, backend="vulkan")


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
