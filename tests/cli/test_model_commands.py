"""Lists of model files, and what is in one of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.cli import engine_probe
from sdcpp_rest.engine.protocol import Ready
from tests.cli.conftest import Run
from tests.model_files import write

DEMO = "demo_dit_q8_0.gguf"


def told(run: Run, *arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def outside(tmp_path: Path, demo_folder: Path) -> Path:
    path = tmp_path / "downloads" / "some.gguf"
    path.parent.mkdir()
    shutil.copy(demo_folder / "diffusion_models" / DEMO, path)
    return path


def test_models_are_listed_by_type_and_name(run: Run, alone: tuple[str, ...]) -> None:
    listed = told(run, "models", *alone)
    assert {"type": "diffusion", "name": DEMO}.items() <= listed[0].items()
    assert Path(listed[0]["path"]).stat().st_size == listed[0]["size_bytes"]
    assert [file["name"] for file in told(run, "models", "--type", "esrgan", "--search", "X4", *alone)] == [
        "esrgan_x4.safetensors"
    ]
    lines = run("models", *alone).stdout.splitlines()
    assert lines[0].split() == ["diffusion", DEMO, "2.7", "MB"]
    assert len(lines) == len(listed)


def test_no_models_are_told_too(run: Run, alone: tuple[str, ...], tmp_path: Path) -> None:
    empty = run("models", *alone, "--set", "models.include_demo=false")
    assert empty.stdout == f"no model files below {tmp_path / 'alone' / 'models'}\n"
    assert told(run, "models", *alone, "--set", "models.include_demo=false") == []
    assert run("models", "--type", "nothing", *alone).exit_code == 1


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (("--search", "nothing"), "has 'nothing' in its name"),
        (("--type", "controlnet"), "is of type controlnet"),
        (("--type", "lora", "--search", "no"), "is of type lora and has 'no' in its name"),
    ],
)
def test_a_search_without_a_hit_says_so_and_fails(
    run: Run, alone: tuple[str, ...], filters: tuple[str, ...], words: str
) -> None:
    count = len(told(run, "models", *alone))
    result = run("models", *filters, *alone)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"none of {count} models {words}\n"
    as_json = run("models", *filters, "--json", *alone)
    assert (as_json.exit_code, as_json.stdout) == (1, "[]\n")
    none_at_all = run("models", *filters, *alone, "--set", "models.include_demo=false")
    assert (none_at_all.exit_code, none_at_all.stdout) == (1, "")
    assert none_at_all.stderr.startswith("no model files below ")


@pytest.mark.parametrize("by", ["name", "stem", "path", "outside"])
def test_inspect_takes_names_and_paths(
    run: Run, alone: tuple[str, ...], demo_folder: Path, outside: Path, by: str
) -> None:
    path = demo_folder / "diffusion_models" / DEMO
    given = {"name": DEMO, "stem": "demo_dit_q8_0", "path": path, "outside": outside}[by]
    facts = told(run, "inspect", given, *alone)
    assert facts["path"] == str(outside if by == "outside" else path)
    assert facts["model_type"] == (None if by == "outside" else "diffusion")
    assert (facts["contents"], facts["tensor_count"]) == ("picture model", 81)
    assert {share["type"]: share["tensors"] for share in facts["quantization"]} == {"q8_0": 31, "f32": 50}
    assert sum(share["bytes"] for share in facts["quantization"]) < facts["size_bytes"]
    assert (facts["sidecar"] is None) is (by == "outside")
    assert "fit" not in facts
    assert "tensors" not in facts


def test_inspect_tells_bytes_words_and_components_to_people(
    run: Run, alone: tuple[str, ...], demo_folder: Path
) -> None:
    said = run("inspect", DEMO, "--tensors", *alone).stdout
    assert "  q8_0           31 tensors      2.5 MB   94.9%" in said
    assert "loads with    llm = demo_llm_q4_0.gguf" in said
    (lora,) = (demo_folder / "loras").glob("*.safetensors")
    facts = told(run, "inspect", lora, "--tensors", *alone)
    assert facts["contents"] == "LoRA"
    assert len(facts["tensors"]) == facts["tensor_count"]
    words = ", ".join(facts["trained_words"])
    assert (f"words         {words}\n" in run("inspect", lora, *alone).stdout) is bool(words)


def test_trained_words_of_a_sidecar_are_shown(run: Run, alone: tuple[str, ...], tmp_path: Path) -> None:
    from sdcpp_rest.runtime import DEMO_ROOT

    (lora,) = (DEMO_ROOT / "loras").glob("*.safetensors")
    shutil.copy(lora, tmp_path / "style.safetensors")
    (tmp_path / "style.json").write_text('{"activation text": "in my style, painted"}')
    said = run("inspect", tmp_path / "style.safetensors", *alone).stdout
    assert "words         in my style, painted" in said


@pytest.mark.slow
def test_the_fit_is_estimated_for_the_size_that_is_asked(run: Run, alone: tuple[str, ...], outside: Path) -> None:
    usual = told(run, "inspect", DEMO, "--fit", *alone)["fit"]
    assert (usual["width"], usual["height"]) == (64, 64)
    large = told(run, "inspect", DEMO, "--width", "1024", "--height", "512", *alone)["fit"]
    assert (large["width"], large["height"]) == (1024, 512)
    assert large["total_bytes"] > usual["total_bytes"] > usual["weights"]["total"] > 2_000_000
    (device,) = usual["devices"]
    assert (device["name"], device["verdict"]) == ("CPU", "fits")
    huge = run("inspect", outside, "--width", "16384", "--height", "16384", *alone).stdout
    assert "memory        " in huge
    assert "device        CPU: does not fit; " in huge
    assert "advice        diffusion_flash_attn=true saves " in huge
    assert "warning       No VAE is named" in huge


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("demo_dit_q9", f"the nearest names are {DEMO}"),
        ("nowhere/x.gguf", "neither a file nor a model"),
        ("../x.gguf", "x.gguf"),
        (__file__, "is not a model file"),
        ("/", "/"),
        ("x\0y", "y"),
    ],
)
def test_errors_are_one_sentence(run: Run, alone: tuple[str, ...], given: str, words: str) -> None:
    result = run("inspect", given, *alone)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert isinstance(result.exception, SystemExit)


def test_doctor_tells_the_folders_of_other_programs(
    run: Run, alone: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_probe, "probe_engine", lambda: Ready(pid=1, library_version="0.4.7"))
    for name in ("models/Lora/a.safetensors", "models/Lora/b.safetensors", "models/Stable-diffusion/c.safetensors"):
        write(tmp_path / "webui" / name, b"x")
    (tmp_path / "webui" / "embeddings").mkdir()
    given = ("--set", f"paths.extra_model_dirs=['{tmp_path}/webui', '{tmp_path}/gone']", *alone)
    output = run("doctor", *given).output
    assert f"models    {tmp_path}/webui/models/Lora: 2 of type lora\n" in output
    assert f"models    {tmp_path}/webui/embeddings: 0 of type embedding\n" in output
    assert f"models    paths.extra_model_dirs: {tmp_path}/gone cannot be read" in output
    facts = json.loads(run("doctor", "--json", *given).stdout)
    assert facts["extra_folders"][f"{tmp_path}/webui/models/Stable-diffusion"] == {"checkpoint": 1}
    assert len(facts["not_listed"]) == 1
    listed = json.loads(run("models", "--type", "lora", "--json", *given).stdout)
    assert [file["name"] for file in listed] == ["a.safetensors", "b.safetensors", "demo_lora.safetensors"]
    assert run("inspect", tmp_path / "webui/models/Lora/a.safetensors", *given).exit_code == 1
