"""Sessions end, are bounded in number, and guesses are counted by address."""

from __future__ import annotations

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.errors import TooManyAttempts, WrongKey
from sdcpp_rest.services import login_sessions
from sdcpp_rest.services.login_sessions import LIFETIME_SECONDS, LoginSessions
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> LoginSessions:
    return LoginSessions(Config(auth={"api_keys": ["bare-key"]}), clock)


def test_a_session_ends_after_a_day(sessions: LoginSessions, clock: Clock) -> None:
    token = sessions.begin("", "bare-key", "a").token
    clock.now += LIFETIME_SECONDS - 1
    assert sessions.knows(token)
    clock.now += 2
    assert not sessions.knows(token)


def test_the_oldest_of_too_many_sessions_ends(sessions: LoginSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_sessions, "_MOST_SESSIONS", 2)
    tokens = [sessions.begin("", "bare-key", "a").token for _ in range(3)]
    assert [sessions.knows(token) for token in tokens] == [False, True, True]


def test_guesses_are_counted_by_address_and_forgotten_after_a_minute(sessions: LoginSessions, clock: Clock) -> None:
    for _ in range(10):
        with pytest.raises(WrongKey):
            sessions.begin("", "guess", "a")
    with pytest.raises(TooManyAttempts) as refused:
        sessions.begin("", "bare-key", "a")
    assert refused.value.detail == {"retry_after": 60}
    assert sessions.begin("", "bare-key", "b").token
    clock.now += 61
    assert sessions.begin("", "bare-key", "a").token


def test_addresses_are_bounded(sessions: LoginSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_sessions, "_MOST_ADDRESSES", 3)
    for address in "abcde":
        with pytest.raises(WrongKey):
            sessions.begin("", "guess", address)
    assert list(sessions._failures) == ["c", "d", "e"]
