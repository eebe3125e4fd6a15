from __future__ import annotations

from sdcpp_rest.core.prompt_language.section_tags import SECTIONS
from tests.cases import for_each_case
from tests.core.prompt_language.small_world import expand_here


@for_each_case("name", [name for name in SECTIONS if name != "refiner"])
@for_each_case("body", ["", ":face,0.6"])
def test_section_is_cut_out_with_its_text_and_told_once(name: str, body: str) -> None:
    expanded = expand_here(f"a cat, <{name.upper()}{body}> a face <comment:x> with eyes")
    assert expanded.prompt == "a cat,"
    assert expanded.hires_prompt is None
    assert len(expanded.warnings) == 1
    assert name in expanded.warnings[0].lower()


def test_section_ends_where_the_next_one_begins() -> None:
    expanded = expand_here("a <segment:face> b <refiner> c <object:0,0,1,1> d <refiner> e")
    assert expanded.prompt == "a"
    assert expanded.hires_prompt == "a c e"
    assert len(expanded.warnings) == 2


def test_region_end_goes_back_to_the_picture() -> None:
    assert expand_here("a <region:0,0,1,1> b <region:end> c").prompt == "a c"


def test_sections_in_choices_macros_and_variables_cut_what_follows() -> None:
    assert expand_here("a <random:b <segment:x> c> d").prompt == "a b"
    assert expand_here("a <setmacro[s,false]:<segment:x> c>b <macro:s> d").prompt == "a b"
    kept = expand_here("a <setvar[s,false]:<segment:x> c>b <lora:style> <var:s> d <lora:detail>")
    assert kept.prompt == "a b"
    assert [lora.name for lora in kept.loras] == ["style"]


def test_what_a_section_asks_for_does_not_reach_the_picture() -> None:
    expanded = expand_here("a <segment:face> b <lora:style> <param[steps]:3> <preset:Oil> <setvar[x]:y>", "<var:x>")
    assert expanded.loras == ()
    assert expanded.parameters == {}
    assert expanded.prompt == "a"
    assert expanded.negative_prompt == "y"


def test_models_of_the_refiner_are_told() -> None:
    expanded = expand_here("a <refiner> b <lora:style> <param[steps]:3>")
    assert expanded.hires_prompt == "a b"
    assert expanded.loras == ()
    assert [warning.split(" has")[0] for warning in expanded.warnings] == [
        "prompt: <lora> in the section <refiner>",
        "prompt: <param> in the section <refiner>",
    ]


def test_negative_prompt_has_no_second_pass() -> None:
    expanded = expand_here("a", "b <refiner> c")
    assert expanded.negative_prompt == "b"
    assert expanded.hires_prompt is None
    assert [warning.partition(":")[0] for warning in expanded.warnings] == ["negative_prompt"]


def test_preset_behind_a_section_belongs_to_the_picture() -> None:
    assert expand_here("<preset:Oil> a cat <segment:face> b").prompt == "oil painting of a cat, calm"


@for_each_case(
    ("prompt", "words"),
    [
        ("a <alternate:cat,dog>", "a cat"),
        ("a <alt:<random:cat>||dog>", "a cat"),
        ("a <fromto[0.5]:cat,dog>", "a cat"),
        ("a <break> cat", "a cat"),
    ],
)
def test_words_that_were_to_change_while_drawing_keep_their_first(prompt: str, words: str) -> None:
    expanded = expand_here(prompt)
    assert expanded.prompt == words
    assert len(expanded.warnings) == 1
