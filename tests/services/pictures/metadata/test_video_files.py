from __future__ import annotations

import struct
from pathlib import Path

import pytest

from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.video_encoding import encode_video
from sdcpp_rest.services.pictures.metadata.reading import read_file
from sdcpp_rest.services.pictures.metadata.video_files import read_mp4, read_webm
from tests.cases import for_each_case
from tests.services.pictures.metadata import made_files as made

CAPTION = "a cat ü\nSteps: 3, Sampler: Euler, Seed: 1, Size: 16x16, Frames: 3, FPS: 8, Version: sdcpp-rest 0.1.0"


@pytest.mark.slow
@for_each_case("form", ["mp4", "webm", "webp"])
def test_text_of_our_own_videos_is_read(form: str, tmp_path: Path) -> None:
    frames = [RawPicture(16, 16, 3, bytes([shade]) * 16 * 16 * 3) for shade in (0, 100, 200)]
    path = tmp_path / f"video.{form}"
    encode_video(path, frames, 8, form, CAPTION)
    read = read_file(path.read_bytes())
    assert read is not None
    assert (read.found.tool, read.found.kind) == ("sdcpp-rest", "txt2vid")
    assert read.found.values["output_format"] == form
    assert read.found.values["prompt"] == "a cat ü"


def test_comment_of_an_mp4_is_read_in_each_of_its_places() -> None:
    quicktime = made.box(b"\xa9cmt", struct.pack(">HH", 4, 0) + b"said")
    head = made.box(b"ftyp", b"qt  \0\0\0\0")
    assert read_mp4(head + made.box(b"moov", made.box(b"udta", quicktime))).texts == {"comment": "said"}
    assert read_mp4(made.mp4("said")).texts == {"comment": "said"}
    assert read_mp4(made.mp4(keys={"prompt": "{}", "other": "x"})).texts == {"prompt": "{}", "other": "x"}


def test_long_boxes_and_those_to_the_end_are_stepped_over() -> None:
    movie = made.mp4("said")[made.mp4("said").index(b"moov") - 4 :]
    long = struct.pack(">I4sQ", 1, b"mdat", 24) + b"\0" * 8
    assert read_mp4(long + movie).texts == {"comment": "said"}
    assert read_mp4(movie + struct.pack(">I4s", 0, b"mdat") + b"\0" * 100).texts == {"comment": "said"}


@for_each_case("length", [2, 7, 2**31, 2**32 - 1])
def test_lying_length_of_a_box_ends_the_reading(length: int) -> None:
    found = read_mp4(made.box(b"ftyp", b"isom") + struct.pack(">I4s", length, b"moov") + b"\0" * 50)
    assert found.texts == {}
    assert "lies about their lengths" in found.notes[0]


def test_numbers_of_names_that_are_not_listed_mean_nothing() -> None:
    inside = b"\0\0\0\0" + made.box(b"ilst", made.box(struct.pack(">I", 9), made.box(b"data", b"\0" * 8 + b"x")))
    assert read_mp4(made.box(b"moov", made.box(b"meta", inside))).texts == {}


def test_webm_of_unknown_length_is_read_to_its_end() -> None:
    whole = made.webm(comment="said")
    start = whole.index(b"\x18\x53\x80\x67")
    streamed = whole[: start + 4] + b"\x01" + b"\xff" * 7 + whole[start + 12 :]
    assert read_webm(streamed).texts == {"comment": "said"}


def test_webm_that_lies_about_its_lengths_is_read_as_far_as_it_goes() -> None:
    assert read_webm(b"\x1aE\xdf\xa3" + b"\x01" + b"\xff" * 7).texts == {}
    assert read_webm(b"\x1aE\xdf\xa3\x00\x00\x00").texts == {}
