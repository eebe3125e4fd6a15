from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.pictures.input_images import load_picture
from sdcpp_rest.services.pictures.picture_formats import FORMATS, KEY, encode, texts_of
from tests.cases import for_each_case

TEXT = "a cat, naïve 日本 🎨\nNegative prompt: x\nSteps: 20, Sampler: Euler"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@for_each_case("form", FORMATS)
def test_the_text_about_a_picture_survives_every_format(form: str) -> None:
    picture = opened(encode(Image.new("RGB", (24, 16), "red"), form, 90, {KEY: TEXT}))
    assert picture.format == {"png": "PNG", "webp": "WEBP", "avif": "AVIF"}.get(form, "JPEG")
    assert picture.size == (24, 16)
    assert texts_of(picture) == {KEY: TEXT}


@for_each_case("form", FORMATS)
def test_without_texts_there_are_none(form: str) -> None:
    assert texts_of(opened(encode(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), form, 50, {}))) == {}


def test_a_png_keeps_all_its_texts() -> None:
    data = encode(Image.new("RGB", (8, 8)), "png", 80, {KEY: "x", "postprocessing": "y"})
    assert texts_of(opened(data)) == {KEY: "x", "postprocessing": "y"}


def test_quality_makes_a_file_smaller() -> None:
    noise = Image.effect_noise((64, 64), 90)
    assert len(encode(noise, "jpeg", 20, {})) < len(encode(noise, "jpeg", 95, {}))


def test_a_text_too_long_for_exif_is_cut_and_still_read() -> None:
    found = texts_of(opened(encode(Image.new("RGB", (8, 8)), "jpg", 80, {KEY: "x" * 100_000})))
    assert found[KEY].startswith("x" * 1000)


@for_each_case(
    ("comment", "expected"),
    [
        (b"UNICODE\0" + "Steps: 1".encode("utf-16-le"), "Steps: 1"),
        (b"UNICODE\0" + "Steps: 1".encode("utf-16-be"), "Steps: 1"),
        (b"ASCII\0\0\0Steps: 1", "Steps: 1"),
        (b"\0\0\0\0\0\0\0\0Steps: 1", "Steps: 1"),
        (b"Steps: 12345", "Steps: 12345"),
    ],
)
def test_comments_of_other_programs_are_read(comment: bytes, expected: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif.tobytes())
    assert texts_of(opened(buffer.getvalue())) == {KEY: expected}


# --- files of other programs ------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\xff\0\0" * 8) * 8))
    return b"\x89PNG\r\n\x1a\n" + head + before + pixels + after + chunk(b"IEND", b"")


def tiff(comment: bytes, *, kind: int = 7, in_first: bool = False, order: str = ">") -> bytes:
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8)
    pointer = b"" if in_first else struct.pack(order + "HHHIII", 1, 0x8769, 4, 1, 26, 0)
    end = len(head) + len(pointer) + 18
    return head + pointer + struct.pack(order + "HHHIII", 1, 0x9286, kind, len(comment), end, 0) + comment


def texts(file: bytes) -> dict[str, str]:
    return texts_of(load_picture("image", file))


KEYED = b"parameters\0"


@for_each_case(
    "piece",
    [
        chunk(b"tEXt", KEYED + TEXT.encode()),
        chunk(b"zTXt", KEYED + b"\0" + zlib.compress(TEXT.encode())),
        chunk(b"iTXt", KEYED + b"\0\0\0\0" + TEXT.encode()),
        chunk(b"iTXt", KEYED + b"\1\0\0\0" + zlib.compress(TEXT.encode())),
        chunk(b"eXIf", tiff(b"UNICODE\0" + TEXT.encode("utf-16-be"))),
        chunk(b"eXIf", tiff(b"UNICODE\0" + TEXT.encode("utf-16-le"), order="<")),
    ],
)
def test_chunks_are_read_before_and_behind_the_pixels(piece: bytes) -> None:
    assert texts(png(before=piece))[KEY] == TEXT
    assert texts(png(after=piece))[KEY] == TEXT


def test_latin_1_stays_what_it_is() -> None:
    assert texts(png(before=chunk(b"tEXt", KEYED + "naïve é".encode("latin-1"))))[KEY] == "naïve é"


