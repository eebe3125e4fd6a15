from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from sdcpp_rest.services.pictures.gallery_facts import read_folder
from tests.cases import for_each_case

RECORD: dict[str, Any] = {
    "job_id": "job",
    "type": "txt2img",
    "created_at": "2026-11-27T12:00:00+00:00",
    "title": "Sea",
    "params": {
        "prompt": "a lighthouse",
        "negative_prompt": "fog",
        "seed": 7,
        "width": 64,
        "height": 64,
        "loras": [{"name": "oil", "weight": 1}, {"name": "oil", "weight": 0.5}],
    },
    "model": {"model": {"name": "sd15.gguf"}, "architecture": "sd1"},
    "timings": {"queued_seconds": 2.0, "load_seconds": 1, "native_seconds": 3.5, "encode_seconds": None},
    "outputs": ["job/image_0.png", "job/image_1.png"],
}


def write_job(root: Path, record: Any = RECORD, pictures: int = 2) -> None:
    (root / "job").mkdir(exist_ok=True)
    for number in range(pictures):
        Image.new("RGB", (40, 30)).save(root / "job" / f"image_{number}.png")
    text = record if isinstance(record, str) else json.dumps(record)
    (root / "job" / "config.json").write_text(text, encoding="utf-8")


def test_a_job_tells_of_its_pictures(tmp_path: Path) -> None:
    write_job(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "job" / "source.png")
    first, second = read_folder(tmp_path, "job")
    assert (first.path, first.job_id, first.number, first.kind) == ("job/image_0.png", "job", 0, "image")
    assert (first.prompt, first.negative_prompt, first.title) == ("a lighthouse", "fog", "Sea")
    assert (first.model, first.architecture, first.loras) == ("sd15.gguf", "sd1", ("oil",))
    assert (first.seed, second.seed) == (7, 8)
    # As the file has it, not as it was asked for: it may have been enlarged.
    assert (first.width, first.height) == (40, 30)
    assert first.taken_ms == 1_795_780_800_000 + 6_500
    assert second.taken_ms < first.taken_ms


@pytest.mark.parametrize(
    ("group", "fold"),
    [
        ({"id": "grid-1", "kind": "grid", "axes": [], "cell": []}, "group:grid-1"),
        ({"id": "x" * 200}, "group:" + "x" * 100),
        (None, "job:job"),
        ({"id": ""}, "job:job"),
        ({"id": 5}, "job:job"),
        ("grid-1", "job:job"),
    ],
)
def test_pictures_of_a_job_belong_together_or_with_those_of_its_group(tmp_path: Path, group: Any, fold: str) -> None:
    write_job(tmp_path, {**RECORD, "group": group})
    assert {one.fold for one in read_folder(tmp_path, "job")} == {fold}


def test_a_file_of_no_job_stands_alone(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert [one.fold for one in read_folder(tmp_path, "")] == [None]


def test_a_video_has_its_length(tmp_path: Path) -> None:
    params = {**RECORD["params"], "video_frames": 17, "fps": 8}
    write_job(tmp_path, {**RECORD, "params": params, "outputs": ["job/video.mp4"]}, 0)
    (tmp_path / "job" / "video.mp4").write_bytes(b"film")
    (video,) = read_folder(tmp_path, "job")
    assert (video.kind, video.frames, video.duration, video.width) == ("video", 17, 2.125, 64)


def test_a_job_that_failed_shows_nothing(tmp_path: Path) -> None:
    write_job(tmp_path, {**RECORD, "error": "all white", "error_code": "blank_picture"})
    assert read_folder(tmp_path, "job") == ()


def test_what_is_missing_or_lies_elsewhere_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "other" / "a.png")
    outputs = ["job/image_0.png", "job/gone.png", "other/a.png", "job/../other/a.png", "/etc/passwd", 5, "job/note.txt"]
    write_job(tmp_path, {**RECORD, "outputs": outputs}, 1)
    (tmp_path / "job" / "note.txt").write_text("x")
    assert [one.path for one in read_folder(tmp_path, "job")] == ["job/image_0.png"]


@for_each_case(
    "change",
    [
        {"params": None},
        {"params": {"prompt": 5, "seed": "x", "loras": {}, "width": -1}},
        {"params": {"seed": 2**80, "loras": [5, {"name": 7}]}},
        {"timings": {"queued_seconds": "long"}},
        {"created_at": "yesterday"},
        {"created_at": 5},
        {"model": []},
        {"title": "\ud83d"},
        {"timings": {"queued_seconds": 1e308}},
    ],
)
def test_a_record_that_is_odd_is_read_as_far_as_it_goes(tmp_path: Path, change: dict[str, Any]) -> None:
    write_job(tmp_path, {**RECORD, **change})
    assert len(read_folder(tmp_path, "job")) == 2


@for_each_case("record", ["", "{", "[]", '{"outputs": 5}', "[" * 100_000, json.dumps({**RECORD, "job_id": "other"})])
def test_a_folder_without_a_record_of_its_own_is_a_folder_of_files(tmp_path: Path, record: str) -> None:
    write_job(tmp_path, record)
    assert [one.job_id for one in read_folder(tmp_path, "job")] == [None, None]


def test_files_by_hand_tell_what_is_written_in_them(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a boat\nNegative prompt: fog\nSteps: 5, Sampler: Euler, Seed: 9, Model: sd15")
    Image.new("RGB", (40, 30)).save(tmp_path / "boat.png", pnginfo=text)
    Image.new("RGB", (50, 60)).save(tmp_path / "plain.JPG")
    swarm = {
        "sui_image_params": {"prompt": "a pier", "seed": 11, "model": "flux", "loras": ["ink"], "loraweights": [1]}
    }
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", json.dumps(swarm))
    Image.new("RGB", (8, 8)).save(tmp_path / "pier.png", pnginfo=text)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 40)
    (tmp_path / "film.webm").write_bytes(b"")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "note.txt").write_text("x")
    os.symlink(tmp_path / "boat.png", tmp_path / "link.png")
    os.utime(tmp_path / "boat.png", (1000, 1000))
    found = {one.path: one for one in read_folder(tmp_path, "")}
    assert sorted(found) == ["boat.png", "broken.png", "film.webm", "pier.png", "plain.JPG"]
    boat = found["boat.png"]
    assert (boat.prompt, boat.negative_prompt, boat.seed, boat.model) == ("a boat", "fog", 9, "sd15")
    assert (boat.width, boat.height, boat.taken_ms) == (40, 30, 1_000_000)
    assert (found["plain.JPG"].width, found["plain.JPG"].height) == (50, 60)
    assert found["broken.png"].width is None
    pier = found["pier.png"]
    assert (pier.prompt, pier.seed, pier.model, pier.loras) == ("a pier", 11, "flux", ("ink",))


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        read_folder(tmp_path, "nowhere")
