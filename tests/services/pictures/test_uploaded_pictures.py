from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.services.pictures.uploaded_pictures import UploadedPictures
from tests.cases import for_each_case


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def uploaded(tmp_path: Path) -> UploadedPictures:
    return UploadedPictures(tmp_path / "uploads", most_bytes=1 << 20, most_days=0)


def test_picture_is_found_under_its_name(uploaded: UploadedPictures) -> None:
    assert uploaded.save("a/b", "x.png", png("red")) == "x.png"
    assert uploaded.path_of("a/b/x.png").read_bytes() == png("red")
    assert uploaded.names() == ["a/b/x.png"]
    with pytest.raises(NotFound):
        uploaded.path_of("a/y.png")


def test_name_that_is_another_pictures_gets_a_number_unless_it_may_be_taken(uploaded: UploadedPictures) -> None:
    assert uploaded.save("", "x.png", png("red")) == "x.png"
    assert uploaded.save("", "x.png", png("red")) == "x.png"
    assert uploaded.save("", "x.png", png("blue")) == "x (1).png"
    assert uploaded.save("", "x.png", png("blue"), overwrite=True) == "x.png"
    assert uploaded.path_of("x.png").read_bytes() == png("blue")


@for_each_case(
    ("subfolder", "name"),
    [
        ("..", "x.png"),
        ("a/../..", "x.png"),
        ("/etc", "x.png"),
        ("\\\\host", "x.png"),
        ("C:", "x.png"),
        ("", "../x.png"),
        ("", "..\\x.png"),
        ("", ".x.png"),
        ("", "x.html"),
        ("", "x"),
        ("", "x\0.png"),
        ("", "x" * 300 + ".png"),
        ("/".join("a" * 9), "x.png"),
    ],
)
def test_names_that_leave_the_folder_or_are_none_are_refused(
    uploaded: UploadedPictures, subfolder: str, name: str
) -> None:
    with pytest.raises(InvalidRequest):
        uploaded.save(subfolder, name, png("red"))
    with pytest.raises((InvalidRequest, NotFound)):
        uploaded.path_of(f"{subfolder}/{name}")
    assert uploaded.names() == []


def test_what_is_no_picture_is_not_kept(uploaded: UploadedPictures) -> None:
    with pytest.raises(InvalidRequest):
        uploaded.save("", "x.png", b"<html>")
    assert uploaded.names() == []


def test_links_that_lead_out_are_not_followed(uploaded: UploadedPictures, tmp_path: Path) -> None:
    uploaded.save("", "x.png", png("red"))
    (tmp_path / "secret.png").write_bytes(png("blue"))
    (tmp_path / "uploads" / "y.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(NotFound):
        uploaded.path_of("y.png")


def test_the_oldest_go_when_there_are_too_many_or_they_are_too_old(tmp_path: Path) -> None:
    size = len(png("red"))
    crowded = UploadedPictures(tmp_path / "crowded", most_bytes=2 * size, most_days=0)
    aged = UploadedPictures(tmp_path / "aged", most_bytes=1 << 20, most_days=1)
    for uploaded in (crowded, aged):
        for seconds, name in enumerate(("first.png", "second.png")):
            uploaded.save("", name, png("red"))
            os.utime(uploaded.path_of(name), (1_000 + seconds, 1_000 + seconds))
        uploaded.save("", "third.png", png("red"))
    assert crowded.names() == ["second.png", "third.png"]
    assert aged.names() == ["third.png"]