def test_latin_1_that_could_be_utf_8_is_written_as_what_it_is() -> None:
    assert texts(encode(Image.new("RGB", (8, 8)), "png", 80, {KEY: "cafÃ©"})) == {KEY: "cafÃ©"}


@pytest.mark.slow
@for_each_case("kind", [b"zTXt", b"iTXt"])
@for_each_case("is_behind", [False, True])
def test_a_text_that_unpacks_to_millions_of_characters_is_refused(kind: bytes, is_behind: bool) -> None:
    flags = b"\0" if kind == b"zTXt" else b"\1\0\0\0"
    bomb = chunk(kind, KEYED + flags + zlib.compress(b"x" * 50_000_000))
    with pytest.raises(InvalidRequest, match="damaged"):
        texts(png(after=bomb) if is_behind else png(before=bomb))


@pytest.mark.slow
@for_each_case("form", ["JPEG", "WEBP", "PNG", "AVIF"])
@for_each_case("order", ["<", ">"])
@for_each_case("in_first", [False, True])
@for_each_case("kind", [2, 7])
@for_each_case(
    "comment",
    [
        b"UNICODE\0" + "日本 Steps: 1".encode("utf-16-le"),
        b"UNICODE\0" + "日本 Steps: 1".encode("utf-16-be"),
        b"UNICODE\0\xff\xfe" + "日本 Steps: 1".encode("utf-16-le"),
        b"UNICODE\0" + "日本 Steps: 1".encode(),
        b"ASCII\0\0\0" + "日本 Steps: 1".encode(),
        b"JIS\0\0\0\0\0" + "日本 Steps: 1".encode("iso2022_jp"),
        b"JIS\0\0\0\0\0" + "日本 Steps: 1".encode("shift_jis"),
        b"\0\0\0\0\0\0\0\0" + "日本 Steps: 1".encode(),
        "日本 Steps: 1".encode(),
    ],
)
def test_comments_are_read_in_every_encoding_and_place(
    comment: bytes, kind: int, in_first: bool, order: str, form: str
) -> None:
    exif = tiff(comment, kind=kind, in_first=in_first, order=order)
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, form, exif=exif if form == "PNG" else b"Exif\0\0" + exif)
    assert texts(buffer.getvalue()) == {KEY: "日本 Steps: 1"}


@pytest.mark.parametrize(("order", "encoding"), [("<", "utf-16-le"), (">", "utf-16-be")])
def test_letters_that_do_not_tell_their_order_have_that_of_the_file(order: str, encoding: str) -> None:
    exif = tiff(b"UNICODE\0" + "日本語".encode(encoding), order=order)
    assert texts(png(before=chunk(b"eXIf", exif)))[KEY] == "日本語"


def test_the_comment_of_a_gif_counts_if_it_says_how_the_picture_was_made() -> None:
    for comment, told in (("é Steps: 1", {KEY: "é Steps: 1"}), ("made by a cat", {})):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "GIF", comment=comment.encode())
        assert texts(buffer.getvalue()) == told


def test_the_entries_of_novelai_become_a_text() -> None:
    note = json.dumps({"steps": 28, "scale": 5.0, "seed": 42, "sampler": "k_euler", "uc": "bad"})
    entries = {"Software": "NovelAI", "Description": "1girl, é", "Comment": note}
    wanted = "1girl, é\nNegative prompt: bad\nSteps: 28, Sampler: Euler, CFG scale: 5.0, Seed: 42, Size: 8x8"
    pieces = b"".join(chunk(b"tEXt", key.encode() + b"\0" + value.encode()) for key, value in entries.items())
    assert texts(png(before=pieces)) == {**entries, KEY: wanted}
    exif = tiff(b"ASCII\0\0\0" + json.dumps(entries).encode())
    assert texts(png(before=chunk(b"eXIf", exif)))[KEY] == wanted


@pytest.mark.slow
def test_looking_for_avif_imports_no_windows_and_fonts() -> None:
    code = "import sys, sdcpp_rest.services.pictures.picture_formats; sys.exit('tkinter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
