"""Small pictures: the middle, drawn once, of the file as it is now; and nothing that a bad file could do."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.errors import InvalidRequest, OutputNotFound
from sdcpp_rest.services.pictures import thumbnails
from sdcpp_rest.services.pictures.thumbnails import Shape, Thumbnail, stamp_of, thumbnail
from tests.cases import for_each_case

LEFT, MIDDLE, RIGHT = (200, 30, 30), (30, 160, 60), (30, 60, 200)


def stripes(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red, green and blue side by side, the green one as wide as the picture is high."""
    picture = Image.new("RGB", (width, height), MIDDLE)
    edge = (width - height) // 2
    picture.paste(LEFT, (0, 0, edge, height))
    picture.paste(RIGHT, (width - edge, 0, width, height))
    return picture.convert(mode)


def opened(small: Thumbnail) -> Image.Image:
    assert (small.media_type, small.is_placeholder) == ("image/jpeg", False)
    picture = Image.open(io.BytesIO(small.body))
    assert (picture.format, picture.size) == ("JPEG", (120, 120))
    return picture.convert("RGB")


def is_near(colour: Any, wanted: tuple[int, int, int], tolerance: int = 12) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(colour, wanted, strict=True))


def assert_placeholder(small: Thumbnail) -> None:
    assert (small.media_type, small.is_placeholder) == ("image/svg+xml", True)
    assert small.body.startswith(b"<svg")


@pytest.mark.slow
@for_each_case(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "RGBA"), ("a.png", "P"), ("a.jpg", "RGB"), ("a.JPEG", "RGB"), ("a.gif", "P"),
     ("a.webp", "RGB"), ("a.webp", "RGBA"), ("a.bmp", "RGB"), ("a.jpg", "CMYK")],
)  # fmt: skip
@for_each_case("size", [(300, 200), (2000, 1200)])
def test_a_thumbnail_is_the_middle_of_a_picture(tmp_path: Path, name: str, mode: str, size: tuple[int, int]) -> None:
    stripes(*size, mode).save(tmp_path / name)
    picture = opened(thumbnail(tmp_path / name))
    for place in ((3, 60), (60, 3), (60, 60), (116, 60), (60, 116)):
        assert is_near(picture.getpixel(place), MIDDLE), place


@for_each_case("size", [(120, 120), (50, 70), (1, 1), (3000, 2), (2, 3000)])
def test_a_picture_of_any_shape_has_one(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, LEFT).save(tmp_path / "a.png")
    assert is_near(opened(thumbnail(tmp_path / "a.png")).getpixel((60, 60)), LEFT)


