"""Who may take over what, and until when: by a clock that the tests wind themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable

import pytest

from sdcpp_rest.errors import CallerGone
from sdcpp_rest.services.jobs.abandoned_calls import AbandonedCalls, start_timer
from sdcpp_rest.services.jobs.departure import Departure


class Call:
    """A call that has begun work for its caller."""

    def __init__(self, place: Hashable = "me", body: str = "a cat") -> None:
        self.place = place
        self.body = body
        self.departure = Departure()
        self.has_ended = False
        self.reasons: list[str] = []
        self._work = contextlib.ExitStack()
        self._work.enter_context(self.departure.bind(lambda reason: self.reasons.append(reason.message)))

    def end(self) -> None:
        self._work.close()
        self.has_ended = True

    def leave(self) -> Call:
        self.departure.leave()
        return self


class Clock:
    """Timers that go off by hand. ``seconds``: what each was set to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.running: list[Clock.Timer] = []

    class Timer:
        def __init__(self, clock: Clock, call: Callable[[], None]) -> None:
            self.clock, self.call = clock, call

        def cancel(self) -> None:
            if self in self.clock.running:
                self.clock.running.remove(self)

    def start(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.seconds.append(seconds)
        self.running.append(Clock.Timer(self, call))
        return self.running[-1]

    def go_off(self) -> None:
        (timer,) = self.running
        self.running.clear()
        timer.call()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_calls(clock: Clock, grace: float = 15.0, *, finishes: bool = False) -> AbandonedCalls[Call]:
    return AbandonedCalls[Call](grace, finishes=finishes, start_timer=clock.start)


def anything(call: Call) -> bool:
    return True


def test_a_retry_takes_the_work_over_and_the_clock_stops(clock: Clock) -> None:
    calls, call = make_calls(clock), Call().leave()
    assert calls.keep(call)
    assert (clock.seconds, calls.has_any("me")) == ([15.0], True)
    assert calls.take_over("me", lambda kept: kept.body == "a cat") is call
    assert not call.departure.has_left
    assert (clock.running, calls.has_any("me")) == ([], False)


def test_it_is_taken_over_once(clock: Clock) -> None:
    calls = make_calls(clock)
    calls.keep(Call())
    assert calls.take_over("me", anything) is not None
    assert calls.take_over("me", anything) is None


def test_without_a_retry_it_is_given_up_and_told_why(clock: Clock) -> None:
    calls, call = make_calls(clock), Call()
    calls.keep(call)
    assert call.reasons == []
    clock.go_off()
    assert call.reasons == ["The caller hung up and did not ask again within 15 s (queue.abandoned_grace_seconds)"]
    assert calls.take_over("me", anything) is None


def test_another_caller_and_another_request_take_nothing_over(clock: Clock) -> None:
    calls = make_calls(clock)
    calls.keep(Call())
    assert not calls.has_any("you")
    assert calls.take_over("you", anything) is None
    assert calls.take_over("me", lambda kept: kept.body == "a dog") is None
    assert calls.has_any("me")


def test_the_oldest_of_several_is_taken_first(clock: Clock) -> None:
    calls, first, second = make_calls(clock), Call(), Call()
    calls.keep(first)
    calls.keep(second)
    assert [calls.take_over("me", anything), calls.take_over("me", anything)] == [first, second]


def test_an_answer_that_was_finished_meanwhile_waits_as_long_again(clock: Clock) -> None:
    calls, call = make_calls(clock), Call()
    calls.keep(call)
    call.end()
    calls.note_end(call)
    assert clock.seconds == [15.0, 15.0]
    assert calls.take_over("me", anything) is call


def test_an_answer_that_nobody_comes_for_is_dropped(clock: Clock) -> None:
    calls, call = make_calls(clock), Call()
    call.end()
    calls.keep(call)
    clock.go_off()
    assert not calls.has_any("me")
    assert call.departure.is_work_kept, "there was nothing to give up"


def test_who_leaves_again_has_the_whole_time_again(clock: Clock) -> None:
    calls, call = make_calls(clock), Call()
    calls.keep(call)
    (stale,) = clock.running
    calls.take_over("me", anything)
    calls.keep(call)
    stale.call()
    assert calls.has_any("me"), "a clock that went off while it was stopped does not count"
    clock.go_off()
    assert len(call.reasons) == 1


def test_work_that_did_not_begin_yet_is_not_taken_over_and_never_begins(clock: Clock) -> None:
    calls, call = make_calls(clock), Call()
    call.departure = Departure()
    calls.keep(call)
    assert calls.take_over("me", anything) is None
    clock.go_off()
    with pytest.raises(CallerGone), call.departure.bind(lambda reason: None):
        pass


def test_nothing_is_kept_without_a_grace(clock: Clock) -> None:
    calls = make_calls(clock, 0)
    assert not calls.keep(Call())
    assert not calls.has_any("me")


@pytest.mark.parametrize("grace", [0.0, 15.0])
def test_work_that_is_to_be_finished_is_never_given_up(clock: Clock, grace: float) -> None:
    calls, call = make_calls(clock, grace, finishes=True), Call()
    assert calls.keep(call)
    clock.go_off()
    assert call.reasons == []
    assert calls.has_any("me"), "a retry may still come, as long as it runs"
    call.end()
    calls.note_end(call)
    clock.go_off()
    assert not calls.has_any("me")


def test_a_server_that_stops_gives_up_what_nobody_waits_for(clock: Clock) -> None:
    calls, call, late = make_calls(clock), Call(), Call()
    calls.keep(call)
    calls.close()
    calls.close()
    assert call.reasons == ["The caller hung up, and the server stops"]
    assert clock.running == []
    assert calls.keep(late), "whoever is released now has not left by themselves"
    assert (late.reasons, calls.has_any("me")) == ([], False)


def test_a_server_that_stops_leaves_what_is_to_be_finished_to_the_queue(clock: Clock) -> None:
    calls, call = make_calls(clock, finishes=True), Call()
    calls.keep(call)
    calls.close()
    assert call.reasons == []


def test_the_real_clock_goes_off_by_itself() -> None:
    import threading

    went_off = threading.Event()
    start_timer(0.001, went_off.set)
    assert went_off.wait(20)
