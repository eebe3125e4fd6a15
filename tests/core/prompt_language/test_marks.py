from __future__ import annotations

from sdcpp_rest.core.prompt_language.marks import (
    GONE,
    TRIGGER,
    join_texts,
    last_section,
    mark_section,
    resolve_marks,
    without_marks,
)
from tests.cases import for_each_case


@for_each_case(
    ("text", "resolved"),
    [
        (" a  cat ", " a  cat "),
        (f"a {GONE} cat", "a cat"),
        (f"a {GONE}, cat", "a, cat"),
        (f"a {GONE}cat", "a cat"),
        (f"a{GONE}b", "ab"),
        (f"a {GONE}{GONE} cat", "a cat"),
        (f"a {GONE} {GONE} cat", "a cat"),
        (f"{GONE} a cat {GONE}", "a cat"),
        (f"{GONE}sun{GONE}", "sun"),
        (f"a {TRIGGER} cat", "a nice cat"),
    ],
)
def test_gaps_are_closed_and_words_stay_apart(text: str, resolved: str) -> None:
    assert resolve_marks(text, "nice") == {"": resolved}


def test_text_belongs_to_the_section_before_it() -> None:
    text = f"a {mark_section('segment')} b {mark_section('')} c {mark_section('refiner')} d {TRIGGER}"
    assert resolve_marks(text, "e") == {"": "a c", "segment": "b", "refiner": "d e"}
    assert last_section(text) == "refiner"
    assert last_section(f"a {GONE}sun;") is None
    assert without_marks(text) == "a  b  c  d "


def test_texts_without_words_are_joined_without_a_joiner() -> None:
    assert join_texts(["a", "", GONE, "b"], ", ") == f"a{GONE}, b"
    assert join_texts([GONE, "a"], ", ") == f"{GONE}a"
    assert join_texts(["a", TRIGGER], ", ") == f"a, {TRIGGER}"
