from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdcpp_rest.core.prompts import LoraTag, check_prompt, lora_tag, parse_loras, tag_warnings
from sdcpp_rest.errors import InvalidRequest
from tests.cases import for_each_case


@for_each_case(
    ("prompt", "tags", "rest"),
    [
        ("a cat", [], "a cat"),
        (" a cat ", [], " a cat "),
        ("a cat <lora:detail:0.8>", [LoraTag(name="detail", weight=0.8)], "a cat"),
        ("<lora:detail> a cat", [LoraTag(name="detail")], "a cat"),
        ("a <lora:x/y.safetensors:-1.5> cat", [LoraTag(name="x/y.safetensors", weight=-1.5)], "a cat"),
        ("a<lora:|high_noise|x:2>, b", [LoraTag(name="x", weight=2.0, is_high_noise=True)], "a, b"),
        ("<lora:a:1><lora:b:.5>", [LoraTag(name="a", weight=1.0), LoraTag(name="b", weight=0.5)], ""),
        ("<lora:unfinished", [], "<lora:unfinished"),
        ("a cat <lyco:x:0.5>", [LoraTag(name="x", weight=0.5)], "a cat"),
        ("a cat <LoRA:x:2>", [LoraTag(name="x", weight=2.0)], "a cat"),
        ("a cat < lora : x y : 0.5 >", [LoraTag(name="x y", weight=0.5)], "a cat"),
        ("a cat <hypernet:x:1>, sun", [], "a cat, sun"),
        ("a <lorax:x:1>", [], "a <lorax:x:1>"),
    ],
)
def test_lora_tags_come_out_of_the_prompt(prompt: str, tags: list[LoraTag], rest: str) -> None:
    assert parse_loras(prompt) == (tags, rest)


@for_each_case(
    "tag", ["<lora::1>", "<lora:>", "<lora:x:>", "<lora:x:nan>", "<lora:x:inf>", "<lora:x:1e999>", "<lora:x:1_0>",
            "<lora:x:1:2>", "<lora:x:٣>", "<lora:|high_noise|:1>"],
)  # fmt: skip
def test_a_tag_without_a_name_or_a_number_is_refused(tag: str) -> None:
    with pytest.raises(InvalidRequest, match=r"prompt: <lora:"):
        parse_loras("a cat " + tag)


@for_each_case(
    "text",
    [
        "", " ", "a (red:1.2) cat", "((a))", "(a", "a)", "[a]", "(a:1.2.3)", "(a:-.5)", "(a:+2)", "(a:0)", "(a:0.0)",
        r"\(a:.\)", "a:.)", "[a:.]", "(a:b)", "(a:.", "(a: .)", ":.)", "🦊🐈‍⬛ 猫 кот", "BREAK a BREAK", "<|im_end|>",
        "(a:" + "9" * 38 + ")",
        "(a:0." + "0" * 36 + "1)", "x" * 16_000, "(" * 16_000, r"(a\:.)"[:3], "a(b)c:.)", "(猫:1.3)",
    ],
)  # fmt: skip
def test_ordinary_prompts_pass(text: str) -> None:
    check_prompt("prompt", text)


@for_each_case(
    ("text", "shown"),
    [
        ("(a:.)", "."),
        ("a (b:..5) c", "..5"),
        ("(a:+.)", "+."),
        ("(a:" + "9" * 46 + ")", "9" * 20),
        ("(a:-" + "9" * 46 + ")", "-9"),
        ("(a:0." + "0" * 44 + "1)", "0.0"),
        ("((a:1.1):.)", "."),
        ("[(a:.)]", "."),
        (r"\\(a:.)", "."),
        ("(a:<lora:x>.)", "."),
        ("(BREAK:.)", "."),
    ],
)
def test_weights_that_end_the_process_are_refused_by_name(text: str, shown: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^negative_prompt: the attention weight") as caught:
        check_prompt("negative_prompt", text)
    assert shown in caught.value.message
    assert len(caught.value.message) < 300


@for_each_case(
    ("text", "why"),
    [
        ("x" * 16_001, "16001 characters"),
        ("猫" * 7_000, "21000 bytes"),
        ("a\0b", "NUL"),
        ("a\ud800b", "surrogate"),
    ],
)
def test_texts_that_the_library_cannot_take_are_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        check_prompt("prompt", text)


def refusal_of(text: str) -> str:
    try:
        check_prompt("prompt", text)
        parse_loras(text)
    except InvalidRequest as refused:
        return refused.message
    return "passes"


@pytest.mark.slow
@settings(max_examples=500)
@given(st.one_of(st.text(max_size=400), st.text("():.[]\\+-0123456789aB<lora>", max_size=80)))
def test_any_text_passes_or_is_refused(text: str) -> None:
    assert refusal_of(text).startswith(("prompt: ", "passes"))


@for_each_case("piece", [" ", "(", ":1", ":.", "9", "<lora:", "<lora:x> ", "\\", "(a:1)", "B", "(a:9", "[", " <lora:"])
def test_no_prompt_of_the_allowed_length_takes_long(piece: str) -> None:
    text = (piece * 16_000)[:16_000]
    start = time.perf_counter()
    refusal_of(text)
    assert time.perf_counter() - start < 1.0


def test_tags_that_do_nothing_where_they_stand_are_told() -> None:
    assert tag_warnings("a cat <lora:x:1>", "fog") == []
    assert "<hypernet:...>" in tag_warnings("a cat <hypernet:x:1>", "")[0]
    assert "<hypernet:...>" in tag_warnings("a cat", "<HYPERNET:x>")[0]
    assert "negative_prompt" in tag_warnings("a cat", "fog <lora:x:1>")[0]


@for_each_case("tag", [LoraTag(name="a b/c.d", weight=0.5), LoraTag(name="x", weight=-1.25, is_high_noise=True)])
def test_a_tag_that_is_written_is_read_as_it_was_meant(tag: LoraTag) -> None:
    written = lora_tag(tag.name, tag.weight, is_high_noise=tag.is_high_noise)
    assert parse_loras(f"a cat{written}") == ([tag], "a cat")


@for_each_case("name", ["", " ", "a:b", "a<b", "a>b"])
def test_a_name_that_no_tag_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be named in a prompt"):
        lora_tag(name, 1.0)
