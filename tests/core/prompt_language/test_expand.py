from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdcpp_rest.core.prompt_language.budget import MAX_WRITTEN
from sdcpp_rest.core.prompt_language.section_tags import SECTIONS
from sdcpp_rest.errors import InvalidRequest
from tests.core.prompt_language.small_world import LORAS, PRESETS, WILDCARDS, expand_here
from tests.examples import examples


def test_prompt_without_tags_stays_letter_by_letter() -> None:
    text = "  a (cat:1.2),\n  dog  "
    expanded = expand_here(text, text, braces=True)
    assert (expanded.prompt, expanded.negative_prompt) == (text, text)
    assert expanded == expand_here(text, text, seed=99)


def test_both_prompts_share_variables_macros_and_the_generator() -> None:
    expanded = expand_here(
        "<setvar[c]:<random:red,green,blue>> <setmacro[m,false]:<random:1-1000>><macro:m>",
        "<var:c> <macro:m>",
    )
    assert expanded.prompt == "red 764"
    assert expanded.negative_prompt == "red 496"


def test_what_the_negative_prompt_asks_for_counts_too() -> None:
    expanded = expand_here("<trigger> <var:x>", "<lora:style><setvar[x]:y><param[steps]:3>")
    assert expanded.prompt == "of the model, in style, painted"
    assert [lora.name for lora in expanded.loras] == ["style"]
    assert expanded.parameters == {"steps": "3"}


def test_draws_are_counted() -> None:
    assert expand_here("a <setvar[x]:cat> <lora:style>").draw_count == 0
    assert expand_here("a <random:cat,dog> <wc:animals>").draw_count == 2


_NAMES = [
    "random", "wildcard", "wc", "lora", "embed", "embedding", "preset", "p", "param", "setvar", "var", "setmacro",
    "macro", "repeat", "trigger", "comment", "alternate", "alt", "fromto", "break", *SECTIONS,
]  # fmt: skip
_WORDS = [*WILDCARDS, *LORAS, *PRESETS, "cat", "a,b", "a|b", "1-3", "0.5", "steps", "x:0.5", ",not=cat", " ", "", "<3"]
_PREDATA = ["", "[2]", "[1-3,]", "[x]", "[x,false]", "[steps]", "[", "[0.5]"]


def _tag(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Well-formed tags and choices around what they may hold."""
    tags = st.builds("<{}{}:{}>".format, st.sampled_from(_NAMES), st.sampled_from(_PREDATA), inner)
    choices = st.builds("{{{}|{}}}".format, inner, inner)
    both = st.builds("{} {}".format, inner, inner)
    return st.one_of(tags, choices, both)


_PIECES = st.sampled_from([*_WORDS, *_NAMES, "<", ">", "{", "}", "|", "||", "__", ":", "[", "]", "$$", "<trigger>"])
_MESS = st.lists(_PIECES, max_size=30).map("".join)
PROMPTS = st.one_of(st.recursive(st.sampled_from(_WORDS), _tag, max_leaves=25), _MESS, st.text(max_size=60))
_KNOWN = re.compile(rf"<({'|'.join(_NAMES)})(\[[^\[\]]*\])?(:[^<>]*)?>")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(PROMPTS, PROMPTS, st.integers(-(2**64), 2**64), st.booleans(), st.booleans())
def test_any_prompt_is_expanded_or_refused_by_name(
    prompt: str, negative: str, seed: int, by_index: bool, braces: bool
) -> None:
    try:
        expanded = expand_here(prompt, negative, seed=seed, by_index=by_index, braces=braces)
    except InvalidRequest as error:
        refused = error.detail["field"]
    else:
        refused = None
    assert refused in (None, "prompt", "negative_prompt")
    if refused is not None:
        return
    assert expanded == expand_here(prompt, negative, seed=seed, by_index=by_index, braces=braces)
    for text in (expanded.prompt, expanded.negative_prompt, expanded.hires_prompt or ""):
        assert "\0" not in text
        assert len(text) <= 2 * MAX_WRITTEN
        for match in _KNOWN.finditer(text):
            # Put together from pieces, or told why it stays.
            assert match.group() not in prompt + negative or any("stays as it is" in one for one in expanded.warnings)


@settings(max_examples=examples(150), deadline=None)
@given(st.recursive(st.sampled_from(["cat", "big dog", "1-3"]), _tag, max_leaves=15), st.integers(0, 2**63))
def test_words_after_a_prompt_do_not_change_it(prompt: str, seed: int) -> None:
    """The negative prompt is read second: nothing in it reaches back, its presets and trigger words aside."""
    try:
        alone = expand_here(prompt, "", seed=seed)
        with_more = expand_here(prompt, "<random:a,b> <setvar[x]:y> <wc:animals>", seed=seed)
    except InvalidRequest:
        return
    assert with_more.prompt == alone.prompt
