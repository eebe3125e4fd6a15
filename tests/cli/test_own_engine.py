"""Ctrl-C in a command that has an engine of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from sdcpp_rest.cli.own_engine import Interrupts


@pytest.fixture(autouse=True)
def _raised() -> Iterator[None]:
    # A shell has what it starts with & ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_until_the_command_looks() -> None:
    with Interrupts().keep() as interrupts:
        interrupts.look()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.look()
        interrupts.look()


def test_an_interrupt_in_a_destructor_is_not_lost() -> None:
    class Noticing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with Interrupts().keep() as interrupts:
        one = Noticing()
        del one
        with pytest.raises(KeyboardInterrupt):
            interrupts.look()


def test_whoever_presses_twice_is_not_kept_waiting() -> None:
    with Interrupts().keep():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_signal_is_left_alone_afterwards_and_where_somebody_else_has_it() -> None:
    with Interrupts().keep():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts().keep():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
