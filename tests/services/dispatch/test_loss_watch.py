"""Machines that are lost together are told from those that go one by one."""

from __future__ import annotations

import pytest

from sdcpp_rest.services.dispatch.loss_watch import LossWatch

ALL = {"a", "b", "c", "d"}


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def watch(now: list[float]) -> LossWatch:
    return LossWatch(lambda: now[0])


def test_most_at_once_are_no_jobs_fault(watch: LossWatch) -> None:
    heard = []
    for name in "abc":
        watch.note(name)
        heard.append(watch.were_most_lost(ALL))
    assert heard == [False, False, True]
    assert watch.were_most_lost({"d"}), "those that were lost have left the list"


def test_one_by_one_may_be_a_jobs_fault(watch: LossWatch, now: list[float]) -> None:
    for name in "abcd":
        watch.note(name)
        assert not watch.were_most_lost(ALL)
        now[0] += 10


def test_a_machine_that_is_lost_again_and_again_is_one(watch: LossWatch) -> None:
    for _ in range(5):
        watch.note("a")
    assert not watch.were_most_lost({"a"})
    assert not watch.were_most_lost(set())
