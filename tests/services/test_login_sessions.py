"""Sessions end, outlive a restart, cannot be forged, and guesses are counted by address."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.errors import TooManyAttempts, WrongKey
from sdcpp_rest.services import login_sessions
from sdcpp_rest.services.login_sessions import LIFETIME_SECONDS, LoginSessions
from sdcpp_rest.services.session_seal import SECRET_FILE, SessionSeal
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore
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


def make_sessions(folder: Path, clock: Clock, store: SettingsStore, *keys: str) -> LoginSessions:
    """As after a start, with these keys."""
    return LoginSessions(Config(auth={"api_keys": keys}), clock, seal=SessionSeal(folder / SECRET_FILE), store=store)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SettingsStore]:
    database = Database(tmp_path / "rest.db")
    yield SettingsStore(database)
    database.close()


def test_a_session_outlives_a_restart_and_ends_with_its_key(tmp_path: Path, clock: Clock, store: SettingsStore) -> None:
    token = make_sessions(tmp_path, clock, store, "old", "anna:hers").begin("anna", "hers", "a").token
    assert make_sessions(tmp_path, clock, store, "new", "anna:hers").knows(token)
    assert not make_sessions(tmp_path, clock, store, "old").knows(token)
    assert not make_sessions(tmp_path, clock, store, "old", "anna:other").knows(token)
    assert not make_sessions(tmp_path, clock, store).knows(token), "nobody is asked for a key"


def test_what_was_ended_stays_ended_and_is_forgotten_when_it_would_have_ended_by_itself(
    tmp_path: Path, clock: Clock, store: SettingsStore
) -> None:
    sessions = make_sessions(tmp_path, clock, store, "key")
    token, other = (sessions.begin("", "key", "a").token for _ in range(2))
    sessions.end(token)
    sessions.end(token)
    again = make_sessions(tmp_path, clock, store, "key")
    assert [again.knows(one) for one in (token, other)] == [False, True]
    assert len(store.get("ended_logins")) == 1
    clock.now += LIFETIME_SECONDS + 1
    later = again.begin("", "key", "a").token
    again.end(later)
    assert len(store.get("ended_logins")) == 1
    assert not again.knows(token)


def test_the_secret_is_for_the_servers_user_alone(tmp_path: Path, clock: Clock, store: SettingsStore) -> None:
    sessions = make_sessions(tmp_path, clock, store, "key")
    assert not sessions.knows("a-bare-key")
    assert list(tmp_path.glob("*session*")) == [], "made when it is needed"
    sessions.begin("", "key", "a")
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "session" in path.name] == [SECRET_FILE]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe" * 100])
def test_a_secret_that_is_damaged_is_made_anew(
    tmp_path: Path, clock: Clock, store: SettingsStore, content: bytes
) -> None:
    (tmp_path / SECRET_FILE).write_bytes(content)
    token = make_sessions(tmp_path, clock, store, "key").begin("", "key", "a").token
    assert make_sessions(tmp_path, clock, store, "key").knows(token)


def test_without_a_place_for_the_secret_sessions_end_with_the_run(clock: Clock, tmp_path: Path) -> None:
    config = Config(auth={"api_keys": ["key"]})
    lost = tmp_path / "no" / SECRET_FILE
    sessions = LoginSessions(config, clock, seal=SessionSeal(lost))
    token = sessions.begin("", "key", "a").token
    assert sessions.knows(token)
    assert not LoginSessions(config, clock, seal=SessionSeal(lost)).knows(token)


def test_no_token_but_ours_is_known(sessions: LoginSessions) -> None:
    token = sessions.begin("", "bare-key", "a").token
    content, _, seal = token.rpartition(".")
    other = LoginSessions(Config(auth={"api_keys": ["bare-key"]})).begin("", "bare-key", "a").token
    strange = SessionSeal()
    own = sessions._seal
    for forged in (
        *("", ".", "..", token[:-1], token[1:], content, f"{content}.", f".{seal}", f"{token}x", token.swapcase()),
        *(token + "\udc80", "\xe9." + seal, "a" * 10_000 + ".b", other, strange.seal(["id", 2**40, "mark"])),
        # Sealed by us, and yet no session.
        *(own.seal(value) for value in (None, [], ["id"], ["id", "soon", "mark"], {"id": 1}, ["id", 2**40, "mark"])),
    ):
        assert not sessions.knows(forged), forged
        sessions.end(forged)
    assert sessions.knows(token)


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
