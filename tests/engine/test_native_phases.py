"""Phases and steps are read from the library's log and progress callback; the lines are those of the pinned version."""

from __future__ import annotations

import pytest

from sdcpp_rest.core.job import Phase
from sdcpp_rest.engine.native_phases import Follower
from sdcpp_rest.engine.raw_picture import RawPicture

VIDEO = "stable-diffusion.cpp:3876 - generate_video 16x16x5"
FIRST_ENDS = "stable-diffusion.cpp:3930 - sampling(high noise) completed, taking 2.98s"
SECOND_ENDS = "stable-diffusion.cpp:3970 - sampling completed, taking 7.16s"
LATENT_ENDS = "stable-diffusion.cpp:3977 - generating latent video completed, taking 10.14s"
VIDEO_ENDS = "stable-diffusion.cpp:3987 - generate_video completed in 10.18s"


class Report:
    """What a follower told."""

    def __init__(self) -> None:
        self.told: list[tuple[Phase, int, int, int]] = []
        self.loads: list[float | None] = []

    def loading(self, progress: float | None) -> None:
        self.loads.append(progress)

    def step(self, step: int, total_steps: int, image: int, phase: Phase) -> None:
        self.told.append((phase, step, total_steps, image))

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> None:
        raise AssertionError("a follower makes no previews")


@pytest.fixture
def report() -> Report:
    return Report()


def follow(report: Report, *heard: str | tuple[int, int], video_steps: int = 0) -> Follower:
    """A follower that has heard log lines and (step, steps)."""
    follower = Follower(report, video_steps=video_steps)
    for one in heard:
        if isinstance(one, str):
            follower.hear_log(one)
        else:
            follower.hear_progress(*one)
    return follower


def test_batch_is_counted_picture_by_picture(report: Report) -> None:
    follow(
        report,
        "generating image: 1/2 - seed 5", (0, 2), (1, 2), (2, 2),
        "generating image: 2/2 - seed 6", (0, 2), (1, 2), (2, 2),
        "generating 2 latent images completed, taking 1.00s", (0, 9), (1, 9),
    )  # fmt: skip
    assert report.told == [
        ("sampling", 0, 0, 0), ("sampling", 1, 2, 0), ("sampling", 2, 2, 0),
        ("sampling", 0, 0, 1), ("sampling", 1, 2, 1), ("sampling", 2, 2, 1),
        ("decoding", 0, 0, 1),
    ]  # fmt: skip


def test_second_pass_of_the_hires_fix_is_a_phase_without_steps(report: Report) -> None:
    follow(report, "generating image: 1/1", (0, 1), (1, 1), "hires fix: upscaling to 128x128", (0, 1), (1, 1))
    assert report.told == [("sampling", 0, 0, 0), ("sampling", 1, 1, 0), ("hires", 0, 0, 0)]


def test_pictures_are_decoded_after_the_second_pass(report: Report) -> None:
    follow(report, "hires fix: upscaling to 128x128", "hires fix completed, taking 9.60s")
    assert report.told == [("hires", 0, 0, 0), ("decoding", 0, 0, 0)]


def test_video_of_one_expert(report: Report) -> None:
    follow(report, VIDEO, (0, 2), (1, 2), (2, 2), SECOND_ENDS, LATENT_ENDS, VIDEO_ENDS, video_steps=2)
    assert report.told == [
        ("sampling", 0, 0, 0), ("sampling", 1, 2, 0), ("sampling", 2, 2, 0), ("decoding", 0, 0, 0),
    ]  # fmt: skip


def test_two_experts_count_as_one_run(report: Report) -> None:
    follow(
        report,
        VIDEO, (0, 1), (1, 1), FIRST_ENDS, (0, 2), (1, 2), (2, 2), SECOND_ENDS, LATENT_ENDS,
        video_steps=3,
    )  # fmt: skip
    assert report.told == [
        ("sampling", 0, 0, 0), ("sampling", 1, 3, 0), ("sampling", 2, 3, 0), ("sampling", 3, 3, 0),
        ("decoding", 0, 0, 0),
    ]  # fmt: skip


def test_first_expert_that_takes_all_steps(report: Report) -> None:
    follow(report, VIDEO, (0, 1), (1, 1), FIRST_ENDS, SECOND_ENDS, LATENT_ENDS, video_steps=1)
    assert report.told == [("sampling", 0, 0, 0), ("sampling", 1, 1, 0), ("decoding", 0, 0, 0)]


def test_steps_before_are_those_of_the_first_expert(report: Report) -> None:
    """Previews count from 1 again with the second expert."""
    assert follow(report, VIDEO, (0, 2), (1, 2), video_steps=5).steps_before == 0
    assert follow(report, VIDEO, (0, 2), (1, 2), (2, 2), FIRST_ENDS, video_steps=5).steps_before == 2


def test_tiles_of_the_autoencoder_are_no_steps(report: Report) -> None:
    """It reads pictures before a video is sampled and decodes it afterwards, tile by tile."""
    follow(
        report, (0, 6), (1, 6), (6, 6), VIDEO, (0, 1), (1, 1), SECOND_ENDS, LATENT_ENDS, (0, 25), (1, 25), video_steps=1
    )
    assert [step for _, step, _, _ in report.told] == [0, 1, 0]


def test_sampler_that_begins_twice_is_counted_once(report: Report) -> None:
    follow(report, VIDEO, (0, 2), (0, 2), (1, 2), (2, 2), video_steps=2)
    assert report.told == [("sampling", 0, 0, 0), ("sampling", 1, 2, 0), ("sampling", 2, 2, 0)]


def test_loaded_tensors_are_a_share(report: Report) -> None:
    follower = Follower(report, loading=True)
    follower.hear_progress(1, 4)
    follower.hear_progress(0, 0)
    assert (report.loads, report.told) == ([0.25, None], [])
