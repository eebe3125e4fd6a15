"""Who shows many different wrong keys is not listened to for a while; nobody else suffers for it."""

from __future__ import annotations

import pytest

from sdcpp_rest.services import guess_limit
from sdcpp_rest.services.guess_limit import WINDOW_SECONDS, WRONG_KEYS, GuessLimit, block_of
from tests.cases import for_each_case
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> GuessLimit:
    return GuessLimit(clock)


def guess(guesses: GuessLimit, address: str, count: int = WRONG_KEYS) -> None:
    for number in range(count):
        guesses.note_wrong(address, [f"guess-{number}"])


def test_different_wrong_keys_close_the_door_for_a_minute(guesses: GuessLimit, clock: Clock) -> None:
    guess(guesses, "192.0.2.1", WRONG_KEYS - 1)
    assert guesses.seconds_left("192.0.2.1") == 0
    clock.now += 10
    guesses.note_wrong("192.0.2.1", ["one-more"])
    assert guesses.seconds_left("192.0.2.1") == WINDOW_SECONDS - 10
    assert guesses.seconds_left("192.0.2.2") == 0
    clock.now += WINDOW_SECONDS - 10
    assert guesses.seconds_left("192.0.2.1") == 0


def test_a_program_with_an_old_key_does_not_guess(guesses: GuessLimit) -> None:
    for _ in range(1000):
        guesses.note_wrong("192.0.2.1", ["old-key"])
    assert guesses.seconds_left("192.0.2.1") == 0
    assert guesses.has_shown("192.0.2.1", ["old-key"])
    assert not guesses.has_shown("192.0.2.1", ["old-key", "other"])


def test_a_key_that_was_right_there_before_is_remembered_by_address(guesses: GuessLimit) -> None:
    guesses.note_right("192.0.2.1", "good")
    guesses.note_right("192.0.2.1", "good-too")
    assert guesses.was_right("192.0.2.1", "good")
    assert guesses.was_right("192.0.2.1", "good-too")
    assert not guesses.was_right("192.0.2.1", "other")
    assert not guesses.was_right("192.0.2.2", "good")


@for_each_case(
    ("address", "block"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_the_first_64_bits_of_an_ipv6_address_are_one_caller(address: str, block: str) -> None:
    assert block_of(address) == block


def test_a_neighbour_in_the_same_network_has_no_tries_of_its_own(guesses: GuessLimit) -> None:
    for number in range(WRONG_KEYS):
        guesses.note_wrong(f"2001:db8::{number}", [f"guess-{number}"])
    assert guesses.seconds_left("2001:db8::ffff") > 0
    assert guesses.seconds_left("2001:db8:0:1::1") == 0


def test_addresses_and_guesses_that_are_remembered_are_bounded(
    guesses: GuessLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guess_limit, "MOST_ADDRESSES", 5)
    for number in range(50):
        guess(guesses, f"192.0.2.{number}", 3 * WRONG_KEYS)
        guesses.note_right(f"192.0.2.{number}", "good")
    assert len(guesses._wrong) == len(guesses._right) == 5
    assert all(len(shown) == WRONG_KEYS for shown in guesses._wrong.values())


def test_wrong_keys_are_not_kept_as_they_are(guesses: GuessLimit) -> None:
    guesses.note_wrong("192.0.2.1", ["a-password-of-elsewhere"])
    assert "elsewhere" not in str(guesses._wrong)
