"""Videos have the frames, the rate and the colours they were given, and are whole or not there."""

from __future__ import annotations

import resource
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.video_encoding import encode_video
from tests.cases import for_each_case

FILES = ("mp4", "webm", "webp")
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 90, 30))


def plain(colour: tuple[int, int, int], width: int = 48, height: int = 32) -> RawPicture:
    return RawPicture(width, height, 3, bytes(colour) * (width * height))


def clip(count: int, width: int = 48, height: int = 32) -> list[RawPicture]:
    """Every frame of another colour than its neighbours."""
    return [plain(COLOURS[k % len(COLOURS)], width, height) for k in range(count)]


def noise(count: int, width: int = 96, height: int = 96) -> list[RawPicture]:
    """Frames that do not compress."""
    random = np.random.default_rng(0)
    return [RawPicture(width, height, 3, random.bytes(width * height * 3)) for _ in range(count)]


def frames_of(path: Path) -> list[np.ndarray]:
    """What a player shows: RGB, height x width x 3 each."""
    if path.suffix == ".webp":
        with Image.open(path) as image:
            pages = []
            for k in range(getattr(image, "n_frames", 1)):
                image.seek(k)
                pages.append(np.asarray(image.convert("RGB")))
            return pages
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@contextmanager
def file_limit(limit_bytes: int) -> Iterator[None]:
    """Files may not grow larger: what a full disk does, in one process and at any byte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
@for_each_case("video_format", ["mp4", "webm"])
@for_each_case("fps", [1, 16, 24, 120])
@for_each_case("count", [1, 2, 33])
def test_video_has_exactly_its_frames_and_its_rate(tmp_path: Path, video_format: str, fps: int, count: int) -> None:
    path = tmp_path / f"video.{video_format}"
    encode_video(path, clip(count), fps, video_format, "")
    assert len(frames_of(path)) == count
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == fps
        assert container.duration == pytest.approx(count / fps * 1e6, abs=1000)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([k / fps for k in range(count)], abs=0.0006), "WebM counts milliseconds"


@for_each_case(("fps", "count"), [(1, 3), (16, 33), (24, 50), (120, 7)])
def test_webp_shows_each_frame_for_its_time(tmp_path: Path, fps: int, count: int) -> None:
    path = tmp_path / "video.webp"
    encode_video(path, clip(count), fps, "webp", "")
    with Image.open(path) as image:
        assert (image.n_frames, image.info["loop"]) == (count, 0)  # type: ignore[attr-defined]
        durations = []
        for k in range(count):
            image.seek(k)
            image.load()
            durations.append(image.info["duration"])
    assert sum(durations) == pytest.approx(count * 1000 / fps, abs=0.51)
    assert max(durations) - min(durations) <= 1


def test_webp_of_one_frame_is_a_picture(tmp_path: Path) -> None:
    encode_video(tmp_path / "video.webp", clip(1), 16, "webp", "a")
    assert len(frames_of(tmp_path / "video.webp")) == 1


@pytest.mark.parametrize("video_format", FILES)
def test_colours_come_back(tmp_path: Path, video_format: str) -> None:
    path = tmp_path / f"video.{video_format}"
    encode_video(path, clip(len(COLOURS)), 8, video_format, "")
    for colour, shown in zip(COLOURS, frames_of(path), strict=True):
        assert np.abs(shown.astype(int) - colour).max() <= 4, colour


@pytest.mark.parametrize("video_format", ["mp4", "webm"])
def test_colours_are_stored_as_the_tags_say(tmp_path: Path, video_format: str) -> None:
    # Decoder and encoder could share one mistake: the brightness of pure red tells BT.709 (63) from BT.601 (81).
    path = tmp_path / f"video.{video_format}"
    encode_video(path, [plain((255, 0, 0))], 8, video_format, "")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    assert abs(int(frame.to_ndarray()[0, 0]) - 63) <= 1


@for_each_case(("width", "height"), [(1, 1), (15, 32), (32, 15), (17, 33)])
def test_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    frames = clip(3, width, height)
    for video_format in FILES:
        encode_video(tmp_path / f"video.{video_format}", frames, 8, video_format, "")
    for video_format, side in (("mp4", (height + height % 2, width + width % 2)), ("webm", (height, width))):
        shown = frames_of(tmp_path / f"video.{video_format}")
        assert [frame.shape[:2] for frame in shown] == [side] * 3
        assert np.abs(shown[0].astype(int) - COLOURS[0]).max() <= 4, "the added column looks like its neighbour"
    assert frames_of(tmp_path / "video.webp")[0].shape[:2] == (height, width)


@pytest.mark.parametrize("video_format", ["mp4", "webm"])
def test_caption_is_the_comment(tmp_path: Path, video_format: str) -> None:
    caption = "ein Käse, 猫\nSteps: 2, " + "漢" * 10_000
    encode_video(tmp_path / "video", clip(2), 8, video_format, caption)
    with av.open(str(tmp_path / "video")) as container:
        read = {key.lower(): text for key, text in container.metadata.items()}
    assert read["comment"] == caption


@pytest.mark.parametrize("count", [1, 2])
def test_caption_of_a_webp_is_its_user_comment(tmp_path: Path, count: int) -> None:
    encode_video(tmp_path / "video.webp", clip(count), 8, "webp", "ein Käse, 猫\nSteps: 2")
    with Image.open(tmp_path / "video.webp") as image:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0"
    assert comment[8:].decode("utf-16-be") == "ein Käse, 猫\nSteps: 2"


def test_browser_can_begin_before_it_has_the_whole_mp4(tmp_path: Path) -> None:
    encode_video(tmp_path / "video.mp4", noise(4), 8, "mp4", "")
    raw = (tmp_path / "video.mp4").read_bytes()
    assert raw[4:8] == b"ftyp"
    assert 0 < raw.index(b"moov") < raw.index(b"mdat")
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize("video_format", FILES)
def test_full_disk_leaves_no_file(tmp_path: Path, video_format: str) -> None:
    path, frames = tmp_path / f"video.{video_format}", noise(4)
    encode_video(path, frames, 8, video_format, "")
    size = path.stat().st_size
    path.unlink()
    for limit in (0, 1000, size // 2, size - 1):
        with file_limit(limit), pytest.raises(OSError, match="too large"):
            encode_video(path, frames, 8, video_format, "")
        assert list(tmp_path.iterdir()) == []
    with file_limit(size):
        encode_video(path, frames, 8, video_format, "")
    assert path.stat().st_size == size


@pytest.mark.parametrize("video_format", FILES)
def test_interrupted_encoding_keeps_the_file_that_was_there(tmp_path: Path, video_format: str) -> None:
    class Torn(list[RawPicture]):
        def __getitem__(self, k: int) -> RawPicture:  # type: ignore[override]
            if k == 2:
                raise OSError(5, "Input/output error")
            return super().__getitem__(k)

    path = tmp_path / f"video.{video_format}"
    path.write_bytes(b"older")
    with pytest.raises(OSError, match="Input/output error"):
        encode_video(path, Torn(clip(4)), 8, video_format, "")
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("video_format", FILES)
def test_frames_are_held_one_at_a_time(tmp_path: Path, video_format: str) -> None:
    class Counting:
        def __init__(self) -> None:
            self.alive = weakref.WeakSet[RawPicture]()
            self.most = 0

        def __len__(self) -> int:
            return 40

        def __getitem__(self, k: int, /) -> RawPicture:
            picture = plain(COLOURS[k % len(COLOURS)])
            self.alive.add(picture)
            self.most = max(self.most, len(self.alive))
            return picture

    frames = Counting()
    encode_video(tmp_path / "video", frames, 8, video_format, "")
    assert frames.most <= 3


@for_each_case("video_format", FILES)
@for_each_case(
    ("odd_one", "told"),
    [
        (plain((0, 0, 0), 46), "frame 1 is 46x32x3, not 48x32x3"),
        (RawPicture(48, 32, 4, bytes(48 * 32 * 4)), "frame 1 is 48x32x4"),
        (RawPicture(48, 32, 3, b"short"), "frame 1 has 5 bytes"),
    ],
)
def test_frames_that_do_not_fit_together_are_refused(
    tmp_path: Path, video_format: str, odd_one: RawPicture, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        encode_video(tmp_path / "video", [plain((0, 0, 0)), odd_one], 8, video_format, "")
    assert list(tmp_path.iterdir()) == []


@for_each_case(
    ("fps", "video_format", "count", "told"),
    [(0, "mp4", 1, "fps: 0"), (8, "avi", 1, "'avi'"), (8, "frames", 1, "'frames'"), (8, "mp4", 0, "at least one")],
)
def test_nonsense_is_refused(tmp_path: Path, fps: int, video_format: str, count: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        encode_video(tmp_path / "video", clip(count), fps, video_format, "")


def test_unwritable_folder_is_an_os_error(tmp_path: Path) -> None:
    for video_format in FILES:
        with pytest.raises(OSError, match="No such file"):
            encode_video(tmp_path / "nobody" / "video", clip(2), 8, video_format, "")


@pytest.mark.slow
def test_who_only_draws_pictures_does_not_pay_for_pyav() -> None:
    looked = "import sys, sdcpp_rest.engine.worker; print('av' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False"
