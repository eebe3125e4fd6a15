"""The pipe between the server and an engine: whole messages, in order, and an end that everybody notices."""

from __future__ import annotations

import socket
import threading

import pytest

from sdcpp_rest.engine.pipe import Pipe, pipe_pair

TIMEOUT = 30


def test_messages_arrive_whole_and_in_order() -> None:
    ours, theirs = pipe_pair()
    # More than any buffer of the system holds.
    messages = [b"a", b"", bytes(range(256)) * 20_000, "é画".encode()]
    sender = threading.Thread(target=lambda: [ours.send_bytes(message) for message in messages])
    sender.start()
    assert [theirs.recv_bytes() for _ in messages] == messages
    sender.join(TIMEOUT)


def test_both_ends_talk() -> None:
    ours, theirs = pipe_pair()
    ours.send_bytes(b"question")
    theirs.send_bytes(b"answer")
    assert (theirs.recv_bytes(), ours.recv_bytes()) == (b"question", b"answer")


def test_the_end_comes_behind_what_was_sent() -> None:
    ours, theirs = pipe_pair()
    ours.send_bytes(b"last words")
    ours.close()
    assert theirs.recv_bytes() == b"last words"
    with pytest.raises(EOFError):
        theirs.recv_bytes()


@pytest.mark.parametrize("sent", [b"\x00", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05abc"])
def test_an_end_in_the_middle_of_a_message_is_an_end(sent: bytes) -> None:
    raw, end = socket.socketpair()
    raw.sendall(sent)
    raw.close()
    with pytest.raises(EOFError):
        Pipe(end).recv_bytes()


def test_nothing_is_sent_to_an_end_that_is_gone() -> None:
    ours, theirs = pipe_pair()
    theirs.close()
    with pytest.raises(OSError):
        ours.send_bytes(b"anybody?")


@pytest.mark.parametrize("which", [0, 1])
def test_hanging_up_wakes_who_is_blocked_reading(which: int) -> None:
    ends = pipe_pair()
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(EOFError):
            ends[0].recv_bytes()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    ends[which].hang_up()
    assert ended.wait(TIMEOUT)
    ends[which].hang_up()
