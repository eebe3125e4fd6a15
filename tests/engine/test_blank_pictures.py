"""What is blank is said to be, with its cause; what is merely plain is not."""

from __future__ import annotations

import os

import pytest

from sdcpp_rest.core.params import ImageParams, LoraUse, VideoParams
from sdcpp_rest.engine.blank_pictures import BlankJudge, is_one_colour, judge_enlarged
from sdcpp_rest.engine.raw_picture import RawPicture
from tests.cases import for_each_case

WHITE, BLACK, BLUE = b"\xff\xff\xff", b"\0\0\0", b"\x10\x20\xf0"
PARAMS = ImageParams(prompt="a blank wall", steps=20)


def plain(colour: bytes = WHITE, side: int = 16) -> RawPicture:
    return RawPicture(side, side, len(colour), colour * side * side)


def nearly_plain(colour: bytes = WHITE, side: int = 16) -> RawPicture:
    """One value of one pixel, the last, is one level off."""
    pixels = bytearray(plain(colour, side).pixels)
    pixels[-1] ^= 1
    return RawPicture(side, side, len(colour), bytes(pixels))


def judge(params: ImageParams | VideoParams = PARAMS, *sources: RawPicture) -> BlankJudge:
    return BlankJudge(params, sources)


@for_each_case("colour", [b"\x80", WHITE, BLUE, b"\1\2\3\4"])
@for_each_case("side", [1, 2, 9, 64])
def test_one_level_in_one_pixel_is_a_picture(colour: bytes, side: int) -> None:
    assert is_one_colour(plain(colour, side))
    if side > 1:
        assert not is_one_colour(nearly_plain(colour, side))


def test_equal_bytes_of_other_channels_are_no_colour() -> None:
    assert not is_one_colour(RawPicture(2, 1, 3, b"\1\2\3\3\1\2"))


def test_a_noisy_picture_is_none() -> None:
    assert not is_one_colour(RawPicture(32, 32, 3, os.urandom(32 * 32 * 3)))


def test_a_blank_picture_fails_with_its_likely_cause_and_a_way_out() -> None:
    judged = judge().judge([plain()], ("cropped",))
    assert judged.failure is not None
    assert judged.failure.code == "picture_is_blank"
    assert "#ffffff" in judged.failure.message
    assert "scaled FP8" in judged.failure.message
    assert judged.failure.message.endswith("What was made is kept in the job's outputs.")
    assert judged.warnings == ("cropped",)
    assert len(judged.pictures) == 1


def test_a_plain_wall_that_was_drawn_is_left_alone() -> None:
    judged = judge().judge([nearly_plain()], ("cropped",))
    assert (judged.failure, judged.warnings) == (None, ("cropped",))


def test_loras_and_schedulers_are_named_before_the_file() -> None:
    params = PARAMS.model_copy(
        update={"loras": (LoraUse(name="strong", path="/l", weight=9.5),), "scheduler": "karras", "steps": 1}
    )
    failure = judge(params).judge([plain()]).failure
    assert failure is not None
    places = [failure.message.index(part) for part in ("strong at 9.5", "karras with 1 step", "model file")]
    assert places == sorted(places)


def test_content_in_the_last_preview_puts_it_down_to_the_decoder() -> None:
    one = judge()
    one.hear_preview(1, [plain(side=8)])
    one.hear_preview(2, [nearly_plain(side=8)])
    failure = one.judge([plain()]).failure
    assert failure is not None
    assert "VAE" in failure.message
    assert "FP8" not in failure.message


def test_one_blank_picture_of_a_batch_is_a_warning_that_names_it() -> None:
    params = PARAMS.model_copy(update={"batch_count": 3})
    judged = judge(params).judge([nearly_plain(), plain(), nearly_plain()], ("cropped",))
    assert judged.failure is None
    assert judged.warnings[0] == "cropped"
    assert judged.warnings[1].startswith("1 of 3 pictures are blank (image_1.png): ")


def test_a_batch_of_blank_pictures_fails_whatever_their_colours() -> None:
    assert judge(PARAMS.model_copy(update={"batch_count": 2})).judge([plain(), plain(BLACK)]).failure is not None


def test_a_video_fails_when_all_its_frames_are_blank() -> None:
    film = VideoParams(prompt="a fade to black")
    assert judge(film).judge([plain(), nearly_plain(), plain(BLACK)]).failure is None
    assert judge(film).judge([plain(), nearly_plain(), plain(BLACK)]).warnings == ()
    failure = judge(film).judge([plain(), plain(BLACK)]).failure
    assert failure is not None
    assert "The video is of one single colour" in failure.message


