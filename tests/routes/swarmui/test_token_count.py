from __future__ import annotations

from sdcpp_rest.routes.swarmui.token_count import count_tokens
from tests.cases import for_each_case

# Counted with CLIP's own vocabulary.
KNOWN = [
    ("", 0),
    ("a photo of a cat", 5),
    ("a photo of a cat, on a table.", 10),
    ("masterpiece, best quality, 1girl, solo", 9),
    ("it's 2026", 6),
    ("a red circle on white!!", 6),
    ("cinematic lighting, highly detailed, 8k, sharp focus", 11),
]


@for_each_case(("text", "tokens"), KNOWN)
def test_common_words_are_one_token_each(text: str, tokens: int) -> None:
    assert abs(count_tokens(text, skips_syntax=False, weighting=True) - tokens) <= 1


LONGER = [
    (
        "masterpiece, best quality, 1girl, solo, long hair, looking at viewer, blue eyes, upper body, cherry blossoms",
        25,
    ),
    ("an astronaut riding a horse on mars, volumetric lighting, 35mm photograph, bokeh, highly detailed, 4k", 25),
    ("lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, cropped, jpeg artifacts, blurry", 26),
    ("portrait of a 70 year old fisherman with a weathered face, overcast harbor, Kodak Portra 400, wool sweater", 26),
    ("a watercolor painting of lavender fields in Provence, impressionist brushstrokes, soft pastel palette", 16),
]


@for_each_case(("text", "tokens"), LONGER)
def test_prompts_are_counted_to_a_tenth(text: str, tokens: int) -> None:
    assert abs(count_tokens(text, skips_syntax=False, weighting=False) - tokens) <= max(2, tokens // 10)


@for_each_case("word", ["supercalifragilistic", "Donaudampfschiffahrt", "日本語の文章", "🙂🙂🙂"])
def test_rare_words_are_several(word: str) -> None:
    assert count_tokens(word, skips_syntax=False, weighting=True) > 1


def test_weights_are_no_words_unless_they_are_not_looked_at() -> None:
    plain = count_tokens("a cat", skips_syntax=False, weighting=True)
    for text in ("a (cat:1.5)", "a ((cat))", "a [cat]", "(a (cat:0.5):1.2)"):
        assert count_tokens(text, skips_syntax=False, weighting=True) == plain
        assert count_tokens(text, skips_syntax=False, weighting=False) > plain


def test_parts_between_breaks_count_for_themselves() -> None:
    assert count_tokens("a cat <break> a large dog", skips_syntax=False, weighting=True) == 3


@for_each_case(
    ("text", "same_as"),
    [
        ("a <random:cat|small dog>", "a small dog"),
        ("a <random:cat,<random:blue dog|x>>", "a blue dog"),
        ("a cat<lora:style:0.8>", "a cat"),
        ("a cat <segment:face> a face", "a cat"),
        ("a cat <region:0,0,1,1>", "a cat"),
        ("a <unknown", "a <unknown"),
    ],
)
def test_tags_count_as_what_they_put_there(text: str, same_as: str) -> None:
    plain = count_tokens(same_as, skips_syntax=False, weighting=True)
    assert count_tokens(text, skips_syntax=True, weighting=True) == plain


@for_each_case("text", ["(" * 50_000, "<random:" * 10_000, "a:1.5)" * 10_000, "<" * 100_000, "é" * 100_000])
def test_hostile_text_is_counted_all_the_same(text: str) -> None:
    assert count_tokens(text, skips_syntax=True, weighting=True) >= 0
