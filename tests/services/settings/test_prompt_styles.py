from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdcpp_rest.core.prompt_style import PromptStyle, merge
from sdcpp_rest.services.settings.prompt_styles import PromptStyles
from tests.cases import for_each_case

TEXT = """name,prompt,negative_prompt
Oil,oil painting,photo
Around,"a drawing of {prompt}, detailed",
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "styles.csv"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_styles_come_in_the_order_of_their_file(file: Path) -> None:
    assert PromptStyles(file).all() == [
        PromptStyle(name="Oil", prompt="oil painting", negative_prompt="photo"),
        PromptStyle(name="Around", prompt="a drawing of {prompt}, detailed"),
    ]


def test_styles_are_added_one_after_the_other(file: Path) -> None:
    applied = PromptStyles(file).apply("a cat", "ugly", ["Oil", "None of these", "Around"])
    assert applied == ("a drawing of a cat, oil painting, detailed", "ugly, photo", ["None of these"])


@for_each_case(
    ("style", "prompt", "expected"),
    [("", "a cat", "a cat"), ("oil", "", "oil"), ("{prompt}!", "a cat", "a cat!"), (" oil ", " a cat ", "a cat, oil")],
)
def test_a_style_stands_around_a_prompt_or_behind_it(style: str, prompt: str, expected: str) -> None:
    assert merge(style, prompt) == expected


def test_a_changed_file_is_read_again(file: Path) -> None:
    styles = PromptStyles(file)
    assert len(styles.all()) == 2
    file.write_text("﻿name,text\nOld,words\n", encoding="utf-8")
    os.utime(file, (1, 1))
    assert styles.all() == [PromptStyle(name="Old", prompt="words")]


@for_each_case("content", [b"", b"\xff\xfe\xff", b"no header here", b"name\n\n\n", b"a,b\n1,2\n"])
def test_a_file_that_cannot_be_read_holds_no_styles(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "styles.csv"
    file.write_bytes(content)
    assert PromptStyles(file).all() == []


def test_no_file_holds_no_styles(tmp_path: Path) -> None:
    styles = PromptStyles(tmp_path / "none.csv")
    assert styles.all() == []
    assert styles.apply("a", "b", ["x"]) == ("a", "b", ["x"])
