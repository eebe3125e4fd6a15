from __future__ import annotations

import pytest

from sdcpp_rest.core.tokenizing.unigram import UnigramTokenizer

TOKENIZER = UnigramTokenizer({"▁": -2.0, "▁a": -1.0, "b": -3.0, "ab": -3.5, "▁ab": -9.0}, ["</s>", "<unk>"], ["<s>"])


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("", [0]),
        ("a", [0]),
        ("ab", [0, 1]),
        ("a  ab ", [0, 1, 3]),
        ("x", [0, 0]),
        ("a</s>b<s>", [0, 1, 5, 5]),
        (" ", [0]),
    ],
)
def test_the_best_way_is_taken(text: str, starts: list[int]) -> None:
    assert [*TOKENIZER.tokenize(text).starts] == starts


def test_no_pieces_make_every_character_unknown() -> None:
    assert len(UnigramTokenizer({}, []).tokenize("ab").starts) == 3
