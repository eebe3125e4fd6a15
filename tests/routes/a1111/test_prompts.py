from __future__ import annotations

from sdcpp_rest.routes.a1111.prompts import readable
from tests.cases import for_each_case


def known(name: str) -> bool:
    return name == "demo"


@for_each_case(
    ("prompt", "expected"),
    [
        ("a cat", "a cat"),
        ("a <lora:demo:0.5> cat", "a <lora:demo:0.5> cat"),
        ("a <lora:demo> cat", "a <lora:demo:1> cat"),
        ("<LORA:demo:0.25>", "<lora:demo:0.25>"),
        ("<lora:demo:0.5:0.8>", "<lora:demo:0.8>"),
        ("<lora:demo:te=0.5:unet=0.8>", "<lora:demo:0.8>"),
        ("<lora:demo:0.5:lbw=OUTALL>", "<lora:demo:0.5>"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_tags_that_the_library_can_read(prompt: str, expected: str) -> None:
    assert readable(prompt, known) == (expected, [])


@for_each_case(
    ("prompt", "expected", "names"),
    [
        ("a <lora:nope:1> cat", "a  cat", ["nope"]),
        ("<lora:demo:heavy>", "", ["demo"]),
        ("<lora:demo:1_0>", "", ["demo"]),
        ("<lora:demo:nan>", "", ["demo"]),
        ("<lora:demo:1e9>", "", ["demo"]),
        ("<lora::1>", "", ["<lora::1>"]),
        ("<hypernet:demo:1>", "", ["demo"]),
        ("<lora:x:1><lora:x:2>", "", ["x"]),
    ],
)
def test_tags_that_are_left_out_are_named(prompt: str, expected: str, names: list[str]) -> None:
    assert readable(prompt, known) == (expected, names)
