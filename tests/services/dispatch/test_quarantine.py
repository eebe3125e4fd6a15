"""A machine whose engines end again and again gets no jobs for a while, if others complete theirs."""

from __future__ import annotations

import pytest

from sdcpp_rest.services.dispatch.quarantine import Quarantine


class Pretended:
    """A quarantine whose time only goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.quarantine = Quarantine(clock=lambda: self.now)

    def fail(self, times: int = 3, name: str = "one") -> float | None:
        """End so many engines in a row, while another machine completes a job; what the last one began."""
        for _ in range(times - 1):
            assert self.quarantine.note_end(name) is None
        self.quarantine.note_completed("two")
        return self.quarantine.note_end(name)


@pytest.fixture
def pretended() -> Pretended:
    return Pretended()


def test_third_end_in_a_row_begins_a_quarantine_that_ends(pretended: Pretended) -> None:
    quarantine = pretended.quarantine
    assert pretended.fail() == 60
    assert quarantine.find_fault("one") == (
        "quarantined for 60 s: its engines ended 3 times in a row while others worked"
    )
    assert quarantine.find_fault("two") == ""
    pretended.now += 20.5
    assert quarantine.find_fault("one").startswith("quarantined for 40 s")
    pretended.now += 39.5
    assert quarantine.find_fault("one") == ""


def test_each_quarantine_is_twice_as_long_up_to_a_quarter_of_an_hour(pretended: Pretended) -> None:
    seconds = []
    for _ in range(6):
        seconds.append(pretended.fail())
        pretended.now += seconds[-1] or 0
    assert seconds == [60, 120, 240, 480, 900, 900]


def test_a_completed_job_forgives(pretended: Pretended) -> None:
    quarantine = pretended.quarantine
    assert pretended.fail() == 60
    assert quarantine.note_completed("one"), "what it had begun is done"
    assert quarantine.find_fault("one") == ""
    assert pretended.fail() == 60, "as if it were the first"
    pretended.now += 60
    assert not quarantine.note_completed("one")
    assert pretended.fail(times=2) is None
    assert not quarantine.note_completed("one")
    assert pretended.fail(times=2) is None


def test_nobody_is_to_blame_while_nobody_works(pretended: Pretended) -> None:
    quarantine = pretended.quarantine
    quarantine.note_completed("two")
    assert [quarantine.note_end("one") for _ in range(5)] == [None] * 5
    quarantine.note_completed("two")
    assert quarantine.note_end("one") == 60


def test_ends_during_a_quarantine_count_for_nothing(pretended: Pretended) -> None:
    pretended.fail()
    assert [pretended.quarantine.note_end("one") for _ in range(5)] == [None] * 5
    pretended.now += 60
    assert pretended.fail() == 120


def test_a_full_machine_is_left_alone_at_once_and_longer_each_time(pretended: Pretended) -> None:
    quarantine = pretended.quarantine
    assert quarantine.note_full("one") == 60
    assert quarantine.find_fault("one") == "quarantined for 60 s: it has no room for jobs' files"
    assert quarantine.note_full("one") is None, "its other engine"
    pretended.now += 60
    assert quarantine.find_fault("one") == ""
    assert quarantine.note_full("one") == 120
    assert quarantine.note_completed("one")
    assert quarantine.note_full("one") == 60
