from __future__ import annotations

import pytest

from sdcpp_rest.core.job import Progress
from sdcpp_rest.core.job_work import Work
from sdcpp_rest.core.step_times import Expected, Pace, StepTimes

FOUR_STEPS = Progress(total_steps=4, phase="sampling")


def at(step: int, image: int = 0, images: int = 1) -> Progress:
    return Progress(step=step, total_steps=4, current_image=image, total_images=images, phase="sampling")


def sampled(*steps: float, expected: Expected = Expected(), work: Work = Work()) -> StepTimes:  # noqa: B008
    """Times of a job that began to sample at 10 and whose steps took so long."""
    times = StepTimes(0.0)
    times.expected, times.work = expected, work
    times.enter("conditioning", 0, 4.0)
    times.enter("sampling", 0, 10.0)
    now = 10.0
    for seconds in steps:
        now += seconds
        times.take_step("sampling", 0, now)
    return times


def test_nothing_is_told_before_anything_is_known() -> None:
    assert StepTimes(0.0).pace(FOUR_STEPS, 5.0) == Pace()
    assert sampled().pace(at(0), 12.0) == Pace()


def test_the_first_step_counts_only_while_there_is_no_other() -> None:
    assert sampled(9.0).pace(at(1), 19.0).seconds_per_step == 9.0
    assert sampled(9.0, 1.0).pace(at(2), 20.0).seconds_per_step == 1.0


def test_a_step_that_was_held_up_changes_nothing() -> None:
    times = sampled(9.0, 1.0, 1.0, 60.0, 1.0)
    assert times.recent_step == times.usual_step == 1.0


def test_steps_that_become_slower_are_followed() -> None:
    times = sampled(1.0, *[1.0] * 50, *[3.0] * 7)
    assert times.recent_step == 3.0
    assert times.usual_step == 1.0


def test_the_rest_are_the_steps_of_this_picture_and_of_the_others() -> None:
    assert sampled(2.0, 2.0).pace(at(2), 14.0) == Pace(2.0, 4.0, 4.0)
    assert sampled(2.0, 2.0).pace(at(2, images=3), 14.0) == Pace(2.0, 4.0, 20.0)


def test_the_rest_shrinks_between_two_steps_and_is_never_negative() -> None:
    times = sampled(2.0, 2.0, 2.0)
    assert times.pace(at(3), 17.0).eta_seconds == 1.0
    assert times.pace(at(3), 500.0).eta_seconds == 0.0
    assert times.pace(at(4), 500.0).eta_seconds == 0.0


def test_what_follows_the_steps_is_counted_where_it_is_known() -> None:
    known = Expected(decoding=3.0, upscaling=2.0, saving=1.0)
    assert sampled(2.0, 2.0, expected=known).pace(at(2), 14.0) == Pace(2.0, 4.0, 10.0)


def test_before_the_first_step_earlier_jobs_tell() -> None:
    times = StepTimes(0.0)
    times.expected = Expected(load=10.0, conditioning=1.0, step=2.0, decoding=3.0)
    assert times.pace(FOUR_STEPS, 4.0) == Pace(2.0, 15.0, 18.0)
    times.enter("conditioning", 0, 9.0)
    assert times.pace(FOUR_STEPS, 9.0) == Pace(2.0, 9.0, 12.0)


def test_a_load_that_nobody_has_timed_leaves_the_rest_open() -> None:
    times = StepTimes(0.0)
    times.expected = Expected(step=2.0, conditioning=1.0)
    assert times.pace(FOUR_STEPS, 4.0) == Pace(2.0)


def test_the_phase_it_is_in_has_to_be_known() -> None:
    times = sampled(2.0, 2.0, 2.0, 2.0, expected=Expected(saving=1.0))
    times.enter("decoding", 0, 18.0)
    assert times.pace(at(4), 19.0) == Pace(2.0)
    times.expected = Expected(decoding=5.0, saving=1.0)
    assert times.pace(at(4), 19.0) == Pace(2.0, None, 5.0)


def test_the_second_pass_is_told_by_the_first_where_it_was_never_timed() -> None:
    work = Work(steps=4, megapixels=1.0, hires_steps=2, hires_megapixels=4.0, pictures=2)
    times = sampled(1.0, 1.0, work=work)
    assert times.pace(at(2, images=2), 12.0).eta_seconds == 2 + 4 + 2 * 8
    times.expected = Expected(hires=5.0)
    assert times.pace(at(2, images=2), 12.0).eta_seconds == 2 + 4 + 5


def test_the_second_pass_is_still_to_come_when_the_first_one_ends() -> None:
    work = Work(steps=4, megapixels=1.0, hires_steps=2, hires_megapixels=4.0)
    times = sampled(1.0, 1.0, expected=Expected(hires=5.0, decoding=3.0), work=work)
    times.enter("decoding", 0, 12.0)
    assert times.pace(at(4), 12.0).eta_seconds == 8.0
    times.enter("hires", 0, 12.0)
    times.enter("decoding", 0, 17.0)
    assert times.pace(at(4), 18.0).eta_seconds == 2.0


def test_a_job_that_is_being_cancelled_has_no_end_in_sight() -> None:
    progress = at(2).model_copy(update={"phase": "cancelling"})
    assert sampled(2.0, 2.0).pace(progress, 14.0) == Pace(2.0)


def test_upscaling_alone_is_told_by_earlier_ones() -> None:
    times, progress = StepTimes(0.0), Progress()
    times.expected = Expected(load=0.0, conditioning=0.0, upscaling=8.0)
    times.enter("upscaling", 0, 1.0)
    assert times.pace(progress, 3.0) == Pace(None, None, 6.0)
    times.expected = Expected()
    assert times.pace(progress, 3.0) == Pace()


@pytest.mark.parametrize("phase", ["converting", "downloading", "hashing", "done"])
def test_what_is_not_drawn_is_not_told(phase: str) -> None:
    times = StepTimes(0.0)
    times.enter(phase, 0, 1.0)  # type: ignore[arg-type]
    assert times.pace(Progress(total_steps=100, step=50), 3.0) == Pace()


def test_a_batch_is_timed_from_picture_to_picture() -> None:
    times = sampled(9.0, 1.0)
    times.enter("sampling", 1, 30.0)
    times.take_step("sampling", 1, 31.0)
    assert times.usual_step == 1.0
    times.take_step("sampling", 2, 99.0)  # whose beginning nobody told
    assert times.usual_step == 1.0


def test_phases_that_are_entered_twice_are_added_up() -> None:
    times = sampled(1.0)
    times.enter("decoding", 0, 20.0)
    times.enter("hires", 0, 21.0)
    times.enter("decoding", 0, 30.0)
    times.enter("encoding", 0, 33.0)
    assert times.ended_seconds("decoding") == 4.0
    assert times.ended_seconds("conditioning") == 6.0
    assert times.ended_seconds("encoding") == 0.0
    assert times.seconds_in("encoding", 35.0) == 2.0
