from __future__ import annotations

import json
from typing import Any

from sdcpp_rest.core.trained_words import MAX_WORDS, phrase_of, words_of
from tests.cases import for_each_case


def test_phrases_come_first_and_tags_by_how_common_they_are() -> None:
    metadata = {
        "ss_tag_frequency": json.dumps({"10_a": {"cat": 3, "red": 7}, "5_b": {"cat": 9, " ": 50}}),
        "modelspec.trigger_phrase": "in the style of x, y",
    }
    assert words_of(metadata) == ("in the style of x", "y", "cat", "red")


def test_a_list_of_words_is_read() -> None:
    assert words_of({"trained_words": '["a, b", "c", 3]'}) == ("a, b", "c")


@for_each_case(
    "value", ["", "{", "[]", "null", "3", "{'a': 1}", '{"a": 3}', '{"a": {"b": "c"}}', "[" * 5000, 7, None, {"a": 1}]
)
@for_each_case("key", ["ss_tag_frequency", "ss_nothing"])
def test_notes_that_make_no_sense_teach_no_words(key: str, value: Any) -> None:
    assert words_of({key: value}) == ()


def test_words_are_bounded_in_number_and_length() -> None:
    many = {"trigger_words": ",".join(f"w{number}" for number in range(1000)), "trained_words": "x" * 10_000}
    words = words_of(many)
    assert len(words) == MAX_WORDS
    assert max(len(word) for word in words) == 200


@for_each_case(
    ("metadata", "phrase"),
    [
        ({"modelspec.trigger_phrase": "in the style of x, y", "trained_words": "z"}, "in the style of x, y"),
        ({"trained_words": '["a", "b"]'}, "a, b"),
        ({"modelspec.trigger_phrase": " ", "trigger_words": "a"}, "a"),
        ({"ss_tag_frequency": '{"10_a": {"cat": 3}}'}, ""),
        ({"trained_words": 7}, ""),
        ({"trained_words": "x" * 10_000}, "x" * 2_000),
    ],
)
def test_phrase_is_what_was_meant_to_be_written(metadata: dict[str, Any], phrase: str) -> None:
    assert phrase_of(metadata) == phrase
