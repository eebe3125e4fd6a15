"""Where pictures go: the format of their name, what is checked before anything is drawn, and what was drawn is kept."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdcpp_rest.cli import output_place
from sdcpp_rest.cli.job_following import _ProgressLines
from sdcpp_rest.services.pictures import picture_formats
from tests.cases import for_each_case
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse

SMALL = ("--width", "64", "--height", "64", "--steps", "2", "--seed", "4")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """``full_disk(path)``: that file takes nothing any more."""
    write = Path.write_bytes

    def fill(full: Path) -> None:
        def refuse(path: Path, content: Any) -> int:
            if path == full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return write(path, content)

        monkeypatch.setattr(Path, "write_bytes", refuse)

    return fill


@pytest.mark.slow
@for_each_case(
    ("name", "form"),
    [("o.png", "PNG"), ("o.jpg", "JPEG"), ("o.JPEG", "JPEG"), ("o.webp", "WEBP"), ("a.b/o.c.jpg", "JPEG")],
)
def test_the_ending_decides_the_format_and_the_parameters_stay_in_the_picture(
    run: Run, served: ServedHouse, tmp_path: Path, name: str, form: str
) -> None:
    path = tmp_path / name
    result = run("generate", "a red circle", *SMALL, "--batch-count", "2", "-o", path, *beside(served))
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, f"saved {path}"), result.output
    for made in (path, path.with_name(f"{path.stem}_1{path.suffix}")):
        with Image.open(made) as picture:
            assert (picture.format, picture.size) == (form, (64, 64))
            assert picture_formats.texts_of(picture)["parameters"].startswith("a red circle")


def test_an_upscaled_picture_has_the_format_of_its_name(run: Run, served: ServedHouse, tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), "red").save(tmp_path / "small.png")
    result = run("upscale", tmp_path / "small.png", "--upscaler", "esrgan_x2.safetensors", "-o", tmp_path / "o.webp",
                 *beside(served))  # fmt: skip
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "o.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (32, 24))


@for_each_case(
    ("arguments", "words"),
    [
        (("-o", "{}/o.bmp"), "-o {}/o.bmp: the name must end in .png, .jpg, .jpeg or .webp"),
        (("-o", "{}/o"), "-o {}/o: the name must end in .png, .jpg, .jpeg or .webp"),
        (("-o", "{}/o.mp4"), "the name must end in .png, .jpg, .jpeg or .webp"),
        (("-o", "{}/o.gif", "--frames", "5"), "the name must end in .mp4, .webm, .webp or .png"),
        (("-o", "{}/o.webm", "--frames", "5", "-p", "output_format=mp4"), "another format than output_format=mp4"),
        (("-o", "{}"), "-o {} is a folder: name a file in it"),
        (("-o", "{}/there.png/o.png"), "{}/there.png is a file: {}/there.png/o.png cannot be in it"),
        (("-o", "-", "--batch-count", "2"), "-o -: standard output takes one picture, and 2 would be made"),
        (("-o", "-", "--frames", "5", "-p", "output_format=frames"), "takes one picture, and 5 would be made"),
        (("-o", "-", "--json"), "-o - and --json both want standard output"),
        (("-o", "{}/" + "x" * 300 + ".png"), "has too long a name"),
    ],
)
def test_places_are_checked_before_anything_is_drawn(
    run: Run, served: ServedHouse, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "there.png").write_bytes(b"")
    result = run("generate", "x", *SMALL, *beside(served), *(part.replace("{}", str(tmp_path)) for part in arguments))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert words.replace("{}", str(tmp_path)) in result.stderr
    assert served.get("/queue").json()["items"] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("there.png", "{}/there.png is there already, and this user may not write to it"),
        ("new/o.png", "{} is not open to this user: {}/new/o.png could not be saved"),
    ],
)
def test_what_this_user_may_not_write_is_refused_before_too(
    run: Run, served: ServedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    (tmp_path / "there.png").write_bytes(b"")
    # Root may write everywhere, and some run their tests as root.
    monkeypatch.setattr(output_place.os, "access", lambda path, mode: not mode & os.W_OK)
    result = run("generate", "x", *SMALL, *beside(served), "-o", tmp_path / name)
    assert (result.exit_code, result.stderr) == (1, f"Error: {words}\n".replace("{}", str(tmp_path)))
    assert served.get("/queue").json()["items"] == []


def test_standard_output_gets_the_picture_and_nothing_else(run: Run, served: ServedHouse) -> None:
    result = run("generate", "x", *SMALL, "-o", "-", *beside(served))
    assert result.exit_code == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert result.stdout_bytes.endswith(b"IEND\xaeB`\x82")


def test_a_device_takes_the_picture_whatever_its_name(run: Run, served: ServedHouse, tmp_path: Path) -> None:
    assert run("generate", "x", *SMALL, "-o", os.devnull, *beside(served)).exit_code == 0
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    assert run("generate", "x", *SMALL, "-o", tmp_path / "pipe", *beside(served)).exit_code == 0
    reader.join()
    assert read[0].startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_stays_on_the_server_and_the_others_are_saved(
    run: Run, served: ServedHouse, tmp_path: Path, full_disk: Callable[[Path], None]
) -> None:
    full_disk(tmp_path / "o.png")
    result = run("generate", "x", *SMALL, "--batch-count", "2", "-o", tmp_path / "o.png", *beside(served))
    assert (result.exit_code, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    words = f"Error: {tmp_path / 'o.png'} does not fit: no space is left on the disk; the server keeps it at "
    assert last.startswith(words)
    url = last.removeprefix(words)
    assert served.get(url.removeprefix(served.url)).content.startswith(b"\x89PNG")
    assert f"saved {tmp_path / 'o_1.png'}\n" in result.stderr
    assert (tmp_path / "o_1.png").stat().st_size > 0


@pytest.mark.slow
def test_a_picture_of_an_engine_of_its_own_that_cannot_be_written_is_saved_elsewhere(
    run: Run, alone: tuple[str, ...], tmp_path: Path, full_disk: Callable[[Path], None]
) -> None:
    full_disk(tmp_path / "o.jpg")
    result = run("generate", "x", *SMALL, "-o", tmp_path / "o.jpg", *alone)
    assert result.exit_code == 1
    found = re.search(r"no space is left on the disk; it is saved as (.*)\n$", result.stderr)
    assert found is not None, result.stderr
    assert Path(found[1]).parent == tmp_path
    with Image.open(found[1]) as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_a_picture_that_its_format_does_not_take_is_saved_as_it_is(
    run: Run, alone: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> bytes:
        raise ValueError("encoding error 5: Image size exceeds WebP limit of 16383 pixels")

    monkeypatch.setattr(picture_formats, "recode", refuse)
    result = run("generate", "x", *SMALL, "-o", tmp_path / "o.webp", *alone)
    assert result.exit_code == 1
    (kept,) = tmp_path.glob("o_*.png")
    assert f"WebP limit of 16383 pixels; it is saved as {kept}\n" in result.stderr


def test_a_server_that_ends_before_the_picture_is_fetched_is_named(
    run: Run, served: ServedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = output_place.OutputPlace.save

    def save_too_late(*arguments: Any) -> list[Path]:
        served.stop()
        return save(*arguments)

    monkeypatch.setattr(output_place.OutputPlace, "save", save_too_late)
    result = run("generate", "x", *SMALL, "-o", tmp_path / "o.png", *beside(served))
    assert result.exit_code == 1
    assert re.search(rf"does not answer: [^;]*; the server keeps it at {served.url}/output/\S+\n$", result.stderr)


def test_progress_is_a_plain_line_at_every_tenth_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _ProgressLines()
    for percentage, phase in [(0, "queued"), (4, ""), (12.5, "sampling"), (19, "sampling"), (58, "sampling"),
                              (50, "decoding"), (100, "encoding")]:  # fmt: skip
        lines.show(percentage, phase)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "sampling: 10 %\nsampling: 50 %\nencoding: 100 %\n")


def test_progress_of_a_job_has_no_control_characters(
    run: Run, served: ServedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("generate", "x", *SMALL, "-o", tmp_path / "o.png", "--json", *beside(served))
    assert json.loads(result.stdout)["saved"] == [str(tmp_path / "o.png")]
    assert result.stderr
    assert "\x1b" not in result.stderr
    assert re.fullmatch(r"(\w+: \d+0 %\n)+", result.stderr)


@pytest.mark.parametrize(("prompt", "is_warned"), [("", True), (" \n", True), ("x", False)])
def test_an_empty_prompt_is_drawn_with_a_warning(
    run: Run, served: ServedHouse, tmp_path: Path, prompt: str, is_warned: bool
) -> None:
    result = run("generate", prompt, *SMALL, "-o", tmp_path / "o.png", *beside(served))
    assert result.exit_code == 0
    assert ("warning: the prompt is empty\n" in result.stderr) is is_warned
