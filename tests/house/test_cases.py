"""A test of many cases tells all that fail, and can fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cases import for_each_case


@for_each_case(("a", "b"), [(1, 2), pytest.param(3, 4)])
@for_each_case("c", [5, 6])
def test_cases_are_tried_with_fixtures(a: int, b: int, c: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert b == a + 1
    assert c in (5, 6)
    assert tmp_path_factory.getbasetemp().is_dir()


def test_cases_have_folders_and_patches_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    @for_each_case("name", ["a", "b"])
    @for_each_case("number", [1, 2])
    def leave_traces(name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "TRACE" not in os.environ
        assert list(tmp_path.iterdir()) == []
        monkeypatch.setenv("TRACE", name)
        (tmp_path / "trace").touch()
        seen.append(tmp_path)

    leave_traces(tmp_path=tmp_path, monkeypatch=monkeypatch)
    assert len({*seen}) == 4
    assert "TRACE" not in os.environ


def test_all_combinations_are_tried() -> None:
    seen = []

    @for_each_case("a,b", [(1, 2), (3, 4)])
    @for_each_case("c", [5, 6])
    def note(a: int, b: int, c: int) -> None:
        seen.append((a, b, c))

    note()
    assert seen == [(1, 2, 5), (1, 2, 6), (3, 4, 5), (3, 4, 6)]


def test_every_case_that_fails_is_told() -> None:
    @for_each_case("number", [1, 2, 3, 4])
    def is_odd(number: int) -> None:
        assert number % 2, "even"

    with pytest.raises(pytest.fail.Exception) as failed:
        is_odd()
    assert str(failed.value).startswith("2 of 4 cases failed")
    for words in ("--- 2\n", "--- 4\n", "AssertionError: even"):
        assert words in str(failed.value)
    assert "--- 3" not in str(failed.value)


def test_a_case_that_raises_no_error_where_one_is_wanted_fails() -> None:
    @for_each_case("text", ["1", "x"], ids=["a number", "a letter"])
    def is_refused(text: str) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            int(text)

    with pytest.raises(pytest.fail.Exception, match="1 of 2 cases failed\n\n--- a number\nDID NOT RAISE"):
        is_refused()


def test_a_case_that_has_a_name_is_told_by_it() -> None:
    @for_each_case("number", [1, pytest.param(2, id="the even one")])
    def is_odd(number: int) -> None:
        assert number % 2

    with pytest.raises(pytest.fail.Exception, match="1 of 2 cases failed\n\n--- the even one\n"):
        is_odd()


def test_no_case_and_a_case_of_the_wrong_length_are_mistakes() -> None:
    with pytest.raises(ValueError, match="no case for a, b"):
        for_each_case("a,b", [])
    with pytest.raises(AssertionError, match="2 values are wanted"):
        for_each_case("a,b", [(1, 2, 3)])
    with pytest.raises(AssertionError, match="does not take b"):
        for_each_case("b", [1])(lambda a: None)
