"""The command line as a whole: what it loads, what it prints, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sdcpp_rest
from sdcpp_rest.cli import main
from tests.cli.conftest import Run

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


def test_help_loads_nothing_that_takes_time() -> None:
    root = Path(sdcpp_rest.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, timeout=60, cwd=root)
    assert "Usage: sdcpp-rest convert" in done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert main.commands[name].get_short_help_str()


def test_routes_and_settings_are_printed_as_json(run: Run, alone: tuple[str, ...]) -> None:
    routes = json.loads(run("routes", "--json").stdout)
    assert {"url": "/convert", "method": "POST"}.items() <= {
        **next(row for row in routes if row["url"] == "/convert")
    }.items()
    assert "POST    /convert" in run("routes").stdout
    assert json.loads(run("config", *alone).stdout)["engine"]["runner"] == "fake"
    assert "[server]" in run("config", "--example").stdout


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
