from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sdcpp_rest.core.prompt_style import PromptStyle
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound
from sdcpp_rest.services.settings import style_file
from sdcpp_rest.services.settings.prompt_styles import PromptStyles
from sdcpp_rest.services.settings.style_file import MAX_STYLES, StyleTable
from tests.cases import for_each_case

BY_HAND = (
    "\ufeffname,prompt,negative_prompt,rating\r\n"
    'Oil, "oil, painting",photo,5\r\n'
    "\r\n"
    '"Two\nlines","first\nsecond","",\r\n'
    "Short\r\n"
    "Last,no line end"
)


def put(text: str, *styles: PromptStyle) -> str:
    table = StyleTable(text)
    table.put(styles)
    return table.text()


def test_rows_that_are_not_changed_stay_as_they_were_written() -> None:
    assert StyleTable(BY_HAND).text() == BY_HAND
    changed = put(BY_HAND, PromptStyle(name="Short", prompt="now, longer"), PromptStyle(name="New", prompt='a "b"'))
    assert changed == BY_HAND.replace("Short\r\n", 'Short,"now, longer",,\r\n') + '\r\nNew,"a ""b""",,\r\n'


def test_cells_of_columns_that_are_not_ours_are_kept() -> None:
    assert "Oil,oil,,5\r\n" in put(BY_HAND, PromptStyle(name="Oil", prompt="oil"))


def test_a_removed_style_takes_nothing_along() -> None:
    table = StyleTable(BY_HAND)
    assert table.remove("Oil")
    assert not table.remove("Oil")
    assert table.text() == BY_HAND.replace('Oil, "oil, painting",photo,5\r\n', "")


def test_of_two_with_one_name_the_last_counts_and_is_changed() -> None:
    text = "name,prompt\nA,1\nA,2\n"
    assert StyleTable(text).styles()["A"].prompt == "2"
    assert put(text, PromptStyle(name="A", prompt="3")) == "name,prompt\nA,1\nA,3\n"
    table = StyleTable(text)
    table.remove("A")
    assert table.text() == "name,prompt\n"


@for_each_case(
    ("text", "expected"),
    [
        ("", "name,prompt,negative_prompt\nA,p,n\n"),
        ("\n\n", "\n\nname,prompt,negative_prompt\nA,p,n\n"),
        ("name,prompt,negative_prompt", "name,prompt,negative_prompt\nA,p,n\n"),
        ("name,text\nB,words\n", "name,text,negative_prompt\nB,words\nA,p,n\n"),
        ("name\n", "name,prompt,negative_prompt\nA,p,n\n"),
    ],
)
def test_columns_that_are_missing_are_added(text: str, expected: str) -> None:
    made = put(text, PromptStyle(name="A", prompt="p", negative_prompt="n"))
    assert made == expected
    assert StyleTable(made).styles()["A"] == PromptStyle(name="A", prompt="p", negative_prompt="n")


def test_a_file_that_cannot_be_read_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "styles.csv"
    for content in (b"\xff\xfe", b"a,b\n1,2\n", b"name,prompt\nx," + b"y" * 200_000, b"x" * ((4 << 20) + 1)):
        file.write_bytes(content)
        with pytest.raises(Conflict, match="left as it is"):
            PromptStyles(file).put(PromptStyle(name="A", prompt="p"))
        assert file.read_bytes() == content


def test_a_file_edited_by_hand_in_between_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "styles.csv"
    file.write_text("name,prompt\nMine,by hand\n")
    usual, edits = style_file.read_table, iter(["name,prompt\nMine,again by hand\n"])

    def edit_after_reading(path: Path) -> StyleTable:
        table = usual(path)
        for text in edits:
            file.write_text(text)
        return table

    monkeypatch.setattr(style_file, "read_table", edit_after_reading)
    PromptStyles(file).put(PromptStyle(name="New", prompt="p"))
    assert file.read_text() == "name,prompt\nMine,again by hand\nNew,p\n"


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    styles = PromptStyles(tmp_path / "folder" / "styles.csv")
    threads = [
        threading.Thread(target=styles.put, args=(PromptStyle(name=f"s{number}", prompt="p"),)) for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {style.name for style in styles.all()} == {f"s{number}" for number in range(16)}
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["styles.csv"]


def test_a_link_is_written_through_and_rights_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.csv"
    real.write_text("name,prompt\n")
    real.chmod(0o640)
    link = tmp_path / "styles.csv"
    link.symlink_to(real)
    PromptStyles(link).put(PromptStyle(name="A", prompt="p"))
    assert link.is_symlink()
    assert real.read_text() == "name,prompt\nA,p\n"
    assert os.stat(real).st_mode & 0o777 == 0o640


def test_ten_thousand_styles_are_kept_and_no_more(tmp_path: Path) -> None:
    styles = PromptStyles(tmp_path / "styles.csv")
    taken = styles.take_over([PromptStyle(name=f"s{n}", prompt="p") for n in range(MAX_STYLES)], overwrite=False)
    assert len(taken.added) == MAX_STYLES
    with pytest.raises(InvalidRequest, match="at most 10000"):
        styles.put(PromptStyle(name="one more", prompt="p"))
    assert not styles.put(PromptStyle(name="s1", prompt="changed"))
    assert styles.get("s1").prompt == "changed"
    with pytest.raises(NotFound) as caught:
        styles.get("S9998x")
    assert "s9998" in caught.value.detail["nearest"]


def test_a_file_that_would_be_too_large_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "styles.csv"
    file.write_text("name,prompt\n" + f"x,{'y' * 100_000}\n" * 41)
    before = file.read_bytes()
    with pytest.raises(InvalidRequest, match="4194304"):
        PromptStyles(file).take_over(
            [PromptStyle(name=f"s{n}", prompt="p" * 16_000) for n in range(10)], overwrite=False
        )
    assert file.read_bytes() == before
