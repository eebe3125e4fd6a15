from __future__ import annotations

import pytest

from sdcpp_rest.core.prompt_language.state import PromptLora
from tests.cases import for_each_case
from tests.core.prompt_language.small_world import SmallWorld, expand_here

DRAWN = [
    ("a <random:red,green,blue> cat", 1, "a red cat"),
    ("a <random:red,green,blue> cat", 2, "a blue cat"),
    ("<random:red, dark|blue, light>", 1, "red, dark"),
    ("<random:a|b||c,d>", 1, "a|b"),
    ("<random:a|b||c,d>", 2, "c,d"),
    ("<RANDOM: red , green >", 4, "red"),
    ("<random:>x", 1, "x"),
    ("<random:1-5>", 1, "5"),
    ("<random:0.8-1.2>", 1, "1.2"),
    ("<random:0.8-1.25>", 3, "1.05"),
    ("<random:.5-1>", 3, "0.8"),
    ("<random:10-100,blue>", 5, "blue"),
    ("<random[2]:a,b,c>", 1, "a c"),
    ("<random[2,]:a,b,c>", 1, "a, c"),
    ("<random[1-3]:a,b,c>", 1, "c"),
    ("<random[1-3,]:a,b,c>", 2, "c, a, b"),
    ("<random[5]:a,b>", 1, "a b b a a"),
    ("<random[0]:a,b>!", 1, "!"),
    ("<random[2,]:1-9,1-9>", 1, "8, 3"),
    ("<random:<random:a,b>,<random:c,d>>", 1, "b"),
    ("<wildcard:animals>", 1, "cat"),
    ("<wc:animals>", 2, "owl"),
    ("<wc:warm>", 1, "red"),
    ("<wc:ANIM>", 3, "cat"),
    ("<wc:animals,not=cat,dog>", 1, "owl"),
    ("<wc:animals,not=cat,dog,owl>x", 1, "x"),
    ("<wc[2]:animals>", 1, "cat owl"),
    ("<wc[3,]:animals>", 1, "cat, owl, dog"),
    ("<wc:nested>", 1, "a small owl"),
    ("<wc:empty>x", 1, "x"),
    ("<setvar[a]:<wc:animals>> and <wc:animals,not=<var:a>>", 1, "cat and owl"),
    ("<setmacro[m,false]:<random:1-100>><macro:m> <macro:m> <macro[m]>", 1, "85 26 45"),
    ("<repeat[1-3]:<random:x,y>>", 1, "y"),
    ("<repeat:2,<random:x,y>>", 3, "x y"),
    ("<repeat:<random:2,3>,z>", 3, "z z"),
]
"""Prompt, seed, and the words that it has on every version of Python."""


@for_each_case(("prompt", "seed", "words"), DRAWN)
def test_words_are_drawn(prompt: str, seed: int, words: str) -> None:
    assert expand_here(prompt, seed=seed).prompt == words


@for_each_case(
    ("prompt", "seed", "words"),
    [
        ("{red|green|blue} cat", 1, "red cat"),
        ("{2$$a|b|c}", 1, "a, c"),
        ("{1-3$$a|b|c}", 4, "a"),
        ("{2$$ and $$a|b}", 1, "a and b"),
        ("{5$$a|b}", 1, "a, b"),
        ("__animals__ and __warm__", 1, "cat and orange"),
        ("{__animals__|a {big|small} dog}", 3, "dog"),
        ("{<random:a,b>|<wc:warm>}", 1, "b"),
        ("<random:{a|b},{c,d|e}>", 1, "b"),
        ("{{masterpiece}}, {x}", 1, "{{masterpiece}}, {x}"),
        ("__nothing__ a__b", 1, "__nothing__ a__b"),
        ("a | b } c {", 1, "a | b } c {"),
    ],
)
def test_braces_draw_words_when_they_are_wanted(prompt: str, seed: int, words: str) -> None:
    assert expand_here(prompt, seed=seed, braces=True).prompt == words
    assert "{" not in prompt or expand_here("{a|b}", seed=seed).prompt == "{a|b}"


