"""Pictures from the command line, through a server and without one."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import click
import pytest
from PIL import Image

from sdcpp_rest.cli.generate_command import parse_params
from tests import model_files
from tests.cases import for_each_case
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse

SMALL = ("--width", "64", "--height", "64", "--steps", "2", "--seed", "4")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "given.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return path


@pytest.mark.slow
def test_the_running_server_draws_and_the_same_comes_without_one(
    run: Run, served: ServedHouse, alone: tuple[str, ...], tmp_path: Path
) -> None:
    with_server, without = tmp_path / "with.png", tmp_path / "new" / "without.png"
    result = run("generate", "a red circle", *SMALL, "-o", with_server, *beside(served))
    assert (result.exit_code, result.stdout) == (0, f"saved {with_server}\n"), result.output
    assert served.get("/queue").json()["completed_count"] == 1
    result = run("generate", "a red circle", *SMALL, "-o", without, *alone)
    assert (result.exit_code, result.stdout) == (0, f"saved {without}\n"), result.output
    assert "an engine of its own" in result.stderr
    with Image.open(with_server) as one, Image.open(without) as other:
        assert one.size == (64, 64)
        assert one.tobytes() == other.tobytes()


def test_a_batch_is_saved_under_numbered_names_and_told_as_json(
    run: Run, served: ServedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("generate", "x", *SMALL, "--batch-count", "3", "--json", *beside(served))
    told = json.loads(result.stdout)
    assert told["saved"] == ["out.png", "out_1.png", "out_2.png"]
    assert (told["status"], told["type"], len(told["outputs"])) == ("completed", "txt2img", 3)
    assert all((tmp_path / name).stat().st_size > 0 for name in told["saved"])


def test_an_init_image_makes_it_img2img(run: Run, served: ServedHouse, picture: Path, tmp_path: Path) -> None:
    result = run("generate", "x", *SMALL, "--init-image", picture, "--mask", picture, "--strength", "0.3",
                 "-p", "clip_skip=2", "-p", f"ref_images=@{picture}", "-p", "title=from a picture", "--json",
                 "-o", tmp_path / "o.png", *beside(served))  # fmt: skip
    assert result.exit_code == 0, result.output
    job = json.loads(result.stdout)
    assert (job["type"], job["title"]) == ("img2img", "from a picture")
    assert (job["params"]["strength"], job["params"]["clip_skip"]) == (0.3, 2)
    assert {"init_image_base64", "mask_image_base64", "ref_images"} <= job["params"].keys()


def test_frames_make_it_a_video(run: Run, served: ServedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = served.runtime.config.paths.models_dir
    model_files.write(folder / "diffusion_models" / "wan.gguf", model_files.gguf_bytes(model_files.wan(30)))
    model_files.write(folder / "diffusion_models" / "wan.json", b'{"components": {"vae": "wan_vae.safetensors"}}')
    vae = model_files.safetensors_bytes(model_files.wan_vae(16))
    model_files.write(folder / "vae" / "wan_vae.safetensors", vae)
    monkeypatch.chdir(tmp_path)
    result = run("generate", "a cat", *SMALL, "--model", "wan.gguf", "--frames", "5", "-p", "fps=8", "--json",
                 *beside(served))  # fmt: skip
    assert result.exit_code == 0, result.output
    job = json.loads(result.stdout)
    assert (job["type"], job["params"]["video_frames"], job["params"]["fps"]) == ("txt2vid", 5, 8)
    assert job["saved"][0] == "out.mp4"
    assert b"ftyp" in (tmp_path / "out.mp4").read_bytes()[:16]
    named = run("generate", "a cat", *SMALL, "--frames", "5", "-o", "named.webm", "--json", *beside(served))
    assert json.loads(named.stdout)["saved"] == ["named.webm"]
    assert (tmp_path / "named.webm").read_bytes()[:4] == b"\x1a\x45\xdf\xa3"


def test_a_video_has_no_mask(run: Run, served: ServedHouse, picture: Path) -> None:
    masked = run("generate", "x", "--frames", "5", "--init-image", picture, "--mask", picture, *beside(served))
    assert (masked.exit_code, masked.stderr) == (1, "Error: --mask is for pictures: a video has none\n")


def test_unknown_fields_are_warned_about(run: Run, served: ServedHouse, tmp_path: Path) -> None:
    result = run("generate", "x", *SMALL, "-p", "clip_skap=2", "-o", tmp_path / "o.jpg", *beside(served))
    assert result.exit_code == 0
    assert "warning: unknown field 'clip_skap' ignored" in result.stderr


@for_each_case(
    ("arguments", "words"),
    [
        (("--steps", "0"), "steps must be"),
        (("--model", "demo_dit_q9"), "Model not found: demo_dit_q9; the nearest names are demo_dit_q8_0.gguf"),
        (("--strength", "0.3"), "--strength needs a picture to start from: --init-image"),
        (("--mask", "m.png"), "--init-image"),
        (("--init-image", "nowhere.png"), "nowhere.png"),
        (("--frames", "5"), "video"),
        (("-p", "clip_skip"), "expected NAME=VALUE"),
        (("-p", "ref_images=@nowhere.png"), "nowhere.png"),
        (("--set", "nothing=1"), "nothing"),
        (("--url", "http://127.0.0.1:1"), "The server at http://127.0.0.1:1 does not answer"),
    ],
)
def test_errors_are_one_sentence(run: Run, served: ServedHouse, arguments: tuple[str, ...], words: str) -> None:
    result = run("generate", "x", *beside(served), *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert isinstance(result.exception, SystemExit)


@pytest.mark.slow
def test_errors_without_a_server_are_one_sentence(run: Run, alone: tuple[str, ...], tmp_path: Path) -> None:
    result = run("generate", "fake:fail", *SMALL, "-o", tmp_path / "o.png", *alone)
    assert result.exit_code == 1
    assert result.stderr.endswith("\nError: The job failed: asked to fail\n")
    assert not (tmp_path / "o.png").exists()


@pytest.mark.slow
def test_ctrl_c_cancels_the_job_on_the_server(run: Run, served: ServedHouse, interrupting: list[str]) -> None:
    result = run("generate", "fake:hold", *SMALL, *beside(served))
    assert (result.exit_code, len(interrupting)) == (1, 1)
    assert "cancelling the job" in result.stderr
    assert served.house.finished(interrupting[0])["status"] == "cancelled"
    assert served.get("/health").json()["model_loaded"] is True


@pytest.mark.slow
def test_ctrl_c_ends_an_engine_of_its_own(run: Run, alone: tuple[str, ...], interrupting: list[str]) -> None:
    result = run("generate", "fake:hold", *SMALL, *alone)
    assert (result.exit_code, len(interrupting)) == (1, 1)
    assert result.stderr.endswith("Aborted!\n")


def test_params_are_json_else_text_and_pictures_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    sent = base64.b64encode(b"picture").decode()
    pairs = ("a=1", "b=true", 'c="1"', "d=karras", "e=[1, 2]", "f=NaN", "g=", "h=x=y",
             f"ref_images=@{tmp_path}/a.png", f"ref_images=@{tmp_path}/a.png",
             f"control_image_base64=@{tmp_path}/a.png", 'pm_id_images=["x"]')  # fmt: skip
    assert parse_params(pairs) == {
        "a": 1, "b": True, "c": "1", "d": "karras", "e": [1, 2], "f": "NaN", "g": "", "h": "x=y",
        "ref_images": [sent, sent], "control_image_base64": sent, "pm_id_images": ["x"],
    }  # fmt: skip
    with pytest.raises(click.ClickException, match="expected NAME=VALUE"):
        parse_params(("=1",))
