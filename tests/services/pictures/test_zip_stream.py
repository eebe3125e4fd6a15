from __future__ import annotations

import io
import zipfile
from pathlib import Path

from sdcpp_rest.services.pictures.zip_stream import ZipEntry, name_picture, stream_zip
from tests.cases import for_each_case


def test_a_zip_holds_every_file_byte_for_byte(tmp_path: Path) -> None:
    bodies = {f"{number}.png": bytes([number]) * size for number, size in enumerate((0, 10, 700_000))}
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    pieces = list(stream_zip(ZipEntry(name, tmp_path / name) for name in bodies))
    assert max(map(len, pieces)) < 400_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == bodies


def test_what_has_vanished_is_named(tmp_path: Path) -> None:
    (tmp_path / "here.png").write_bytes(b"x")
    entries = [
        ZipEntry("gone.png", tmp_path / "gone.png"),
        ZipEntry("deleted.png", None),
        ZipEntry("here.png", tmp_path / "here.png"),
    ]
    with zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(entries)))) as archive:
        assert archive.namelist() == ["here.png", "missing.txt"]
        assert archive.read("missing.txt").decode().splitlines()[1:] == ["gone.png", "deleted.png"]


def test_names_that_are_taken_get_numbers_whatever_the_case(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    names = ["sea_1.png", "SEA_1.png", "sea_1.png", "sea_1-2.png"]
    with zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(ZipEntry(name, tmp_path / "a") for name in names)))) as archive:
        assert archive.namelist() == ["sea_1.png", "SEA_1-2.png", "sea_1-3.png", "sea_1-2-2.png"]


def test_an_empty_selection_is_an_empty_zip() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(stream_zip([])))) as archive:
        assert archive.namelist() == []


@for_each_case(
    ("prompt", "seed", "path", "name"),
    [
        ("A lighthouse, at dusk", 42, "job/image_0.png", "A-lighthouse-at-dusk_42.png"),
        ("", None, "sub/my photo.JPG", "my-photo.jpg"),
        ("../../etc/passwd", 1, "a.png", "etc-passwd_1.png"),
        ("con", None, "a.png", "con-.png"),
        ("灯台", 3, "a.webp", "灯台_3.webp"),
        ("***", None, "!!.png", "picture.png"),
        ("x" * 500, None, "a.png", "x" * 60 + ".png"),
    ],
)
def test_names_are_words_of_the_prompt_and_the_seed(prompt: str, seed: int | None, path: str, name: str) -> None:
    assert name_picture(prompt, seed, path) == name
