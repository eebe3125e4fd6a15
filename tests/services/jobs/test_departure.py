"""Who has left, who may come back, and work that is given up."""

from __future__ import annotations

import contextvars
import threading

import pytest

from sdcpp_rest.errors import CallerGone
from sdcpp_rest.services.jobs.departure import Departure, current_departure, serving

GONE = CallerGone("gone")


def test_a_departure_is_told_once_to_those_who_wait_and_at_once_to_those_who_come_later() -> None:
    departure, told = Departure(), list[str]()
    departure.on_leaving(lambda: told.append("early"))
    assert not departure.has_left
    departure.leave()
    departure.leave()
    departure.on_leaving(lambda: told.append("late"))
    assert departure.has_left
    assert told == ["early", "late"]


def test_work_for_a_caller_is_kept_until_it_is_given_up() -> None:
    departure, reasons = Departure(), list[CallerGone]()
    assert not departure.is_work_kept, "nothing has begun"
    with departure.bind(reasons.append):
        departure.leave()
        assert departure.is_work_kept
        departure.give_up(GONE)
        departure.give_up(CallerGone("again"))
        assert not departure.is_work_kept
    assert reasons == [GONE]


def test_work_that_ended_is_kept_and_not_ended_again() -> None:
    departure, reasons = Departure(), list[CallerGone]()
    with departure.bind(reasons.append):
        pass
    assert departure.is_work_kept
    departure.give_up(GONE)
    assert not reasons


def test_nothing_begins_for_a_caller_whose_work_was_given_up() -> None:
    departure = Departure()
    departure.give_up(GONE)
    with pytest.raises(CallerGone), departure.bind(lambda reason: None):
        raise AssertionError("it began")


def test_what_ends_with_the_connection_does_not_wait_for_anybody() -> None:
    departure = Departure()
    with departure.bind(lambda reason: None):
        departure.on_leaving(lambda: None)
        assert departure.ends_with_connection
        assert not departure.is_work_kept


def test_who_comes_back_has_not_left() -> None:
    departure = Departure()
    departure.leave()
    departure.come_back()
    assert not departure.has_left


def test_each_call_has_its_own_departure_and_other_threads_have_none() -> None:
    departure, elsewhere = Departure(), list[Departure]()
    with serving(departure):
        assert current_departure() is departure
        context = contextvars.copy_context()
        threads = [
            threading.Thread(target=lambda: elsewhere.append(current_departure())),
            threading.Thread(target=lambda: elsewhere.append(context.run(current_departure))),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert elsewhere[0] is not departure
    assert elsewhere[1] is departure, "pools of threads hand the context on"
    assert current_departure() is not departure
