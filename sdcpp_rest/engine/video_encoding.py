"""Encodes equal frames as one video file: MP4 (H.264), WebM (VP9) or animated WebP.

Knows nothing of jobs and spools. PyAV is imported when the first MP4 or WebM is made, so that whoever only draws
pictures never pays for it.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

from sdcpp_rest.core.params import VideoFormat

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from PIL import Image

    from sdcpp_rest.engine.raw_picture import RawPicture

VIDEO_FORMATS: tuple[str, ...] = get_args(VideoFormat)
"""What a video job may ask for. "frames" is one PNG per frame: no file of this room's."""

# The engine computes the next job beside this.
_THREADS = 2
_CODECS = {"mp4": "libx264", "webm": "libvpx-vp9"}
_CODEC_OPTIONS = {
    # Looking 40 frames ahead (the preset's choice) takes 0.5 GB at 2048x2048, 10 take 0.2 GB; the files differ little.
    "mp4": {"crf": "17", "preset": "medium", "rc-lookahead": "10"},
    "webm": {"crf": "24", "deadline": "good", "cpu-used": "5", "row-mt": "1", "lag-in-frames": "12"},
}
# Without it a browser has to fetch the whole file before it can show the first frame.
_MUXER_OPTIONS = {"mp4": {"movflags": "+faststart"}, "webm": {}}
# The numbers that H.264, VP9 and libav share: BT.709 primaries, curve and matrix, limited range.
_BT709, _LIMITED_RANGE = 1, 1
_WEBP_QUALITY = 90
_WEBP_METHOD = 2
# EXIF UserComment of the Exif IFD: where other programs look for a picture's parameters when it is no PNG.
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


class Frames(Protocol):
    """Frames by number. Read once and in order, each forgotten before the next: a video may be larger than memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int, /) -> RawPicture: ...


def encode_video(path: Path, frames: Frames, fps: int, video_format: str, caption: str) -> None:
    """Write ``frames`` (RGB, all of one size) to ``path`` as "mp4", "webm" or "webp", shown ``fps`` times a second.

    The file has exactly these frames and this rate; a WebP counts in whole milliseconds and stores a frame that equals
    the one before it as a longer one. ``caption`` becomes its comment (WebP: EXIF UserComment). H.264 with a quarter
    of the colour samples needs even sides: an odd one is made even by repeating the last column or row.

    Encoded beside ``path`` and renamed when whole: nobody ever sees half a video. Raises OSError (the disk is full,
    the encoder refuses) and ValueError (no frames, frames that are not RGB or not of one size, another format).
    """
    if video_format not in VIDEO_FORMATS or video_format == "frames":
        raise ValueError(f"video_format: {video_format!r} is no single file; mp4, webm, webp are")
    if fps < 1:
        raise ValueError(f"fps: {fps} is less than 1")
    if not len(frames):
        raise ValueError("a video needs at least one frame")
    temporary = path.with_name(path.name + ".part")
    try:
        if video_format == "webp":
            _write_webp(temporary, frames, fps, caption)
        else:
            _write_stream(temporary, frames, fps, video_format, caption)
        os.replace(temporary, path)
    except BaseException:
        # The disk may be full because of it.
        temporary.unlink(missing_ok=True)
        raise


def _write_stream(path: Path, frames: Frames, fps: int, video_format: str, caption: str) -> None:
    import av

    try:
        with av.open(str(path), "w", format=video_format, options=_MUXER_OPTIONS[video_format]) as container:
            _encode(container, frames, fps, video_format, caption)
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise OSError(f"{path.name} was not encoded: {error}") from error


def _encode(container: OutputContainer, frames: Frames, fps: int, video_format: str, caption: str) -> None:
    from av.video.stream import VideoStream

    stream = container.add_stream(_CODECS[video_format], rate=fps, options=_CODEC_OPTIONS[video_format])
    assert isinstance(stream, VideoStream)
    first = frames[0]
    size, even = (first.width, first.height), video_format == "mp4"
    stream.width, stream.height = (side + side % 2 for side in size) if even else size
    stream.pix_fmt = "yuv420p"
    stream.bit_rate = 0  # the quality decides, not a rate
    stream.thread_count = _THREADS
    stream.color_range = _LIMITED_RANGE
    stream.colorspace = stream.color_primaries = stream.color_trc = _BT709
    stream.codec_context.time_base = Fraction(1, fps)
    if caption:
        container.metadata["comment"] = caption
    for k in range(len(frames)):
        frame = _yuv(_check_frame(frames[k], k, size), even)
        frame.pts, frame.time_base = k, Fraction(1, fps)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _yuv(picture: RawPicture, even: bool) -> av.VideoFrame:
    """The picture as what is encoded: BT.709, limited range, a quarter of the colour samples."""
    import av
    import numpy as np

    pixels = np.frombuffer(picture.pixels, dtype=np.uint8).reshape(picture.height, picture.width, 3)
    if even and (picture.height % 2 or picture.width % 2):
        pixels = np.pad(pixels, ((0, picture.height % 2), (0, picture.width % 2), (0, 0)), mode="edge")
    # Left to itself it converts as BT.601, and a player that reads the tags shows other greens.
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE, threads=_THREADS
    )


def _write_webp(path: Path, frames: Frames, fps: int, caption: str) -> None:
    from PIL import Image

    exif = Image.Exif()
    if caption:
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + caption.encode("utf-16-be")
    # Rounded to milliseconds frame by frame, each from the exact sum: 16 fps does not become 16.1.
    _reel(frames).save(
        path, "WEBP", save_all=True, duration=1000 / fps, loop=0, quality=_WEBP_QUALITY, method=_WEBP_METHOD, exif=exif
    )


def _reel(frames: Frames) -> Image.Image:
    """All frames as one picture with many pages. A list of pictures would hold every one of them in memory."""
    from PIL import Image

    first = frames[0]
    size = first.width, first.height

    class Reel(Image.Image):
        n_frames = len(frames)

        def __init__(self) -> None:
            super().__init__()
            blank = Image.new("RGB", size)
            self.im, self._mode, self._size = blank.im, blank.mode, blank.size
            self.seek(0)

        def seek(self, frame: int) -> None:
            self.frombytes(_check_frame(frames[frame], frame, size).pixels)

    return Reel()


def _check_frame(picture: RawPicture, k: int, size: tuple[int, int]) -> RawPicture:
    width, height = size
    if (picture.width, picture.height, picture.channels) != (width, height, 3):
        raise ValueError(f"frame {k} is {picture.width}x{picture.height}x{picture.channels}, not {width}x{height}x3")
    if len(picture.pixels) != width * height * 3:
        raise ValueError(f"frame {k} has {len(picture.pixels)} bytes of pixels, not {width * height * 3}")
    return picture
