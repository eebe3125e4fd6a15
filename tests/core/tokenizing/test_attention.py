from __future__ import annotations

from sdcpp_rest.core.tokenizing.attention import round_float, split_by_weight
from tests.cases import for_each_case

UP = round_float(1.1)


@for_each_case(
    ("prompt", "parts"),
    [
        ("", [("", 1)]),
        ("a cat", [("a cat", 1)]),
        ("a (cat:1.5) b", [("a ", 1), ("cat", 1.5), (" b", 1)]),
        ("(a) (b", [("a", UP), (" ", 1), ("b", UP)]),
        ("((a))", [("a", round_float(UP * UP))]),
        ("[a] b]", [("a", round_float(1 / UP)), (" b]", 1)]),
        ("a:b 1:2) :1.5) )", [("a:b 1  )", 1)]),
        (r"\(a\) \[b\] \\ \c", [(r"(a\) \[b\] \\ \c", 1)]),
        ("a BREAK b", [("a ", 1), ("BREAK", -1), (" b", 1)]),
        ("BREAKfast aBREAK", [("BREAKfast a", 1), ("BREAK", -1)]),
        ("(BREAK:2)", [("BREAK", -2)]),
        ("(a:1.0)b", [("ab", 1)]),
        ("(a:1e3)", [("a:1e3", UP)]),
    ],
)
def test_weights_are_read_as_the_library_reads_them(prompt: str, parts: list[tuple[str, float]]) -> None:
    assert [(part.text, part.weight) for part in split_by_weight(prompt)] == parts


def test_places_lead_back_to_the_prompt() -> None:
    prompt = r"a (b:2) \(c BREAK [d"
    for part in split_by_weight(prompt):
        assert "".join(prompt[place] for place in part.places) == part.text


def test_a_weight_around_a_break_makes_it_a_word() -> None:
    assert [part.is_break for part in split_by_weight("BREAK (BREAK)")] == [True, False, False]


def test_numbers_are_floats_of_the_library() -> None:
    assert (round_float(0.1), round_float(1e300), round_float(-1e300)) == (
        0.10000000149011612,
        float("inf"),
        float("-inf"),
    )
