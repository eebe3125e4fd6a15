"""Which number of threads is chosen, on made-up machines whose steps take as long as a table says."""

from __future__ import annotations

from collections.abc import Callable

from sdcpp_rest.engine.thread_choice import ThreadChoice

Machine = Callable[[int], float]


def scaling(threads: int) -> float:
    return 8 / threads


def bandwidth_bound(threads: int) -> float:
    """More than four threads wait for memory."""
    return 8 / min(threads, 4)


def busy(threads: int) -> float:
    """Others have all cores but one: threads wait for each other's turn."""
    return 8.0 * threads


def draw(choice: ThreadChoice, machine: Machine, steps: int = 20, kind: str = "a") -> list[int]:
    """Draw one picture; the threads of its steps."""
    used = []
    choice.begin(kind)
    for _ in range(steps):
        used.append(choice.threads)
        choice.take(machine(choice.threads))
    return used


def test_all_cores_are_kept_where_half_of_them_take_longer() -> None:
    choice = ThreadChoice(8)
    assert draw(choice, scaling) == [8, 8, 8, 4, *[8] * 16]
    assert choice.why == "A step took 1 s with 8 and 2 s with 4"


def test_fewer_are_chosen_where_they_are_as_fast() -> None:
    choice = ThreadChoice(16)
    used = draw(choice, bandwidth_bound)
    assert used == [16] * 3 + [8] * 2 + [4] * 2 + [2] + [4] * 12
    assert choice.why == "A step took 2 s with 4 and 4 s with 2"


def test_a_machine_that_is_busy_from_the_start_gets_down_to_one() -> None:
    choice = ThreadChoice(8)
    draw(choice, busy)
    assert choice.chosen == 1


def test_steps_that_become_slower_and_faster_again_are_noticed() -> None:
    choice = ThreadChoice(8)
    draw(choice, scaling)
    draw(choice, busy)
    assert choice.chosen == 1
    draw(choice, scaling)
    assert choice.chosen == 8


def test_fewer_threads_are_tried_first_when_steps_become_slower() -> None:
    choice = ThreadChoice(8)
    draw(choice, busy)
    draw(choice, scaling, steps=40)
    draw(choice, scaling)
    assert draw(choice, lambda threads: 3 * scaling(threads), steps=3) == [8, 8, 4]


def test_the_next_picture_begins_with_what_was_chosen() -> None:
    choice = ThreadChoice(8)
    draw(choice, busy)
    assert set(draw(choice, busy, steps=5)) == {1}


def test_another_model_is_not_a_reason_to_try_again() -> None:
    choice = ThreadChoice(8)
    draw(choice, scaling)
    for kind in "bcbc":
        assert set(draw(choice, lambda threads: 5 * scaling(threads), steps=10, kind=kind)) == {8}


def test_a_load_that_came_during_another_model_is_noticed() -> None:
    choice = ThreadChoice(8)
    draw(choice, scaling)
    draw(choice, busy, kind="b")
    draw(choice, busy)
    assert choice.chosen == 1


def test_short_runs_are_measured_together() -> None:
    choice = ThreadChoice(8)
    for _ in range(20):
        draw(choice, busy, steps=1)
    assert choice.chosen == 1


def test_a_run_that_ends_in_a_trial_leaves_it_unfinished_not_decided() -> None:
    choice = ThreadChoice(8)
    draw(choice, bandwidth_bound, steps=4)
    assert (choice.chosen, choice.threads) == (8, 4)
    choice.begin("b")
    assert choice.threads == 8


def test_it_is_tried_again_after_a_while_though_nothing_has_changed() -> None:
    choice = ThreadChoice(8)
    draw(choice, scaling)
    assert 4 in draw(choice, scaling, steps=100)


def test_trials_cost_few_steps() -> None:
    choice = ThreadChoice(8)
    draw(choice, scaling)
    used = draw(choice, scaling, steps=10_000)
    assert len([one for one in used if one != 8]) <= len(used) / 60


def test_quick_steps_are_not_tried_again_for_a_minute() -> None:
    choice = ThreadChoice(8)
    draw(choice, lambda threads: scaling(threads) / 100)
    assert set(draw(choice, lambda threads: scaling(threads) / 100, steps=3000)) == {8}


def test_one_core_leaves_nothing_to_choose() -> None:
    choice = ThreadChoice(1)
    assert set(draw(choice, busy, steps=200)) == {1}
    assert choice.why == "There is one core"


def test_odd_numbers_of_cores_are_halved_down_to_one_and_doubled_up_to_all() -> None:
    choice = ThreadChoice(6)
    assert set(draw(choice, busy)) == {6, 3, 1}
    draw(choice, scaling, steps=40)
    assert choice.chosen == 6


def test_what_many_models_took_is_forgotten_in_time() -> None:
    choice = ThreadChoice(8)
    draw(choice, scaling)
    for number in range(1000):
        draw(choice, scaling, steps=3, kind=str(number))
    assert len(choice._known) <= 32
