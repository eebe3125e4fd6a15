"""Conversion from the command line, through a server and without one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cases import for_each_case
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse
from tests.split_models import contents_of, split_gguf

DEMO = "demo_dit_q8_0.gguf"


def models_of(served: ServedHouse) -> Path:
    return served.runtime.config.paths.models_dir / "diffusion_models"


@pytest.fixture
def outside(tmp_path: Path, demo_folder: Path) -> Path:
    """A model file that lies in no model folder."""
    path = tmp_path / "downloads" / "some.gguf"
    path.parent.mkdir()
    shutil.copy(demo_folder / "diffusion_models" / DEMO, path)
    return path


def test_the_running_server_converts(run: Run, served: ServedHouse) -> None:
    result = run("convert", DEMO, "q4_0", *beside(served))
    expected = models_of(served) / "demo_dit_q8_0.q4_0.gguf"
    assert (result.exit_code, result.stdout) == (0, f"saved {expected}\n"), result.output
    assert expected.stat().st_size > 0
    (job,) = served.get("/queue").json()["items"]
    assert (job["type"], job["params"]["output_type"]) == ("convert", "q4_0")


@pytest.mark.slow
def test_it_works_without_a_server_and_loads_no_model(run: Run, alone: tuple[str, ...], tmp_path: Path) -> None:
    # This model would fail to load.
    refused = tmp_path / "alone" / "models" / "diffusion_models" / "refuse.gguf"
    result = run("convert", DEMO, "f16", "-o", "sub/refuse.gguf", *alone, "--json")
    assert result.exit_code == 0, result.output
    assert "an engine of its own" in result.stderr
    made = Path(json.loads(result.stdout)["output_path"])
    assert made == refused.parent / "sub" / "refuse.gguf"
    assert made.stat().st_size > 0
    again = run("convert", made, "q8_0", "-o", refused, *alone, "--set", "models.default=refuse.gguf")
    assert (again.exit_code, again.stdout) == (0, f"saved {refused}\n"), again.output


def test_paths_from_here_are_meant_when_they_are_spelled_so(
    run: Run, served: ServedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models_of(served)
    assert run("convert", DEMO, "q4_0", "-o", "a.gguf", *beside(served)).exit_code == 0
    monkeypatch.chdir(folder)
    result = run("convert", "./a.gguf", "q8_0", "-o", "./b.gguf", *beside(served))
    assert (result.exit_code, result.stdout) == (0, f"saved {folder / 'b.gguf'}\n"), result.output


def test_a_taken_name_is_refused_unless_overwritten(run: Run, served: ServedHouse) -> None:
    assert run("convert", DEMO, "q4_0", *beside(served)).exit_code == 0
    result = run("convert", DEMO, "q4_0", *beside(served))
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert run("convert", DEMO, "q4_0", "--overwrite", *beside(served)).exit_code == 0


@pytest.mark.slow
def test_a_file_outside_gets_advice_that_works(run: Run, alone: tuple[str, ...], outside: Path) -> None:
    result = run("convert", outside, "q4_0", *alone)
    assert result.exit_code == 1
    told = re.search(r"move it below \S+; or have its folder be one: (--models-dir \S+) (--set \S+)\n", result.stderr)
    assert told, result.stderr
    settings = [word for option in told.groups() for word in option.split()]
    without = [option for option in alone if not option.startswith("--models-dir")]
    assert run("convert", outside, "q4_0", *without, *settings).stdout == f"saved {outside.parent / 'some.q4_0.gguf'}\n"


def test_a_file_outside_a_servers_folders_is_refused(run: Run, served: ServedHouse, outside: Path) -> None:
    result = run("convert", outside, "q4_0", *beside(served))
    assert result.exit_code == 1
    assert "a running server converts what is in its own folders only" in result.stderr
    result = run("convert", DEMO, "q4_0", "--vae", outside, *beside(served))
    assert f"{outside} is not in a model folder" in result.stderr


@for_each_case(
    ("arguments", "words"),
    [
        (("nothing", "q4_0"), "Model not found: nothing"),
        ((DEMO, "q9"), "output_type: 'q9' is not a weight type; allowed: "),
        ((DEMO, "keep"), "output_type: 'keep' merges the parts of a split model, and demo_dit_q8_0.gguf is one file"),
        ((DEMO, "q4_0", "--rules", "=="), "tensor_type_rules"),
        ((DEMO, "q4_0", "-o", "../../x.gguf"), "output_path"),
        ((DEMO, "q4_0", "-o", "x.bin"), "must end in"),
        ((DEMO, "q4_0", "--vae", "none.safetensors"), "Model not found: none.safetensors"),
    ],
)
def test_errors_are_one_sentence(run: Run, served: ServedHouse, arguments: tuple[str, ...], words: str) -> None:
    result = run("convert", *arguments, *beside(served))
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_on_a_servers_conversion_leaves_nothing(
    run: Run, served: ServedHouse, demo_folder: Path, interrupting: list[str]
) -> None:
    models_of(served).mkdir(parents=True)
    shutil.copy(demo_folder / "diffusion_models" / DEMO, models_of(served) / "fake~hold.gguf")
    result = run("convert", "fake~hold.gguf", "q4_0", *beside(served))
    assert (result.exit_code, len(interrupting)) == (1, 1)
    assert served.house.finished(interrupting[0])["status"] == "cancelled"
    assert [path.name for path in models_of(served).iterdir()] == ["fake~hold.gguf"]


@pytest.mark.slow
def test_ctrl_c_without_a_server_leaves_nothing_and_touches_no_other_conversion(
    run: Run, alone: tuple[str, ...], demo_folder: Path, tmp_path: Path, interrupting: list[str]
) -> None:
    folder = tmp_path / "alone" / "models" / "diffusion_models"
    folder.mkdir(parents=True)
    shutil.copy(demo_folder / "diffusion_models" / DEMO, folder / "fake~hold.gguf")
    others = folder / ".x.12345678-1234-1234-1234-123456789abc.part.gguf"
    others.write_bytes(b"being written by somebody else")
    result = run("convert", "fake~hold.gguf", "q4_0", *alone)
    assert (result.exit_code, len(interrupting)) == (1, 1)
    assert sorted(path.name for path in folder.iterdir()) == [others.name, "fake~hold.gguf"]


@pytest.mark.parametrize("is_alone", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_split_model_is_merged_by_a_server_or_without_one(
    run: Run, request: pytest.FixtureRequest, tmp_path: Path, demo_folder: Path, is_alone: bool
) -> None:
    whole = demo_folder / "diffusion_models" / DEMO
    if is_alone:
        folder, options = tmp_path / "alone" / "models" / "diffusion_models", request.getfixturevalue("alone")
    else:
        served = request.getfixturevalue("served")
        folder, options = models_of(served), beside(served)
    parts = split_gguf(whole, folder, 3, stem="big")
    result = run("convert", parts[0], "keep", *options)
    assert (result.exit_code, result.stdout) == (0, f"saved {folder / 'big.gguf'}\n"), result.output
    assert contents_of(folder / "big.gguf") == contents_of(whole)
    result = run("convert", "big-00001-of-00003", "q4_0", *options)
    assert (result.exit_code, result.stdout) == (0, f"saved {folder / 'big.q4_0.gguf'}\n"), result.output
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert hidden == []


@pytest.mark.slow
def test_ctrl_c_on_a_merge_leaves_nothing(
    run: Run, alone: tuple[str, ...], demo_folder: Path, tmp_path: Path, interrupting: list[str]
) -> None:
    folder = tmp_path / "alone" / "models" / "diffusion_models"
    parts = split_gguf(demo_folder / "diffusion_models" / DEMO, folder, 2, stem="fake~hold")
    result = run("convert", parts[0].name, "keep", *alone)
    assert (result.exit_code, len(interrupting)) == (1, 1)
    assert sorted(path.name for path in folder.iterdir()) == [path.name for path in parts]