def test_transparent_is_white_and_16_bits_are_scaled(tmp_path: Path) -> None:
    Image.new("RGBA", (200, 200), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert is_near(opened(thumbnail(tmp_path / "clear.png")).getpixel((60, 60)), (255, 255, 255))
    Image.fromarray(np.full((200, 200), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert is_near(opened(thumbnail(tmp_path / "deep.png")).getpixel((60, 60)), (128, 128, 128))


def test_a_photograph_is_turned_as_its_camera_was(tmp_path: Path) -> None:
    picture = Image.new("RGB", (400, 400), LEFT)
    picture.paste(RIGHT, (0, 200, 400, 400))
    exif = Image.Exif()
    exif[0x0112] = 3
    picture.save(tmp_path / "a.jpg", exif=exif)
    small = opened(thumbnail(tmp_path / "a.jpg"))
    assert is_near(small.getpixel((60, 20)), RIGHT)
    assert is_near(small.getpixel((60, 100)), LEFT)


def write_video(path: Path, codec: str) -> None:
    """Two seconds of a picture with red, green and blue stripes."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=6)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_image(stripes(320, 192))))
        container.mux(stream.encode())


@pytest.mark.slow
@for_each_case(
    ("name", "codec"),
    [("a.mp4", "mpeg4"), ("a.mov", "mpeg4"), ("a.avi", "mpeg4"), ("a.mkv", "mpeg4"), ("a.webm", "libvpx")],
)
def test_a_video_shows_its_first_frame(tmp_path: Path, name: str, codec: str) -> None:
    write_video(tmp_path / name, codec)
    picture = opened(thumbnail(tmp_path / name))
    for place in ((6, 60), (60, 60), (113, 60)):
        assert is_near(picture.getpixel(place), MIDDLE, 25), place


def test_a_video_is_a_play_button_where_nothing_can_decode_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "empty.webm").write_bytes(b"")
    for name in ("broken.mp4", "empty.webm"):
        assert_placeholder(thumbnail(tmp_path / name))
    write_video(tmp_path / "a.mp4", "mpeg4")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert_placeholder(thumbnail(tmp_path / "a.mp4"))
    monkeypatch.undo()
    opened(thumbnail(tmp_path / "a.mp4"))


def test_a_list_of_other_files_is_no_video(tmp_path: Path) -> None:
    """By its content it is a playlist, and its parts would be fetched from wherever they are."""
    write_video(tmp_path / "secret.mp4", "mpeg4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{tmp_path}/secret.mp4\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{tmp_path}/secret.mp4'\n"
    for ending in sorted(thumbnails.VIDEO_ENDINGS):
        for text in (playlist, concat):
            (tmp_path / f"list{ending}").write_text(text)
            assert_placeholder(thumbnail(tmp_path / f"list{ending}"))


# --- what is kept ---------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    shrunk = thumbnails._shrunk

    def counted(path: Path, shape: Shape) -> Image.Image:
        names.append(path.name)
        return shrunk(path, shape)

    monkeypatch.setattr(thumbnails, "_shrunk", counted)
    return names


def test_a_thumbnail_is_drawn_once(tmp_path: Path, drawn: list[str]) -> None:
    stripes(300, 200).save(tmp_path / "a.png")
    first = thumbnail(tmp_path / "a.png")
    assert thumbnail(tmp_path / "a.png") == first
    assert drawn == ["a.png"]
    assert [path.name for path in (tmp_path / ".thumbs").iterdir()] == ["a.png.jpg"]


def test_names_that_differ_in_their_ending_do_not_share_one(tmp_path: Path, drawn: list[str]) -> None:
    Image.new("RGB", (200, 200), LEFT).save(tmp_path / "a.png")
    Image.new("RGB", (200, 200), RIGHT).save(tmp_path / "a.webp")
    thumbnail(tmp_path / "a.png")
    assert is_near(opened(thumbnail(tmp_path / "a.webp")).getpixel((60, 60)), RIGHT)
    assert len(drawn) == 2


def test_a_replaced_file_is_drawn_anew(tmp_path: Path, drawn: list[str]) -> None:
    path = tmp_path / "a.bmp"
    for k, colour in enumerate((LEFT, RIGHT)):
        Image.new("RGB", (200, 200), colour).save(path)
        os.utime(path, (1000 + k, 1000))
        before = stamp_of(path)
        os.utime(path, (1000, 1000 + k))
        assert (stamp_of(path) == before) == (k == 0), "same size, another time"
        assert is_near(opened(thumbnail(path)).getpixel((60, 60)), colour)
    assert drawn == ["a.bmp", "a.bmp"]
    assert len(list((tmp_path / ".thumbs").iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"\xff\xd8", b"something else", None])
def test_a_damaged_thumbnail_is_drawn_anew(tmp_path: Path, drawn: list[str], damage: bytes | None) -> None:
    stripes(300, 200).save(tmp_path / "a.png")
    first = thumbnail(tmp_path / "a.png")
    kept = tmp_path / ".thumbs" / "a.png.jpg"
    kept.write_bytes(kept.read_bytes()[:-50] if damage is None else damage)
    assert thumbnail(tmp_path / "a.png") == first
    assert len(drawn) == 2
    assert kept.read_bytes() == first.body


def test_being_looked_at_does_not_make_a_folder_the_newest(tmp_path: Path) -> None:
    stripes(300, 200).save(tmp_path / "a.png")
    os.utime(tmp_path, (1000, 1000))
    thumbnail(tmp_path / "a.png")
    assert tmp_path.stat().st_mtime == 1000


def test_a_folder_that_takes_no_files_serves_them_all_the_same(tmp_path: Path) -> None:
    stripes(300, 200).save(tmp_path / "a.png")
    (tmp_path / ".thumbs").write_text("in the way")
    opened(thumbnail(tmp_path / "a.png"))
    assert (tmp_path / ".thumbs").read_text() == "in the way"
    long = "x" * 250 + ".png"
    stripes(300, 200).save(tmp_path / long)
    opened(thumbnail(tmp_path / long))


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "elsewhere").mkdir()
    stripes(300, 200).save(tmp_path / "job" / "a.png")
    (tmp_path / "job" / ".thumbs").symlink_to(tmp_path / "elsewhere")
    opened(thumbnail(tmp_path / "job" / "a.png"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_goes_away_while_it_is_drawn_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    stripes(300, 200).save(folder / "a.png")
    square = thumbnails._shrink

    def removed_meanwhile(picture: Image.Image, shape: Shape) -> Image.Image:
        folder.rename(tmp_path / "gone")
        return square(picture, shape)

    monkeypatch.setattr(thumbnails, "_shrink", removed_meanwhile)
    opened(thumbnail(folder / "a.png"))
    assert not folder.exists()


def test_many_at_once_agree_and_two_are_decoded_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(6):
        stripes(300 + k, 200).save(tmp_path / f"{k}.png")
    inside, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)
    shrunk = thumbnails._shrunk

    def counted(path: Path, shape: Shape) -> Image.Image:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both.wait(20)
        made = shrunk(path, shape)
        with lock:
            inside -= 1
        return made

    monkeypatch.setattr(thumbnails, "_shrunk", counted)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda k: thumbnail(tmp_path / f"{k}.png"), range(6)))
    assert most == 2
    monkeypatch.undo()
    assert [thumbnail(tmp_path / f"{k}.png") for k in range(6)] == made
    assert sorted(path.name for path in (tmp_path / ".thumbs").iterdir()) == [f"{k}.png.jpg" for k in range(6)]


# --- bad files ------------------------------------------------------------------------------------------------------


def png_of(width: int, height: int, rows: bytes) -> bytes:
    """A PNG whose header says what one likes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@for_each_case("size", [(20_000, 20_000), (8193, 8192), (2**31 - 1, 2**31 - 1), (100_000, 1_000)])
def test_a_picture_that_claims_to_be_huge_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    def load(picture: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    (tmp_path / "bomb.png").write_bytes(png_of(*size, b"\0" * 1000))
    assert_placeholder(thumbnail(tmp_path / "bomb.png"))


@pytest.mark.parametrize(("name", "limit"), [("a.webp", "_MAX_WEBP_PIXELS"), ("a.mp4", "_MAX_VIDEO_PIXELS")])
def test_what_takes_more_memory_has_its_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str
) -> None:
    if name == "a.mp4":
        write_video(tmp_path / name, "mpeg4")
    else:
        stripes(320, 192).save(tmp_path / name)
    monkeypatch.setattr(thumbnails, limit, 320 * 192 - 1)
    assert_placeholder(thumbnail(tmp_path / name))
    monkeypatch.setattr(thumbnails, limit, 320 * 192)
    opened(thumbnail(tmp_path / name))


def test_a_file_that_is_huge_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stripes(300, 200).save(tmp_path / "a.webp")
    monkeypatch.setattr(thumbnails, "_MAX_IMAGE_BYTES", 10)
    assert_placeholder(thumbnail(tmp_path / "a.webp"))


@for_each_case("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp"])
@for_each_case("kept", [0, 1, 10, 60, 100, 400])
def test_a_file_that_ends_too_soon_gets_a_placeholder(tmp_path: Path, name: str, kept: int) -> None:
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    assert_placeholder(thumbnail(tmp_path / name))
    assert not (tmp_path / ".thumbs").exists()


def test_a_file_of_another_kind_is_not_opened_by_its_content(tmp_path: Path) -> None:
    """Formats that call other programs, or nobody needs here, stay shut."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    assert_placeholder(thumbnail(tmp_path / "a.png"))
    stripes(300, 200).save(tmp_path / "b.png", "TIFF")
    assert_placeholder(thumbnail(tmp_path / "b.png"))
    stripes(300, 200).save(tmp_path / "named_wrongly.png", "JPEG")
    opened(thumbnail(tmp_path / "named_wrongly.png"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_exif_block_does_not_spoil_the_pixels(tmp_path: Path) -> None:
    stripes(300, 200).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    opened(thumbnail(tmp_path / "a.jpg"))


@for_each_case("name", ["config.json", "a.svg", "a.avif", "a", ".png", "a.png.txt"])
def test_what_is_no_picture_by_its_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InvalidRequest) as refused:
        thumbnail(tmp_path / name)
    assert ".png" in refused.value.detail["allowed"]


def test_folders_are_refused_and_what_is_gone_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InvalidRequest):
        thumbnail(tmp_path / "folder.png")
    with pytest.raises(OutputNotFound):
        thumbnail(tmp_path / "nobody.png")


def shaped(path: Path, shape: Shape) -> Image.Image:
    small = thumbnail(path, shape)
    assert not small.is_placeholder
    picture = Image.open(io.BytesIO(small.body))
    assert picture.get_format_mimetype() == small.media_type == shape.media_type  # type: ignore[attr-defined]
    return picture


@pytest.mark.slow
@for_each_case(
    ("shape", "size", "expected"),
    [
        (Shape(256, "inside"), (1000, 500), (256, 128)),
        (Shape(256, "inside"), (500, 1000), (128, 256)),
        (Shape(512, "inside", True), (1024, 1024), (512, 512)),
        (Shape(512, "cover", True), (1024, 768), (512, 512)),
        (Shape(1024, "inside", True), (300, 200), (300, 200)),
        (Shape(1024, "cover"), (300, 200), (200, 200)),
        (Shape(120, "inside"), (300, 100), (120, 40)),
        (Shape(256, "inside"), (3000, 2), (256, 1)),
    ],
)
@for_each_case("mode", ["RGB", "RGBA", "P"])
def test_other_sizes_show_all_or_the_middle_and_are_never_larger_than_the_picture(
    tmp_path: Path, shape: Shape, size: tuple[int, int], expected: tuple[int, int], mode: str
) -> None:
    Image.new("RGB", size, LEFT).convert(mode).save(tmp_path / "a.png")
    picture = shaped(tmp_path / "a.png", shape)
    assert picture.size == expected
    # Palettes have only something like it.
    assert is_near(picture.convert("RGB").getpixel((0, 0)), LEFT, 40 if mode == "P" else 12)


def test_all_of_a_picture_is_shown_inside(tmp_path: Path) -> None:
    stripes(900, 300).save(tmp_path / "a.png")
    picture = shaped(tmp_path / "a.png", Shape(256, "inside", True)).convert("RGB")
    assert [is_near(picture.getpixel((x, 40)), colour) for x, colour in ((5, LEFT), (128, MIDDLE), (250, RIGHT))]


def test_each_shape_is_drawn_once_and_anew_for_another_file(tmp_path: Path, drawn: list[str]) -> None:
    file = tmp_path / "a.png"
    stripes(300, 200).save(file)
    shapes = [Shape(), Shape(256), Shape(256, "inside"), Shape(256, "inside", True)]
    first = [thumbnail(file, shape) for shape in shapes]
    assert [thumbnail(file, shape) for shape in shapes] == first
    assert len(drawn) == 4
    kept = sorted(path.name for path in (tmp_path / ".thumbs").iterdir())
    assert kept == ["a.png.cover256.jpg", "a.png.inside256.jpg", "a.png.inside256.webp", "a.png.jpg"]
    Image.new("RGB", (200, 300), RIGHT).save(file)
    assert shaped(file, shapes[3]).size == (171, 256)
    cut = (tmp_path / ".thumbs" / "a.png.inside256.webp").read_bytes()[:-3]
    (tmp_path / ".thumbs" / "a.png.inside256.webp").write_bytes(cut)
    assert shaped(file, shapes[3]).size == (171, 256), "a damaged one is drawn anew"


def test_a_video_has_larger_ones_too(tmp_path: Path) -> None:
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", "mpeg4")
    assert max(shaped(tmp_path / "a.mp4", Shape(256, "inside", True)).size) <= 256
