from __future__ import annotations

from collections.abc import Sequence

from sdcpp_rest.core.prompt_language.syntax import Choice, Node, Tag, parse, plain_text, split, split_options
from tests.cases import for_each_case

Shown = list[object]


def show(nodes: Sequence[Node]) -> Shown:
    """Nodes as plain lists: text; (name, predata, body) of a tag; {"or": options} of a choice."""
    shown: Shown = []
    for node in nodes:
        if isinstance(node, Tag):
            shown.append((node.name, node.predata, show(node.body)))
        elif isinstance(node, Choice):
            shown.append({"or": [show(option) for option in node.options]})
        elif shown and isinstance(shown[-1], str):
            shown[-1] += node
        else:
            shown.append(node)
    return shown


@for_each_case(
    ("text", "nodes"),
    [
        ("", []),
        ("a cat", ["a cat"]),
        ("a <random:x,y> b", ["a ", ("random", None, ["x,y"]), " b"]),
        ("<Random[1-3,]:x>", [("random", "1-3,", ["x"])]),
        ("<break>", [("break", None, [])]),
        ("< lora : x >", [("lora", None, [" x "])]),
        ("<param[CFG Scale]:1>", [("param", "CFG Scale", ["1"])]),
        ("<lora:x:0.5:1>", [("lora", None, ["x:0.5:1"])]),
        ("<a:<b:x>y>", [("a", None, [("b", None, ["x"]), "y"])]),
        ("<a:<b:<c:x>>>", [("a", None, [("b", None, [("c", None, ["x"])])])]),
        # What is no tag, or never closes, is text.
        ("i <3 you", ["i <3 you"]),
        ("a < b", ["a < b"]),
        ("a > b", ["a > b"]),
        ("<random:x", ["<random:x"]),
        ("<a:<b:x>", ["<a:", ("b", None, ["x"])]),
        ("a < b > c", ["a ", ("b", None, []), " c"]),
        ("a <big dog> c", ["a ", ("", None, ["big dog"]), " c"]),
        ("<repeat[<random:1,2>]:x>", [("", None, ["repeat[", ("random", None, ["1,2"]), "]:x"])]),
        ("{a|b} __c__", ["{a|b} __c__"]),
    ],
)
def test_text_becomes_nodes(text: str, nodes: Shown) -> None:
    assert show(parse(text)) == nodes


@for_each_case(
    ("text", "nodes"),
    [
        ("{a|b}", [{"or": [["a"], ["b"]]}]),
        ("{a|{b|c}}", [{"or": [["a"], ["", {"or": [["b"], ["c"]]}, ""]]}]),
        ("{a|<x:b|c>}", [{"or": [["a"], ["", ("x", None, ["b|c"]), ""]]}]),
        ("<x:{a|b}>", [("x", None, [{"or": [["a"], ["b"]]}])]),
        ("__animals/wild__ x", [("wildcard", None, ["animals/wild"]), " x"]),
        ("a__b", ["a__b"]),
        ("____", ["____"]),
        ("{a", ["{a"]),
        ("a}", ["a}"]),
        # The nearest that can close does; what was opened inside of it is text.
        ("<x:{a>|b}", [("x", None, ["{a"]), "|b}"]),
        ("{a <b|c}", [{"or": [["a <b"], ["c"]]}]),
    ],
)
def test_braces_are_read_when_they_are_wanted(text: str, nodes: Shown) -> None:
    shown = show(parse(text, braces=True))
    assert without_empty(shown) == without_empty(nodes)


def without_empty(shown: Shown) -> Shown:
    """Without empty texts, which mean nothing."""

    def clean(one: object) -> object:
        if isinstance(one, dict):
            return {"or": [without_empty(option) for option in one["or"]]}
        return (*one[:2], without_empty(one[2])) if isinstance(one, tuple) else one

    return [clean(one) for one in shown if one != ""]


@for_each_case("text", ["<lora:x:1>", "< A b >", "<x[1]:<y:z>>", "{a|{b|c}}", "__x__"])
def test_raw_is_what_was_written(text: str) -> None:
    (node,) = parse(text, braces=True)
    assert isinstance(node, Tag | Choice)
    assert node.raw == text


@for_each_case(
    ("text", "parts"),
    [
        ("a,b,c", ["a", "b", "c"]),
        ("a,b|c", ["a,b", "c"]),
        ("a|b||c,d", ["a|b", "c,d"]),
        ("", [""]),
        ("a,", ["a", ""]),
    ],
)
def test_options_are_split_at_the_rarest_separator(text: str, parts: list[str]) -> None:
    assert [plain_text(part) for part in split_options(parse(text))] == parts


def test_separators_in_inner_tags_do_not_split() -> None:
    body = parse("x <a:1|2> y, z")
    assert [show(part) for part in split_options(body)] == [["x ", ("a", None, ["1|2"]), " y"], [" z"]]


def test_split_stops_after_as_many_cuts_as_are_wanted() -> None:
    assert [plain_text(part) for part in split(["a,b", ",c,d"], ",", 2)] == ["a", "b", "c,d"]
    assert plain_text(parse("a <b:c>")) is None