@for_each_case(("colour", "fails"), [(BLUE, False), (b"\x18\x1c\xe8", False), (WHITE, True), (BLACK, True)])
def test_a_plain_source_explains_its_own_colour_only(colour: bytes, fails: bool) -> None:
    judged = judge(PARAMS, plain(BLUE, 7)).judge([plain(colour)])
    assert (judged.failure is not None) == fails
    assert fails or "as is what it was made from" in judged.warnings[0]


def test_a_source_with_content_explains_nothing() -> None:
    assert judge(PARAMS, nearly_plain(WHITE)).judge([plain(WHITE)]).failure is not None


# --- previews ---------------------------------------------------------------------------------------------------------


def test_three_blank_previews_in_a_row_stop_the_run_once() -> None:
    one = judge()
    heard = [one.hear_preview(step, [plain(BLACK, 8)]) for step in range(1, 7)]
    assert heard == [False, False, False, True, False, False], "the first one does not count"
    judged = one.judge_stopped()
    assert judged.pictures == [plain(BLACK, 8)]
    assert judged.failure is not None
    assert judged.failure.message.startswith("Stopped after step 4, because the previews were of one single colour")


def test_a_picture_whose_previews_were_blank_to_the_last_is_blank_whatever_was_decoded() -> None:
    params = PARAMS.model_copy(update={"batch_count": 2})
    one = judge(params)
    for step in range(1, 4):
        one.hear_preview(step, [plain(BLACK, 8)], 1)
        one.hear_preview(step, [nearly_plain(side=8)], 0)
    judged = one.judge([nearly_plain(), nearly_plain()])
    assert judged.failure is None
    assert "1 of 2 pictures are blank (image_1.png)" in judged.warnings[0]
    failure = one.judge([nearly_plain()]).failure
    assert failure is None, "that is the first one"


@pytest.mark.parametrize(("steps", "fails"), [(1, False), (2, False), (3, True)])
def test_few_blank_previews_prove_nothing(steps: int, fails: bool) -> None:
    one = judge()
    for step in range(1, steps + 1):
        one.hear_preview(step, [plain(BLACK, 8)])
    assert (one.judge([nearly_plain()]).failure is not None) == fails


def test_content_in_between_begins_the_count_again() -> None:
    one = judge()
    frames = [plain(side=8), plain(side=8), plain(side=8), nearly_plain(side=8), plain(side=8), plain(side=8)]
    assert not any(one.hear_preview(step, [frame]) for step, frame in enumerate(frames, 1))
    assert one.hear_preview(7, [plain(side=8)])


def test_a_preview_of_few_pixels_tells_nothing() -> None:
    one = judge()
    assert not any(one.hear_preview(step, [plain(side=7)]) for step in range(1, 20))


@pytest.mark.parametrize("source", [None, plain(BLUE)])
def test_a_run_that_more_pictures_follow_or_that_starts_plain_is_not_stopped(source: RawPicture | None) -> None:
    params = PARAMS.model_copy(update={"batch_count": 1 if source else 2})
    one = judge(params, *([source] if source else []))
    assert not any(one.hear_preview(step, [plain(side=8)]) for step in range(1, 20))
    assert one.stopped_at is None


def test_a_videos_preview_is_blank_when_all_its_frames_are() -> None:
    film = judge(VideoParams(prompt="a"))
    assert not any(film.hear_preview(step, [plain(side=8), nearly_plain(side=8)]) for step in range(1, 20))
    assert [film.hear_preview(step, [plain(side=8), plain(BLACK, 8)]) for step in range(2, 5)] == [False, False, True]


# --- upscaling --------------------------------------------------------------------------------------------------------


def test_an_upscaler_that_loses_the_content_fails() -> None:
    failure = judge_enlarged([plain(side=64)], [nearly_plain()], "x4.pth").failure
    assert failure is not None
    assert failure.code == "picture_is_blank"
    assert "The upscaler x4.pth made one single colour" in failure.message


def test_an_upscaler_is_not_judged_for_what_was_plain_before() -> None:
    judged = judge_enlarged([plain(side=64)], [plain()], "x4.pth")
    assert (judged.failure, judged.warnings) == (None, ())


def test_an_upscaler_that_loses_one_of_two_is_a_warning() -> None:
    judged = judge_enlarged([nearly_plain(side=64), plain(side=64)], [nearly_plain(), nearly_plain()], "x4.pth")
    assert judged.failure is None
    assert "image_1.png" in judged.warnings[0]