def test_entries_do_not_repeat_before_all_were_taken() -> None:
    for seed in range(20):
        words = expand_here("<random[6]:a,b,c>", seed=seed).prompt.split()
        assert sorted(words[:3]) == sorted(words[3:]) == ["a", "b", "c"]


def test_by_index_takes_seed_mod_count() -> None:
    words = [expand_here("<wc:animals> <random:a,b>", seed=seed, by_index=True).prompt for seed in range(4)]
    assert words == ["cat a", "dog b", "owl a", "cat b"]


@for_each_case(
    ("prompt", "words"),
    [
        ("<setvar[c]:red> dog, <var:c> eyes", "red dog, red eyes"),
        ("<setvar[c,false]:red> a dog, <var[c]> eyes", "a dog, red eyes"),
        ("<setvar[c, FALSE ]:red>a", "a"),
        ("<setvar[a,false]:x><setvar[b,false]:<var:a>y><var:b>", "xy"),
        ("<setvar[a,false]:x><setvar[a,false]:<var:a><var:a>><var:a>", "xx"),
        ("<setmacro[m]:a> <macro:m>", "a a"),
        ("<setvar[n,false]:m><setmacro[m,false]:a><macro:<var:n>>", "a"),
        ("<repeat[3]:cat>", "cat cat cat"),
        ("<repeat:2,a, b>", "a, b a, b"),
        ("<repeat[0]:cat>x", "x"),
        ("a <comment:<random:never, drawn> seen> cat", "a cat"),
        ("a <embed:bad>, <embedding:bad>", "a bad_hands, bad_hands"),
        ("cfg <param:CFG Scale>, <param[cfg_scale]:3> now <param:cfgscale>", "cfg 7, now 3"),
        ("<param:steps>x", "x"),
        ("<param:prompt>", "raw"),
        ("an <unknown[2]:<setvar[x]:y>> tag", "an <unknown[2]:y> tag"),
        ("(word:1.2) [a|b] i <3 you >_>", "(word:1.2) [a|b] i <3 you >_>"),
    ],
)
def test_words_that_are_not_drawn(prompt: str, words: str) -> None:
    expanded = expand_here(prompt)
    assert expanded.prompt == words
    assert expanded.warnings == ()
    assert expanded.draw_count == 0


@for_each_case(
    ("prompt", "words", "warning"),
    [
        ("a <wildcard:nope> b", "a <wildcard:nope> b", "there is no wildcard 'nope'"),
        ("a <lora:nope:0.5> b", "a <lora:nope:0.5> b", "there is no LoRA 'nope'"),
        ("<lora:style:big>", "<lora:style:big>", "has no weight such as 0.8"),
        ("<lora:style:nan>", "<lora:style:nan>", "has no weight such as 0.8"),
        ("<lora:style:1:1:1>", "<lora:style:1:1:1>", "has no weight such as 0.8"),
        ("a <embed:nope> b", "a b", "there is no embedding 'nope'"),
        ("<preset:nope> b", "<preset:nope> b", "there is no preset 'nope'"),
        ("<param[sharpness]:1>", "<param[sharpness]:1>", "there is no parameter 'sharpness'"),
        ("<param:sharpness>", "<param:sharpness>", "there is no parameter 'sharpness'"),
        ("<param[prompt]:x>", "<param[prompt]:x>", "a prompt cannot be set from within"),
        ("a <var:nope> b", "a b", "there is no variable 'nope'"),
        ("a <macro:nope> b", "a b", "there is no macro 'nope'"),
        ("<setvar:x>", "<setvar:x>", "gives no name in brackets"),
        ("<setmacro[,false]:x>", "<setmacro[,false]:x>", "gives no name in brackets"),
        ("<random[many]:a,b>", "<random[many]:a,b>", "says 'many' where it should say how many"),
        ("<repeat[x]:a>", "<repeat[x]:a>", "says 'x' where it should say how often"),
        ("<repeat:a>", "<repeat:a>", "says 'a' where it should say how often"),
        ("<preset:Self> x", "deep x", "the preset 'Self' names itself"),
    ],
)
def test_what_cannot_be_resolved_is_told(prompt: str, words: str, warning: str) -> None:
    expanded = expand_here(prompt)
    assert expanded.prompt == words
    assert len(expanded.warnings) == 1
    assert expanded.warnings[0].startswith("prompt: ")
    assert warning in expanded.warnings[0]


