from __future__ import annotations

from sdcpp_rest.core.prompt_language.best_match import NameIndex, fold_name
from tests.cases import for_each_case

NAMES = ["style", "sub/My Style (v2).safetensors", "other/style", "STYLISH", "detail"]


@for_each_case(
    ("wanted", "name"),
    [
        ("style", "style"),
        ("STYLE", "style"),
        ("other\\style", "other/style"),
        ("my style(v2)", "sub/My Style (v2).safetensors"),
        ("stylish.safetensors", "STYLISH"),
        ("det", "detail"),
        ("styl", "style"),
        ("r/sty", "other/style"),
        ("nothing", None),
        ("", None),
        (" ()", None),
    ],
)
def test_exact_names_come_first_then_the_shortest_that_contains_it(wanted: str, name: str | None) -> None:
    assert NameIndex(NAMES).find(wanted) == name


def test_order_of_the_names_does_not_matter() -> None:
    assert NameIndex(["bx", "ax"]).find("x") == NameIndex(["ax", "bx"]).find("x") == "ax"
    assert fold_name("A B [c].safetensors") == "abc"
