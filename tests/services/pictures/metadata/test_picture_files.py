from __future__ import annotations

import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_rest.services.pictures.metadata.file_texts import MOST_TEXT_BYTES, FileTexts
from sdcpp_rest.services.pictures.metadata.picture_files import read_jpeg, read_png, read_webp
from sdcpp_rest.services.pictures.metadata.reading import read_file
from tests.cases import for_each_case
from tests.services.pictures.metadata import made_files as made

SAID = "Steps: 3, Sampler: Euler, Seed: 1, Größe 猫"


def texts(file: bytes) -> dict[str, str]:
    read = read_file(file)
    assert read is not None
    return read.file.texts


def test_texts_of_a_png_are_read_in_each_of_their_forms() -> None:
    assert texts(made.png({"a": SAID})) == {"a": SAID}
    assert texts(made.png({}, made.latin_text("a", "Größe"))) == {"a": "Größe"}
    assert texts(made.png({}, made.latin_text("a", "Größe".encode().decode("latin-1")))) == {"a": "Größe"}
    assert texts(made.png({}, made.packed_text("a", b"packed"))) == {"a": "packed"}
    packed = made.chunk(b"iTXt", b"a\0\1\0de\0title\0" + zlib.compress(SAID.encode()))
    assert texts(made.png({}, packed)) == {"a": SAID}


def test_text_behind_the_pixels_of_a_png_is_read() -> None:
    file = made.png()
    end = file.index(b"IEND") - 4
    assert texts(file[:end] + made.latin_text("late", "yes") + file[end:]) == {"late": "yes"}


def test_exif_of_a_png_is_read() -> None:
    assert texts(made.png({}, made.chunk(b"eXIf", made.comment_exif(SAID)))) == {"UserComment": SAID}


@for_each_case(
    "encoding, order, code",
    [
        ("utf-16-be", ">", b"UNICODE\0"),
        ("utf-16-le", "<", b"UNICODE\0"),
        ("utf-16-le", ">", b"UNICODE\0"),
        ("utf-16-be", "<", b"UNICODE\0"),
        ("utf-16", "<", b"UNICODE\0"),
        ("utf-8", "<", b"ASCII\0\0\0"),
        ("utf-8", ">", b"\0" * 8),
        ("utf-8", ">", b"UNICODE\0"),
    ],
)
def test_user_comment_is_read_in_every_byte_order(encoding: str, order: str, code: bytes) -> None:
    said = "Steps: 3, Sampler: Euler, ü"
    mark = b"\xfe\xff" if encoding == "utf-16-be" and order == ">" else b""
    exif = made.exif({}, {0x9286: code + mark + said.encode(encoding)}, order)
    for file in (made.jpeg(exif), made.webp(exif)):
        assert texts(file)["UserComment"] == said


def test_user_comment_that_ends_in_half_a_character_is_read_up_to_it() -> None:
    exif = made.exif({}, {0x9286: b"UNICODE\0" + "Steps: 3".encode("utf-16-be")[:-1]}, ">")
    assert texts(made.jpeg(exif))["UserComment"].startswith("Steps:")


def test_comment_and_xmp_of_a_jpeg_are_read() -> None:
    assert texts(made.jpeg(xmp="<x/>", comment="said")) == {"XML:com.adobe.xmp": "<x/>", "comment": "said"}


# --- hostile files --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_text_of_64_mib_is_not_read() -> None:
    huge = made.chunk(b"tEXt", b"parameters\0" + b"a" * (64 * 1024 * 1024 - 200))
    found = read_png(made.png({"kept": "yes"}, huge))
    assert found.texts == {"kept": "yes"}
    assert "more than" in found.notes[0]


@for_each_case("kind", [b"zTXt", b"iTXt"])
def test_bomb_is_inflated_no_further_than_a_text_may_be_long(kind: bytes) -> None:
    packed = zlib.compress(b"a" * (16 * 1024 * 1024), 1)
    body = b"parameters\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0") + packed
    found = read_png(made.png({}, *[made.chunk(kind, body)] * 3))
    assert found.texts == {}
    assert "more than" in found.notes[0]


