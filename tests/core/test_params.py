"""What parameters say about themselves."""

from __future__ import annotations

import pytest

from sdcpp_rest.core.params import VideoParams
from tests.cases import for_each_case


@for_each_case(("asked", "made"), [(1, 1), (2, 1), (4, 1), (5, 5), (8, 5), (33, 33), (1000, 997)])
def test_library_makes_the_next_lower_4n_plus_1_frames(asked: int, made: int) -> None:
    assert VideoParams(prompt="a", video_frames=asked).frame_count == made


@pytest.mark.parametrize(
    ("high_noise_steps", "of_one", "of_two"), [(-1, 20, 20), (0, 20, 20), (7, 20, 27)], ids=["automatic", "none", "7"]
)
def test_steps_of_the_first_expert_count_along_when_there_is_one(
    high_noise_steps: int, of_one: int, of_two: int
) -> None:
    params = VideoParams(prompt="a", steps=20, high_noise_steps=high_noise_steps)
    assert params.step_count(has_two_experts=False) == of_one
    assert params.step_count(has_two_experts=True) == of_two


def test_noise_levels_given_one_by_one_are_all_the_steps() -> None:
    params = VideoParams(prompt="a", steps=20, high_noise_steps=7, custom_sigmas=(1.0, 0.5, 0.2, 0.0))
    assert params.step_count(has_two_experts=True) == 3
