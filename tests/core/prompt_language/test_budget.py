"""Prompts that are written to hurt: each is refused in words, or answered at once."""

from __future__ import annotations

import pytest

from sdcpp_rest.core.prompt_language.budget import MAX_NESTING, MAX_WRITTEN
from sdcpp_rest.errors import InvalidRequest
from tests.cases import for_each_case
from tests.core.prompt_language.small_world import SmallWorld, expand_here

LONG = "x" * 1_000


@pytest.mark.slow
@for_each_case(
    "prompt",
    [
        "<repeat[1000]:<repeat[1000]:x>>",
        "<repeat[999999999999]:>",
        "<random[999999999999]:a,b>",
        "<wc:twice>",
        "<setmacro[m,false]:<macro:m><macro:m>><macro:m>",
        f"<setvar[v,false]:{LONG}>" + "<setvar[v,false]:<var:v><var:v>>" * 40 + "<var:v>",
        f"<setvar[v,false]:{LONG}>" + "<var:v>" * 9_000,
        "<random:" * 10_000 + "x" + ">" * 10_000,
        "<a:" * 20_000 + ">" * 20_000,
        "<break>" * 10_000 + "<repeat[10001]:x>",
    ],
)
def test_too_much_is_refused_by_name_and_limit(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match=r"prompt: its tags make too much; at most [0-9]+ .* are allowed") as error:
        expand_here(prompt)
    assert error.value.detail["field"] == "prompt"


def test_trigger_words_count_where_they_are_written() -> None:
    with pytest.raises(InvalidRequest, match="its tags make too much"):
        expand_here("<trigger>" * 5_000, world=SmallWorld(chosen_triggers=(LONG,)))
    world = SmallWorld(presets={"Many": {"prompt": "<trigger>" * 5_000}}, chosen_triggers=(LONG,))
    with pytest.raises(InvalidRequest, match="its tags make too much"):
        expand_here("<preset:Many>", world=world)


def test_large_wildcards_count_for_what_is_read_of_them() -> None:
    world = SmallWorld(wildcards={"many": ["x"] * 500_000})
    assert expand_here("<wc:many> " * 1_000, world=world).draw_count == 1_000
    with pytest.raises(InvalidRequest, match="its tags make too much"):
        expand_here("<wc:many,not=y> " * 10, world=world)
    with pytest.raises(InvalidRequest, match="its tags make too much"):
        expand_here("<wc[9999]:many>", world=world)


def test_length_is_limited_before_and_after() -> None:
    with pytest.raises(InvalidRequest, match=f"1000000 characters as written are too many; at most {MAX_WRITTEN}"):
        expand_here("x" * 1_000_000)
    with pytest.raises(InvalidRequest, match="150000 characters when its tags are resolved are too many"):
        expand_here(f"<setvar[v,false]:{'x' * 50_000}><var:v><var:v><var:v>")
    with pytest.raises(InvalidRequest, match="150000 characters in its section <refiner> are too many"):
        expand_here(f"<setvar[v,false]:{'x' * 50_000}><refiner><var:v><var:v><var:v>")
    with pytest.raises(InvalidRequest, match="negative_prompt: ") as error:
        expand_here("x", "x" * (MAX_WRITTEN + 1))
    assert error.value.detail == {
        "field": "negative_prompt",
        "value": MAX_WRITTEN + 1,
        "allowed": f"at most {MAX_WRITTEN} characters",
    }


def test_nul_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="prompt: holds a NUL character at position 1"):
        expand_here("a\0-b")


def test_wildcard_that_names_itself_ends_at_the_limit() -> None:
    expanded = expand_here("<wc:loop>")
    assert expanded.prompt == "<wc:loop>"
    assert expanded.warnings == (f"prompt: '<wc:loop>' lies deeper than {MAX_NESTING} tags and stays as it is.",)
    assert len(expanded.used_wildcards) == MAX_NESTING


def test_tags_may_lie_as_deep_as_the_limit() -> None:
    prompt = "<random:" * (MAX_NESTING - 1) + "x" + ">" * (MAX_NESTING - 1)
    assert expand_here(prompt).prompt == "x"


@pytest.mark.slow
@for_each_case(
    "prompt",
    ["<" * 100_000, "{" * 100_000, "<a" * 50_000, "__a" * 30_000, "__" * 50_000, "<a{" * 10_000, "< " * 50_000],
)
def test_what_never_closes_is_text(prompt: str) -> None:
    assert expand_here(prompt).prompt == prompt
    if "__a" not in prompt:
        assert expand_here(prompt, braces=True).prompt == prompt


def test_warnings_are_as_many_as_somebody_reads() -> None:
    expanded = expand_here("".join(f"<var:{number}>" for number in range(1_000)) + "<var:1>" * 100)
    assert len(expanded.warnings) == 51
    assert expanded.warnings[-1].startswith("950 more")
    assert all(len(warning) < 400 for warning in expand_here(f"<lora:{LONG}>").warnings)