def test_all_texts_together_are_bounded() -> None:
    body = b"a" * (MOST_TEXT_BYTES - 10)
    many = [made.chunk(b"tEXt", f"k{number}".encode() + b"\0" + body) for number in range(5)]
    found = read_png(made.png({}, *many))
    assert len(found.texts) == 2
    tiny = [made.latin_text(f"k{number}", "x") for number in range(2_000)]
    found = read_png(made.png({}, *tiny))
    assert len(found.texts) == 500
    assert "more texts" in found.notes[0]


def test_damaged_compression_is_told() -> None:
    found = read_png(made.png({}, made.chunk(b"zTXt", b"a\0\0nonsense")))
    assert found.notes == ["The compressed text 'a' is damaged."]


@for_each_case(
    "make",
    [
        lambda: made.png({"a": "said"}),
        lambda: made.jpeg(made.comment_exif("Steps: 3"), comment="x"),
        lambda: made.webp(made.comment_exif("Steps: 3"), "<x/>"),
        lambda: made.mp4("said", {"a": "b"}),
        lambda: made.webm(comment="said"),
        lambda: made.avif(made.comment_exif("Steps: 3")),
    ],
)
def test_file_that_is_cut_off_anywhere_is_read_up_to_there(make: object) -> None:
    assert callable(make)
    file = make()
    for length in range(0, len(file), max(1, len(file) // 60)):
        read = read_file(file[:length])
        assert read is None or read.found.kind == "txt2img"


def test_lying_length_of_a_chunk_ends_the_reading_and_is_told() -> None:
    lying = struct.pack(">I", 2**31) + b"tEXta\0b\0\0\0\0"
    for file, read in (
        (made.png({"kept": "yes"}, lying), read_png),
        (made.webp()[:30] + b"EXIF" + struct.pack("<I", 2**32 - 1), read_webp),
        (b"\xff\xd8\xff\xe1\xff\xff", read_jpeg),
        (b"\xff\xd8\xff\xe1\x00\x00", read_jpeg),
    ):
        found = read(file)
        assert "lies about their lengths" in found.notes[0]
    assert read_png(made.png({"kept": "yes"}, lying)).texts == {"kept": "yes"}


def test_exif_that_points_outside_or_at_itself_is_passed_over() -> None:
    head = b"II*\0" + struct.pack("<I", 8)
    loop = head + struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + b"\0" * 4
    outside = head + struct.pack("<H", 1) + struct.pack("<HHII", 0x9286, 7, 100, 2**32 - 10) + b"\0" * 4
    too_long = head + struct.pack("<H", 1) + struct.pack("<HHII", 0x9286, 7, 2**32 - 1, 8) + b"\0" * 4
    count = head + struct.pack("<H", 65535) + struct.pack("<HHII", 0x9286, 2, 4, 0)
    for exif in (loop, outside, too_long, count, head[:4] + b"\xff\xff\xff\xff", b"II*\0", b"MM\0*\0\0\0\0", b""):
        assert texts(made.jpeg(exif)).get("UserComment", "") == ""


def test_exif_whose_entries_all_show_the_same_bytes_is_read_once() -> None:
    """Each of 65,535 entries would be as long as the file."""
    value = b"a" * (3 * 1024 * 1024)
    entry = struct.pack("<HHII", 0x9286, 7, len(value), 8 + 2 + 65535 * 12 + 4)
    exif = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65535) + entry * 65535 + b"\0" * 4 + value
    started = time.process_time()
    read = read_file(made.webp(exif))
    assert read is not None
    assert time.process_time() - started < 2
    assert len(read.file.texts) == 1


@given(st.binary(max_size=300), st.sampled_from([made.png, made.jpeg, made.webp, made.mp4, made.webm]), st.data())
def test_no_bytes_end_the_reading_with_an_error(noise: bytes, make: object, data: st.DataObject) -> None:
    assert callable(make)
    file = make()
    position = data.draw(st.integers(0, len(file)))
    length = data.draw(st.integers(0, 40))
    read = read_file(file[:position] + noise + file[position + length :])
    assert read is None or isinstance(read.file, FileTexts)