@for_each_case(
    ("prompt", "loras"),
    [
        ("<lora:style>", [("style", 1.0, None)]),
        ("<lora:style:0.5>", [("style", 0.5, None)]),
        ("<lora:STYLE:-0.5:0.25>", [("style", -0.5, 0.25)]),
        ("<lora:detail:1><lora:style:2>", [("sub/detail", 1.0, None), ("style", 2.0, None)]),
        ("<lora:style:<random:0.5>>", [("style", 0.5, None)]),
        ("<lora:<setvar[x]:style>:1>", [("style", 1.0, None)]),
    ],
)
def test_loras_leave_the_prompt(prompt: str, loras: list[tuple[str, float, float | None]]) -> None:
    expanded = expand_here(f"a {prompt}, cat")
    assert expanded.prompt == "a, cat"
    assert expanded.loras == tuple(PromptLora(*lora) for lora in loras)


@for_each_case(
    ("prompt", "words"),
    [
        ("<trigger>, cat", "of the model, cat"),
        ("<trigger>, cat <lora:style>", "of the model, in style, painted, cat"),
        ("<lora:style><lora:style><trigger>", "of the model, in style, painted"),
        ("<random[2,]:<trigger>,<trigger>>", "of the model, of the model"),
        ("<setvar[t,false]:<trigger>>a <var:t> b", "a of the model b"),
    ],
)
def test_trigger_words_are_those_of_the_model_and_all_loras(prompt: str, words: str) -> None:
    assert expand_here(prompt).prompt == words


def test_no_trigger_words_leave_nothing() -> None:
    assert expand_here("a <trigger> cat", world=SmallWorld(chosen_triggers=())).prompt == "a  cat"


def test_preset_writes_around_both_prompts_and_sets_parameters() -> None:
    expanded = expand_here("a cat <preset:Oil>", "blurry", seed=2)
    assert expanded.prompt == "oil painting of a cat, wild"
    assert expanded.negative_prompt == "photo, blurry"
    assert expanded.parameters == {"steps": "30"}
    assert expanded.presets == ("Oil",)


def test_preset_without_a_place_for_the_prompt_comes_behind_it() -> None:
    assert expand_here("a cat<p:Plain>").prompt == "a cat, plain"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("<p:Plain>", "plain"), ("a cat, <p:Plain>", "a cat, plain"), ("<p:Plain><p:Plain>", "plain, plain")],
)
def test_preset_behind_a_prompt_is_set_off_by_one_comma(prompt: str, words: str) -> None:
    assert expand_here(prompt).prompt == words


def test_preset_may_be_trigger_words_alone() -> None:
    world = SmallWorld(presets={"T": {"prompt": "<trigger>"}})
    assert expand_here("a cat<p:T>", world=world).prompt == "a cat, of the model"


def test_presets_follow_each_other_and_may_be_drawn() -> None:
    expanded = expand_here("<p:<random:Oil>> a cat <p:Fast> <param[steps]:9>", "<p:Plain>")
    assert expanded.prompt == "oil painting of a cat, wild, plain"
    assert expanded.parameters == {"steps": "9", "cfgscale": "1"}
    assert expanded.presets == ("Oil", "Fast", "Plain")


def test_used_wildcards_are_named_in_order() -> None:
    assert expand_here("<wc:warm> <wc:nested>").used_wildcards == ("colours/warm", "nested", "animals")
