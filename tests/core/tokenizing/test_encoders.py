from __future__ import annotations

from collections.abc import Sequence

import pytest

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.prompts import places_without_tags, without_tags
from sdcpp_rest.core.tokenizing.encoders import Encoder, count_tokens, encoders_of
from sdcpp_rest.core.tokenizing.tokens import Tokens
from tests.cases import for_each_case


class Letters:
    """Has a token for each character that is no blank."""

    def tokenize(self, text: str) -> Tokens:
        return Tokens([place for place, one in enumerate(text) if one != " "], "?" not in text)


@for_each_case(
    ("id", "roles", "encoders"),
    [
        ("sd1", (), [("clip_l", "clip", 75, None)]),
        ("sd2", (), [("clip_l", "clip", 75, None)]),
        ("sdxl", (), [("clip_l", "clip", 75, None), ("clip_g", "clip", 75, None)]),
        ("sd3", ("clip_l", "t5xxl"), [("clip_l", "clip", 75, None), ("t5xxl", "t5", 76, None)]),
        ("flux", ("clip_l", "t5xxl"), [("clip_l", "clip", 75, 75), ("t5xxl", "t5", 255, None)]),
        ("flux", ("t5xxl",), [("t5xxl", "t5", 255, None)]),
        ("chroma", ("t5xxl",), [("t5xxl", "t5", 511, None)]),
        ("chroma", (), []),
        ("wan2", ("t5xxl",), [("umt5", "umt5", 511, None)]),
        ("qwen_image", ("llm",), [("llm", "qwen2", None, None)]),
        ("flux2", ("llm",), [("llm", "mistral", None, None)]),
        ("ernie_image", ("llm",), [("llm", "mistral", None, None)]),
        ("flux2_klein", ("llm",), [("llm", "qwen2", None, None)]),
        ("anima", ("llm",), [("llm", "qwen2", None, None), ("t5", "t5", None, None)]),
        ("svd", (), []),
    ],
)
def test_families_read_prompts_with_their_encoders(id: str, roles: Sequence[str], encoders: list[object]) -> None:
    found = encoders_of(ARCHITECTURES[id], roles)
    assert [(one.name, one.vocabulary, one.chunk, one.limit) for one in found] == encoders


@for_each_case(
    ("prompt", "count", "chunks"),
    [
        ("", 0, 1),
        ("a" * 75, 75, 1),
        ("a" * 76, 76, 2),
        ("a BREAK b", 2, 2),
        ("BREAK", 0, 1),
        ("a" * 75 + " BREAK b", 76, 2),
        ("a BREAK BREAK b", 2, 2),
        ("(a BREAK b)", 7, 1),
        ("a <lora:x:1> b", 2, 1),
    ],
)
def test_chunks_are_counted_with_what_fills_them(prompt: str, count: int, chunks: int) -> None:
    found = count_tokens(prompt, Encoder("clip_l", "clip", 75, pads_at_break=True), Letters())
    assert (found.count, found.chunks, found.truncated_at) == (count, chunks, None)


def test_the_first_character_that_falls_out_is_of_the_prompt_as_written() -> None:
    prompt = "  <lora:ink:1> (" + "a" * 74 + ":1.2) [bcd] <lora:x>"
    found = count_tokens(prompt, Encoder("clip_l", "clip", 75, limit=75), Letters())
    assert (found.count, found.chunks) == (77, 1)
    assert found.truncated_at == prompt.index("c", 80)
    assert count_tokens("a" * 75, found.encoder, Letters()).truncated_at is None


def test_what_stands_before_a_prompt_is_no_place_of_it() -> None:
    encoder = Encoder("llm", "qwen2", limit=1, lead="x")
    assert count_tokens("ab", encoder, Letters()).truncated_at == 0
    assert count_tokens("?", encoder, Letters()).is_exact is False


@pytest.mark.parametrize(
    "prompt", ["", " a ", "a <lora:x:1>", " <lora:x> b <LYCO:y:2> c ", "<lora:x>", "a<hypernet:z>b"]
)
def test_places_are_those_of_the_text_without_tags(prompt: str) -> None:
    assert "".join(prompt[place] for place in places_without_tags(prompt)) == without_tags(prompt)
