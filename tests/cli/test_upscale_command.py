"""Larger pictures from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cases import for_each_case
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "given.png"
    Image.new("RGB", (8, 6), "red").save(path)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as opened:
        return opened.size


def test_the_server_loads_the_upscaler_once_and_makes_the_picture_larger(
    run: Run, served: ServedHouse, picture: Path, tmp_path: Path
) -> None:
    result = run("upscale", picture, "--upscaler", "esrgan_x4.safetensors", *beside(served))
    assert (result.exit_code, result.stdout) == (0, f"saved {tmp_path / 'given_upscaled.png'}\n"), result.output
    assert size_of(tmp_path / "given_upscaled.png") == (32, 24)
    result = run("upscale", picture, "--factor", "2", "--repeats", "2", "-o", tmp_path / "o.png", "--json",
                 *beside(served))  # fmt: skip
    assert json.loads(result.stdout)["saved"] == [str(tmp_path / "o.png")]
    assert size_of(tmp_path / "o.png") == (32, 24)
    assert served.get("/health").json()["upscaler_name"] == "esrgan_x4.safetensors"


@pytest.mark.slow
def test_without_a_server_the_only_upscaler_is_taken(
    run: Run, alone: tuple[str, ...], picture: Path, tmp_path: Path, demo_folder: Path
) -> None:
    folder = tmp_path / "alone" / "models" / "esrgan"
    folder.mkdir(parents=True)
    shutil.copy(demo_folder / "esrgan" / "esrgan_x4.safetensors", folder / "mine.safetensors")
    result = run("upscale", picture, *alone, "--set", "models.include_demo=false")
    assert result.exit_code == 0, result.output
    assert size_of(tmp_path / "given_upscaled.png") == (32, 24)


def test_several_upscalers_are_named_and_none_is_guessed(run: Run, served: ServedHouse, picture: Path) -> None:
    result = run("upscale", picture, *beside(served))
    assert result.exit_code == 1
    names = "esrgan_x2.safetensors, esrgan_x4.safetensors"
    assert f"Error: No upscaler is loaded: choose one of {names} with --upscaler (from {served.url})\n" == result.stderr


@for_each_case(
    ("arguments", "words"),
    [
        (("--upscaler", "esrgan_x3"), "Model not found: esrgan_x3; the nearest names are esrgan_x"),
        (("--upscaler", "esrgan_x2.safetensors", "--factor", "99"), "upscale_factor"),
        (("--upscaler", "esrgan_x2.safetensors", "--repeats", "0"), "repeats"),
    ],
)
def test_errors_are_one_sentence(
    run: Run, served: ServedHouse, picture: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = run("upscale", picture, *beside(served), *arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_no_picture_is_refused(run: Run, served: ServedHouse, tmp_path: Path) -> None:
    assert "nowhere.png" in run("upscale", tmp_path / "nowhere.png", *beside(served)).stderr
    (tmp_path / "text.png").write_text("text")
    served.post("/upscaler/load", json={"model_name": "esrgan_x2.safetensors"})
    result = run("upscale", tmp_path / "text.png", *beside(served))
    assert result.exit_code == 1
    assert "is not a picture" in result.stderr
