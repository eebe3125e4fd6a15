from __future__ import annotations

from sdcpp_rest.core.prompt_language.draws import Draws, NumberRange, read_range
from tests.cases import for_each_case


@for_each_case(
    ("text", "numbers"),
    [
        ("1-5", (1, 5, 0)),
        (" 1 - 5 ", (1, 5, 0)),
        ("5-1", (1, 5, 0)),
        ("0.8-1.2", (8, 12, 1)),
        ("0.8-1.25", (80, 125, 2)),
        (".5-1", (5, 10, 1)),
        ("7-7", (7, 7, 0)),
    ],
)
def test_ranges_are_read(text: str, numbers: tuple[int, int, int]) -> None:
    assert read_range(text) == NumberRange(*numbers)


@for_each_case("text", ["", "5", "-5", "1-", "-5-5", "a-b", "1-5-9", "1e3-2", "blue-5", "1.-2", "9" * 16 + "-1"])
def test_other_texts_are_no_ranges(text: str) -> None:
    assert read_range(text) is None


def test_the_same_seed_draws_the_same_on_every_python() -> None:
    draws = Draws(42)
    assert [draws.index(10) for _ in range(8)] == [6, 0, 2, 2, 7, 6, 8, 0]
    assert draws.count == 8
    assert [Draws(2**70).index(1000), Draws(-7).index(1000)] == [232, 323]


def test_numbers_reach_both_ends_and_nothing_beyond() -> None:
    draws = Draws(1)
    numbers = {draws.number(NumberRange(8, 12, 1)) for _ in range(200)}
    assert numbers == {"0.8", "0.9", "1.0", "1.1", "1.2"}
    assert {draws.number(NumberRange(1, 3, 0)) for _ in range(100)} == {"1", "2", "3"}


@for_each_case(("text", "amount"), [("3", 3), (" 3 ", 3), ("2.9", 2), ("4-4", 4), ("x", None), ("", None)])
def test_amounts_are_whole_numbers(text: str, amount: int | None) -> None:
    assert Draws(1).amount(text) == amount


def test_by_index_counts_off() -> None:
    draws = Draws(7, by_index=True)
    assert [draws.index(count) for count in (3, 5, 10)] == [1, 2, 7]
    assert Draws(-1, by_index=True).index(4) == 3
