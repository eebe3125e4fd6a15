"""What a reasoning model thinks aloud is left out, however its text is cut."""

from __future__ import annotations

from sdcpp_rest.core.chat import ThoughtFilter
from tests.cases import for_each_case

TEXTS = [
    ("plain", "plain"),
    ("<think>no</think>yes", "yes"),
    ("a<think>no</think>b<think>no</think>c", "abc"),
    ("a < b and <thin> ice", "a < b and <thin> ice"),
    ("yes<think>never closed", "yes"),
    ("ends with <thi", "ends with <thi"),
    ("stray </think> stays", "stray </think> stays"),
    ("<think></think>", ""),
    ("", ""),
]


@for_each_case(("said", "shown"), TEXTS)
@for_each_case("size", [1, 2, 3, 5, 8, 100])
def test_thoughts_are_left_out_however_the_text_is_cut(said: str, shown: str, size: int) -> None:
    thoughts = ThoughtFilter()
    pieces = [thoughts.feed(said[start : start + size]) for start in range(0, len(said), size)]
    assert "".join([*pieces, thoughts.flush()]) == shown


def test_text_is_not_held_back_longer_than_it_may_be_a_tag() -> None:
    thoughts = ThoughtFilter()
    assert thoughts.feed("hello <") == "hello "
    assert thoughts.feed("b") == "<b"
