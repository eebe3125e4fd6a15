"""The command line as a whole: what it loads, what it prints, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import sdcpp_rest
from sdcpp_rest.cli import main
from sdcpp_rest.native import prebuilt
from tests.cases import for_each_case
from tests.cli.conftest import Run
from tests.native.prebuilt_folders import make_folder

QUICK = """
import sys
sys.argv = ["sdcpp-rest", "convert", "--help"]
from sdcpp_rest.cli import main
try:
    main()
finally:
    slow = {"pydantic", "flask", "requests", "rich", "PIL", "numpy", "sqlalchemy", "sdcpp_rest.runtime"}
    print(sorted(slow & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.slow
def test_help_loads_nothing_that_takes_time() -> None:
    root = Path(sdcpp_rest.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, timeout=60, cwd=root)
    assert "Usage: sdcpp-rest convert" in done.stdout
    assert done.stderr == "[]\n"


@for_each_case("name", sorted(main.commands))
def test_every_command_explains_itself(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert main.commands[name].get_short_help_str()


def test_commands_speak_json_where_they_answer_with_more_than_a_document() -> None:
    """``config``, ``mcp`` and ``openapi`` print JSON anyway; ``serve`` does not end; two are groups."""
    speaking = {name for name, command in main.commands.items() if "as_json" in {one.name for one in command.params}}
    assert main.commands.keys() - speaking == {"cluster", "config", "mcp", "openapi", "serve", "native"}


@pytest.mark.parametrize(
    ("reason", "force", "is_built"), [(None, False, False), ("no stamp", False, True), (None, True, True)]
)
def test_a_build_is_told_as_json(
    run: Run, monkeypatch: pytest.MonkeyPatch, reason: str | None, force: bool, is_built: bool
) -> None:
    from sdcpp_rest.native import build

    monkeypatch.setattr(build, "reason_to_build", lambda backend: reason)
    monkeypatch.setattr(build, "build", lambda force, log, **_: log("a line of the compiler"))
    result = run("native", "build", "--json", *(["--force"] if force else []))
    told = json.loads(result.stdout)
    assert (told["built"], told["reason"], told["version"]) == (is_built, reason, build.current_recipe().version)
    assert result.stderr == "a line of the compiler\n"
    assert run("native", "build").stdout == "a line of the compiler\n"


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine that comes compiled is in use, and nothing else could be."""
    from sdcpp_rest.native import build

    def find_none(*_: object) -> str:
        raise build.BuildError("there is no C++ compiler")

    package = make_folder(tmp_path / "package")
    for name in ("CMAKE_ARGS", prebuilt.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setattr(prebuilt, "package_folder", lambda: package)
    monkeypatch.setattr(prebuilt, "binding_folder", lambda: None)
    monkeypatch.setattr(build, "_compiler", find_none)


def test_a_prebuilt_engine_needs_no_build_and_no_compiler_to_say_so(run: Run, no_compiler: None) -> None:
    result = run("native", "build", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["built"], told["reason"], told["version"]) == (False, None, prebuilt.ENGINE_VERSION)
    assert "is up to date: sdcpp-rest-native is used" in result.stderr


@for_each_case("asked", [("--backend", "cuda"), ("--force",)])
def test_a_build_that_is_asked_for_names_the_missing_compiler(
    run: Run, no_compiler: None, asked: tuple[str, ...]
) -> None:
    result = run("native", "build", "--json", *asked)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Error: there is no C++ compiler\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_completion_script_and_completions(shell: str) -> None:
    source = CliRunner(env={"_SDCPP_REST_COMPLETE": f"{shell}_source"}).invoke(main, prog_name="sdcpp-rest")
    assert source.exit_code == 0
    assert f"_SDCPP_REST_COMPLETE={shell}_complete" in source.stdout
    typed = {"COMP_WORDS": "sdcpp-rest gen", "COMP_CWORD": "gen" if shell == "fish" else "1"}
    asked = {"_SDCPP_REST_COMPLETE": f"{shell}_complete", **typed}
    assert "generate" in CliRunner(env=asked).invoke(main, prog_name="sdcpp-rest").stdout


def test_routes_and_settings_are_printed_as_json(run: Run, alone: tuple[str, ...]) -> None:
    routes = json.loads(run("routes", "--json").stdout)
    assert {"url": "/convert", "method": "POST"}.items() <= {
        **next(row for row in routes if row["url"] == "/convert")
    }.items()
    assert "POST    /convert" in run("routes").stdout
    assert json.loads(run("config", *alone).stdout)["engine"]["runner"] == "fake"
    assert "[server]" in run("config", "--example").stdout


@pytest.mark.slow
def test_the_api_is_printed_or_written(run: Run, tmp_path: Path) -> None:
    assert run("openapi", "-o", tmp_path / "api.json").exit_code == 0
    assert json.loads((tmp_path / "api.json").read_text()) == json.loads(run("openapi").stdout)
    unwritable = run("openapi", "-o", tmp_path / "nowhere" / "api.json")
    assert unwritable.exit_code == 1
    assert unwritable.stderr.count("\n") == 1


def test_a_setting_that_is_not_there_is_one_sentence(run: Run) -> None:
    result = run("config", "--set", "server.prot=1")
    assert result.exit_code == 1
    assert "server.prot" in result.stderr
    assert "Traceback" not in result.output
