"""The spool: pixels go in whole or not at all, and come out as pictures whoever was interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_rest.engine import spool
from sdcpp_rest.engine.spool import RawPicture, encode_pixels, has_pictures, has_pixels, write_pixels, write_preview


def gradient(width: int, height: int, channels: int = 3) -> RawPicture:
    """Pixel values count up, so that every one can be told from its neighbours."""
    return RawPicture(width, height, channels, bytes(k % 251 for k in range(width * height * channels)))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pixels_come_out_as_they_went_in(tmp_path: Path, channels: int, mode: str) -> None:
    picture = gradient(5, 3, channels)
    write_pixels(tmp_path / "job", [picture, picture], ("prompt: Käse\nSteps: 2", ""))
    assert has_pixels(tmp_path / "job")
    assert encode_pixels(tmp_path / "job") == ("image_0.png", "image_1.png")
    with Image.open(tmp_path / "job" / "image_0.png") as read:
        assert (read.mode, read.size, read.tobytes()) == (mode, (5, 3), picture.pixels)
        assert read.text["parameters"] == "prompt: Käse\nSteps: 2"  # type: ignore[attr-defined]
    with Image.open(tmp_path / "job" / "image_1.png") as read:
        assert "parameters" not in read.text  # type: ignore[attr-defined]


def test_encoding_removes_the_pixels_and_says_so(tmp_path: Path) -> None:
    write_pixels(tmp_path, [gradient(2, 2)], ("a",))
    write_preview(tmp_path / spool.PREVIEW_NAME, gradient(2, 2), 256, 75)
    encode_pixels(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [spool.ENCODED_NAME, "image_0.png"]
    assert not has_pixels(tmp_path)
    assert has_pictures(tmp_path)


def test_pixels_without_their_manifest_do_not_count(tmp_path: Path) -> None:
    assert not has_pictures(tmp_path / "nobody")
    write_pixels(tmp_path, [gradient(2, 2)], ())
    (tmp_path / "pixels.json").rename(tmp_path / "pixels.json.part")
    assert not has_pixels(tmp_path)
    assert not has_pictures(tmp_path)


def test_interrupted_encoding_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pixels(tmp_path, [gradient(2, 2), gradient(3, 3), gradient(4, 4)], ("a", "b", "c"))
    write, written = spool._write_png, []

    def interrupted(path: Path, picture: RawPicture, caption: str) -> None:
        if len(written) == 1:
            raise OSError(28, "No space left on device")
        written.append(path.name)
        write(path, picture, caption)

    with monkeypatch.context() as patched:
        patched.setattr(spool, "_write_png", interrupted)
        with pytest.raises(OSError, match="No space left"):
            encode_pixels(tmp_path)
    assert has_pictures(tmp_path)
    first = (tmp_path / "image_0.png").stat().st_mtime_ns
    assert encode_pixels(tmp_path) == ("image_0.png", "image_1.png", "image_2.png")
    assert (tmp_path / "image_0.png").stat().st_mtime_ns == first
    for k, side in enumerate((2, 3, 4)):
        with Image.open(tmp_path / f"image_{k}.png") as picture:
            assert picture.size == (side, side)


def test_encoding_twice_answers_twice(tmp_path: Path) -> None:
    write_pixels(tmp_path, [gradient(2, 2)], ("a",))
    assert encode_pixels(tmp_path) == encode_pixels(tmp_path) == ("image_0.png",)


def test_new_pixels_outweigh_an_older_attempt(tmp_path: Path) -> None:
    write_pixels(tmp_path, [gradient(2, 2)] * 2, ("a",))
    encode_pixels(tmp_path)
    write_pixels(tmp_path, [gradient(3, 3)], ("b",))
    assert has_pixels(tmp_path)
    assert encode_pixels(tmp_path) == ("image_0.png",)
    with Image.open(tmp_path / "image_0.png") as picture:
        assert picture.size == (3, 3)


def test_pixels_that_do_not_fit_their_size_are_an_error(tmp_path: Path) -> None:
    write_pixels(tmp_path, [RawPicture(4, 4, 3, b"short")], ())
    with pytest.raises(ValueError, match="not enough image data"):
        encode_pixels(tmp_path)


@pytest.mark.parametrize("missing", ["image_0.raw", "pixels.json"])
def test_nothing_to_encode_is_an_error(tmp_path: Path, missing: str) -> None:
    write_pixels(tmp_path, [gradient(2, 2)], ())
    (tmp_path / missing).unlink()
    if missing == "pixels.json":
        with pytest.raises(FileNotFoundError):
            encode_pixels(tmp_path)
    else:
        assert encode_pixels(tmp_path) == ("image_0.png",), "gone means encoded; the file is what counts then"


def test_unwritable_folder_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="job"):
        write_pixels(tmp_path / "job", [gradient(2, 2)], ())


def test_manifest_is_plain_json(tmp_path: Path) -> None:
    write_pixels(tmp_path, [gradient(2, 1)], ("a", "one too many"))
    assert json.loads((tmp_path / "pixels.json").read_text(encoding="utf-8")) == [[2, 1, 3, "a"]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_crop_takes_the_top_left(channels: int) -> None:
    whole = gradient(16, 8, channels)
    part = whole.cropped(5, 3)
    assert (part.width, part.height) == (5, 3)
    image = Image.frombytes({1: "L", 3: "RGB", 4: "RGBA"}[channels], (16, 8), whole.pixels)
    assert part.pixels == image.crop((0, 0, 5, 3)).tobytes()
    assert whole.cropped(16, 8) is whole
    assert whole.cropped(99, 2) == whole.cropped(16, 2), "never larger than it is"


def test_preview_is_small_and_keeps_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "job" / spool.PREVIEW_NAME
    assert write_preview(path, gradient(400, 200), 100, 75) == (100, 50)
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("JPEG", (100, 50))
    assert write_preview(path, gradient(8, 4, 4), 100, 75) == (8, 4), "small ones are not blown up"
    assert [entry.name for entry in path.parent.iterdir()] == [spool.PREVIEW_NAME]
