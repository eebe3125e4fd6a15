"""Byte pairs over small lists of merges; against the library's own lists they are tried in tests/native."""

from __future__ import annotations

import time

from sdcpp_rest.core.tokenizing.byte_pairs import BytePairs, ClipTokenizer, LanguageTokenizer
from tests.cases import for_each_case

CLIP = BytePairs(["c a", "ca t</w>", "a a", "aa aa", "! !</w>"], ends_words=True)
WORDS = BytePairs(["Ġ c", "c a", "Ġc a", "ca t", "Ġca t"], ends_words=False)


def pieces(text: str, starts: list[int]) -> list[str]:
    return [text[begin:end] for begin, end in zip(starts, [*starts[1:], len(text)][: len(starts)], strict=True)]


@for_each_case(
    ("text", "tokens"),
    [
        ("", []),
        ("cat", ["cat"]),
        ("CAT  cat", ["CAT  ", "cat"]),
        ("ca", ["c", "a"]),
        ("catcat", ["ca", "t", "cat"]),
        ("aaaaaa", ["aaaa", "a", "a"]),
        ("!!! 12", ["!", "!! ", "1", "2"]),
        ("it's", ["i", "t", "'", "s"]),
        ("<|endoftext|>", ["<|endoftext|>"]),
        ("é", ["", "é"]),
        (" \n\t", []),
    ],
)
def test_clip_cuts_words(text: str, tokens: list[str]) -> None:
    found = ClipTokenizer(CLIP, {}).tokenize(text)
    assert found.is_exact
    assert pieces(text, list(found.starts)) == tokens


def test_words_of_embeddings_have_the_tokens_of_their_files() -> None:
    tokenizer = ClipTokenizer(CLIP, {"bad hands": 4, "cat": None})
    assert tokenizer.tokenize("a BAD  hands") == ([0, 2, 2, 2, 2], True)
    assert tokenizer.tokenize("scatter").is_exact is False


@for_each_case(
    ("text", "tokens"),
    [
        ("", []),
        ("cat cat", ["cat", " cat"]),
        ("it's", ["i", "t", "'", "s"]),
        ("a\n \nb", ["a", "\n", " ", " ", "\n", "b"]),
        ("<x>", ["<x>"]),
        ("1 2", ["1", " ", "2"]),
    ],
)
def test_language_models_cut_words(text: str, tokens: list[str]) -> None:
    found = LanguageTokenizer(WORDS, ["<x>"]).tokenize(text)
    assert found.is_exact
    assert len(found.starts) == len(tokens)


@for_each_case(("text", "is_exact"), [("猫 é", True), ("😀", False), ("a\uff0cb", False), ("— x", False), ("°¿", True)])
def test_what_the_library_leaves_to_chance_is_told(text: str, is_exact: bool) -> None:
    assert LanguageTokenizer(WORDS, []).tokenize(text).is_exact is is_exact


def test_the_longest_word_that_a_prompt_can_hold_takes_no_time() -> None:
    started = time.process_time()
    for text in ("a" * 20_000, "caat" * 5_000, "\U0001f600" * 5_000):
        assert ClipTokenizer(CLIP, {}).tokenize(text).starts
    assert time.process_time() - started < 5
