from __future__ import annotations

import time
from typing import Any

from sdcpp_rest.core.card_words import MAX_TEXT, number, one_line, plain_text, web_link, word_list
from tests.cases import for_each_case


@for_each_case(
    "given, text",
    [
        ("a\r\n\r\n\r\n\r\nb  c", "a\n\nb c"),
        ("<p>one</p><p>two <b>bold</b></p>", "one\ntwo bold"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("x<br/>y&amp;z", "x\ny&z"),
        ("use <lora:name:0.8> and 1 < 2 > 0", "use <lora:name:0.8> and 1 < 2 > 0"),
        ("<script>alert(1)</script>ok<STYLE>x</style >!", "ok!"),
        ("ok<script>alert(1)", "ok"),
        ('<img src=x onerror="alert(1)">seen', "seen"),
        ("<iframe src=x>", ""),
        ("a\x00b\x1b[31mc\u202ed\ud800", "ab[31mcd?"),
        (5, ""),
        (None, ""),
        (["x"], ""),
    ],
)
def test_texts_lose_their_markup_and_nothing_else(given: Any, text: str) -> None:
    assert plain_text(given) == text


@for_each_case("one", ["<", "<p", "<p ", "<script", "<script>", "</p><", "&", "<li>", "\n ", "<p>" * 100])
def test_a_hostile_text_takes_no_time(one: str) -> None:
    started = time.process_time()
    assert len(plain_text((one * 200_000)[:200_000])) <= MAX_TEXT
    assert time.process_time() - started < 1


@for_each_case(
    "given, words",
    [
        ("a, b,, a ,c", ("a", "b", "c")),
        (["a, b", "c", 5, None, " "], ("a", "b", "c")),
        ({"a": 1}, ()),
        (True, ()),
        (["x" * 500], ("x" * 200,)),
        ([str(k) for k in range(1000)], tuple(str(k) for k in range(100))),
    ],
)
def test_words_are_taken_from_lists_and_between_commas(given: Any, words: tuple[str, ...]) -> None:
    assert word_list(given) == words


@for_each_case(
    "given, link",
    [
        ("https://civitai.com/models/1?x=2", "https://civitai.com/models/1?x=2"),
        (" HTTP://example.org ", "HTTP://example.org"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("//example.org", ""),
        ("https://", ""),
        ("https://user:secret@example.org", ""),
        ("https://exa mple.org", ""),
        ('https://x/"onclick', ""),
        ("https://[x", ""),
        ("https://x/" + "y" * 3000, ""),
        (5, ""),
    ],
)
def test_only_links_to_the_web_are_links(given: Any, link: str) -> None:
    assert web_link(given) == link


@for_each_case(
    "given, found",
    [(20, 20), ("20", 20), (20.4, 20), (True, None), (0, None), (10**400, None), (float("nan"), None), ("x", None),
     ([], None), ("9" * 100, None), (float("inf"), None)],
)  # fmt: skip
def test_numbers_stay_within_their_limits(given: Any, found: int | None) -> None:
    assert number(given, 1, 1000, whole=True) == found


def test_a_line_has_no_breaks_and_an_end() -> None:
    assert one_line(" a\n b\x00\t" + "c" * 1000, 10) == "a b " + "c" * 6
