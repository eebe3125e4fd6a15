"""Answers for who asks again: kept within a bound, files for large ones, let go of with what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sdcpp_rest.core.job import Job, JobStatus
from sdcpp_rest.services.jobs import kept_answers
from sdcpp_rest.services.jobs.kept_answers import KeptAnswer, KeptAnswers, KeyReused
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.key_store import KeyStore

KIB = 1024
Make = Callable[[int], KeptAnswers]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "rest.db")
    yield db
    db.close()


@pytest.fixture
def make(db: Database, tmp_path: Path) -> Make:
    return lambda most_bytes: KeptAnswers(KeyStore(db), JobStore(db), tmp_path / "answers", most_bytes)


def answer(size: int) -> KeptAnswer:
    return KeptAnswer(200, (("content-type", "image/png"),), b"x" * size)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "answers").iterdir())


def test_small_answers_lie_in_the_database_and_large_ones_are_files(make: Make, tmp_path: Path) -> None:
    answers = make(10**9)
    for name, size in (("small", 10), ("large", 100 * KIB)):
        assert isinstance(answers.open(name, "asked"), str)
        answers.keep(name, answer(size))
        assert answers.open(name, "asked") == answer(size)
    assert files(tmp_path) == ["large"]


def test_the_oldest_files_make_room(make: Make, tmp_path: Path) -> None:
    answers = make(250 * KIB)
    seeds = [answers.open(name, "asked") for name in "abc"]
    for name in "abc":
        answers.keep(name, answer(100 * KIB))
    assert files(tmp_path) == ["b", "c"]
    assert answers.open("a", "asked") == seeds[0], "its jobs can still be found"
    answers.open("d", "asked")
    answers.keep("d", answer(300 * KIB))
    assert files(tmp_path) == ["b", "c"], "what is larger than all may be is not kept"


def test_a_file_that_is_gone_or_cut_is_no_answer(make: Make, tmp_path: Path) -> None:
    answers = make(10**9)
    for name in "ab":
        answers.open(name, "asked")
        answers.keep(name, answer(100 * KIB))
    (tmp_path / "answers" / "a").unlink()
    (tmp_path / "answers" / "b").write_bytes(b"x")
    assert isinstance(answers.open("a", "asked"), str)
    assert isinstance(answers.open("b", "asked"), str)


def test_another_request_under_the_name_is_refused(make: Make) -> None:
    answers = make(0)
    answers.open("a", "asked")
    with pytest.raises(KeyReused, match="a new request needs a new key"):
        answers.open("a", "something else")


@pytest.mark.parametrize(
    ("statuses", "stays"),
    [
        ([], False),
        (["pending"], True),
        (["completed", "processing"], True),
        (["completed", "failed"], False),
        (["cancelled"], False),
    ],
)
def test_a_failed_request_is_forgotten_unless_its_jobs_go_on(
    make: Make, db: Database, statuses: list[JobStatus], stays: bool
) -> None:
    answers, jobs = make(0), JobStore(db)
    seed = answers.open("a", "asked")
    for number, status in enumerate(statuses):
        jobs.insert(Job(id=str(number), kind="txt2img"), max_pending=10)
        if status != "pending":
            jobs.transition(str(number), status, ["pending"])
    answers.let_go("a", ["0", "1", "never submitted"])
    assert (answers.open("a", "asked") == seed) is stays


def test_what_is_older_than_a_day_goes_with_its_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = make(10**9)
    seed = answers.open("a", "asked")
    answers.keep("a", answer(100 * KIB))
    answers.drop_old()
    assert files(tmp_path) == ["a"]
    monkeypatch.setattr(kept_answers, "LIFETIME", timedelta(seconds=-1))
    answers.drop_old()
    assert files(tmp_path) == []
    assert answers.open("a", "asked") != seed
