from __future__ import annotations

import pytest

from sdcpp_rest.core.speed import Guess, Speed, guess_seconds, size_class


def test_the_first_jobs_count_alike_and_later_ones_a_quarter() -> None:
    speed = Speed(2.0, 1.0)
    speed = speed.mixed_with(4.0, 1.0)
    assert (speed.seconds, speed.jobs) == (3.0, 2)
    for _ in range(20):
        speed = speed.mixed_with(3.0, 1.0)
    assert speed.mixed_with(7.0, 1.0).seconds == pytest.approx(4.0)


def test_an_average_forgets_what_is_no_longer_so() -> None:
    speed = Speed(100.0, 1.0, 1000)
    for _ in range(30):
        speed = speed.mixed_with(1.0, 1.0)
    assert speed.seconds == pytest.approx(1.0, abs=0.05)


def test_sizes_of_one_class_differ_little() -> None:
    assert size_class(1.0) == size_class(1.1) == size_class(0.9)
    assert size_class(1.0) != size_class(1.5)
    assert size_class(0.0) < size_class(1e-6)


def test_nothing_is_told_of_what_nobody_has_measured() -> None:
    assert guess_seconds([], 1.0) is None


def test_the_same_size_is_told_exactly() -> None:
    assert guess_seconds([Speed(2.0, 1.0, 3), Speed(9.0, 4.0)], 1.05) == Guess(2.0, 3, True)


def test_between_two_sizes_the_power_between_them_is_followed() -> None:
    guess = guess_seconds([Speed(1.0, 1.0, 5), Speed(4.0, 16.0, 3)], 4.0)
    assert guess is not None
    assert guess.seconds == pytest.approx(2.0)
    assert (guess.jobs, guess.is_exact) == (3, False)


@pytest.mark.parametrize(("amount", "seconds"), [(0.01, 1.0), (100.0, 4.0)])
def test_beyond_all_sizes_it_is_the_nearest_one(amount: float, seconds: float) -> None:
    assert guess_seconds([Speed(1.0, 1.0), Speed(4.0, 16.0)], amount) == Guess(seconds, 1, False)


def test_a_part_that_takes_no_time_at_all_is_no_trouble() -> None:
    guess = guess_seconds([Speed(0.0, 1.0), Speed(4.0, 16.0)], 4.0)
    assert guess is not None
    assert guess.seconds == 0.0
