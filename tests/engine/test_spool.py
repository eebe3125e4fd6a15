"""The spool: pixels go in whole or not at all, and come out as pictures whoever was interrupted."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import av
import pytest
from PIL import Image

from sdcpp_rest.engine import spool
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.spool import encode_pixels, has_pictures, has_pixels, write_frames, write_pixels, write_preview
from sdcpp_rest.engine.video_encoding import VIDEO_FORMATS
from tests.cases import for_each_case


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
    part = whole.crop(5, 3)
    assert (part.width, part.height) == (5, 3)
    image = Image.frombytes({1: "L", 3: "RGB", 4: "RGBA"}[channels], (16, 8), whole.pixels)
    assert part.pixels == image.crop((0, 0, 5, 3)).tobytes()
    assert whole.crop(16, 8) is whole
    assert whole.crop(99, 2) == whole.crop(16, 2), "never larger than it is"


def test_preview_is_small_and_keeps_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "job" / spool.PREVIEW_NAME
    assert write_preview(path, gradient(400, 200), 100, 75) == (100, 50)
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("JPEG", (100, 50))
    assert write_preview(path, gradient(8, 4, 4), 100, 75) == (8, 4), "small ones are not blown up"
    assert [entry.name for entry in path.parent.iterdir()] == [spool.PREVIEW_NAME]


# --- videos ---------------------------------------------------------------------------------------------------------

VIDEO_NAMES = {
    "mp4": ("video.mp4",),
    "webm": ("video.webm",),
    "webp": ("video.webp",),
    "frames": ("frame_0000.png", "frame_0001.png", "frame_0002.png"),
}


def clip(side: int = 16) -> list[RawPicture]:
    """A red, a green and a blue frame."""
    return [
        RawPicture(side, side, 3, bytes(colour) * (side * side)) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    ]


@for_each_case("video_format", VIDEO_FORMATS)
def test_frames_become_a_video_and_nothing_else(tmp_path: Path, video_format: str) -> None:
    folder = tmp_path / "job"
    write_frames(folder, clip(), 16, video_format, "prompt: Käse\nSteps: 2")
    assert sorted(path.name for path in folder.iterdir()) == ["frames.raw", "pixels.json"]
    assert (folder / "frames.raw").read_bytes() == b"".join(frame.pixels for frame in clip())
    assert has_pixels(folder)
    write_preview(folder / spool.PREVIEW_NAME, gradient(2, 2), 256, 75)
    names = VIDEO_NAMES[video_format]
    assert encode_pixels(folder) == encode_pixels(folder) == names
    assert sorted(path.name for path in folder.iterdir()) == [spool.ENCODED_NAME, *names]
    assert has_pictures(folder)
    assert not has_pixels(folder)


def test_video_has_the_frames_the_rate_and_the_caption(tmp_path: Path) -> None:
    write_frames(tmp_path, clip(), 5, "mp4", "a caption")
    encode_pixels(tmp_path)
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert (container.streams.video[0].frames, container.streams.video[0].average_rate) == (3, 5)
        assert container.metadata["comment"] == "a caption"


def test_frames_as_pictures_are_exact_and_carry_the_caption(tmp_path: Path) -> None:
    write_frames(tmp_path, clip(), 16, "frames", "a caption")
    for name, frame in zip(encode_pixels(tmp_path), clip(), strict=True):
        with Image.open(tmp_path / name) as read:
            assert (read.mode, read.size, read.tobytes()) == ("RGB", (16, 16), frame.pixels)
            assert read.text["parameters"] == "a caption"  # type: ignore[attr-defined]


def test_frames_without_their_manifest_do_not_count(tmp_path: Path) -> None:
    write_frames(tmp_path, clip(), 16, "mp4", "")
    (tmp_path / "pixels.json").unlink()
    assert not has_pictures(tmp_path)


@pytest.mark.parametrize("video_format", ["mp4", "webm", "webp"])
def test_interrupted_video_is_encoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video_format: str) -> None:
    write_frames(tmp_path, clip(), 16, video_format, "")
    (tmp_path / f"video.{video_format}.part").write_bytes(b"what a killed encoder left")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", _full_disk)
        with pytest.raises(OSError, match="No space left"):
            encode_pixels(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.raw", "pixels.json"]
    assert has_pictures(tmp_path)
    assert encode_pixels(tmp_path) == (f"video.{video_format}",)


def test_video_is_not_encoded_twice_when_only_the_manifest_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path, clip(), 16, "mp4", "")
    replaced, replace = [], os.replace

    def killed_before_the_manifest(source: Path, target: Path) -> None:
        if replaced:
            raise OSError(28, "No space left on device")
        replaced.append(target)
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed_before_the_manifest)
        with pytest.raises(OSError, match="No space left"):
            encode_pixels(tmp_path)
    first = (tmp_path / "video.mp4").stat()
    assert encode_pixels(tmp_path) == ("video.mp4",)
    assert (tmp_path / "video.mp4").stat().st_ino == first.st_ino


def test_interrupted_frames_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path, clip(), 16, "frames", "")
    write = spool._write_png

    def interrupted(path: Path, picture: RawPicture, caption: str) -> None:
        if path.name == "frame_0001.png":
            _full_disk()
        write(path, picture, caption)

    with monkeypatch.context() as patched:
        patched.setattr(spool, "_write_png", interrupted)
        with pytest.raises(OSError, match="No space left"):
            encode_pixels(tmp_path)
    first = (tmp_path / "frame_0000.png").stat().st_ino
    assert encode_pixels(tmp_path) == VIDEO_NAMES["frames"]
    assert (tmp_path / "frame_0000.png").stat().st_ino == first


def test_full_disk_while_frames_are_written_leaves_nothing_that_counts(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    write_frames(folder, clip(), 16, "frames", "an earlier attempt")
    encode_pixels(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_frames(folder, clip(), 16, "mp4", "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not has_pictures(folder)


def test_new_frames_replace_what_an_earlier_attempt_left(tmp_path: Path) -> None:
    write_frames(tmp_path, clip(), 16, "frames", "")
    encode_pixels(tmp_path)
    write_frames(tmp_path, clip(8)[:1], 16, "frames", "")
    assert encode_pixels(tmp_path) == ("frame_0000.png",)
    with Image.open(tmp_path / "frame_0000.png") as picture:
        assert picture.size == (8, 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == [spool.ENCODED_NAME, "frame_0000.png"]


@for_each_case("video_format", VIDEO_FORMATS)
def test_frames_that_do_not_fit_their_size_are_an_error(tmp_path: Path, video_format: str) -> None:
    write_frames(tmp_path, [*clip(), RawPicture(16, 16, 3, b"short")], 16, video_format, "")
    with pytest.raises(ValueError, match="not enough image data"):
        encode_pixels(tmp_path)


@for_each_case(
    ("frames", "fps", "video_format", "told"),
    [
        ([], 16, "mp4", "RGB frames of one size"),
        ([*clip(16), *clip(8)], 16, "mp4", r"\(8, 8, 3\), \(16, 16, 3\)"),
        ([gradient(8, 8, 4)], 16, "mp4", r"RGB frames of one size; these are \[\(8, 8, 4\)\]"),
        (clip(), 0, "mp4", "fps: 0"),
        (clip(), 16, "../mp4", "is none of mp4, webm, webp, frames"),
    ],
)
def test_frames_that_can_never_be_a_video_are_refused_at_once(
    tmp_path: Path, frames: list[RawPicture], fps: int, video_format: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        write_frames(tmp_path / "job", frames, fps, video_format, "")
    assert not (tmp_path / "job").exists()


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")
