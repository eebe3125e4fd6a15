"""Lines that are hung up, by hand or by the clock. (Calls over them: test_llm_client.)"""

from __future__ import annotations

import socket
import threading
from typing import Any

from sdcpp_rest.services.language.llm_connection import Line, OpenCalls


class Stream:
    """What the HTTP library shows of a connection."""

    def __init__(self, connected: Any) -> None:
        self._connect = connected

    def get_extra_info(self, name: str) -> Any:
        return self._connect if name == "socket" else None


def test_hanging_up_wakes_who_reads() -> None:
    ours, theirs = socket.socketpair()
    line, heard = Line(), []
    line.note_connection(Stream(ours))
    reading = threading.Thread(target=lambda: heard.append(ours.recv(1)))
    reading.start()
    line.hang_up()
    line.hang_up()
    reading.join(10)
    assert heard == [b""]
    ours.close()
    theirs.close()


def test_what_is_connected_after_hanging_up_is_ended_at_once() -> None:
    ours, theirs = socket.socketpair()
    line = Line()
    line.hang_up()
    line.note_connection(Stream(ours))
    assert ours.recv(1) == b""
    line.note_connection(Stream(None))
    ours.close()
    theirs.close()


def test_the_clock_hangs_up_and_says_so() -> None:
    ours, theirs = socket.socketpair()
    line = Line()
    line.note_connection(Stream(ours))
    with line.limit_time(0.01):
        assert ours.recv(1) == b""
    assert (line.has_ended, line.has_expired) == (True, True)
    ours.close()
    theirs.close()


def test_a_block_that_ends_in_time_stops_the_clock() -> None:
    line = Line()
    with line.limit_time(60):
        count = threading.active_count()
    assert not line.has_ended
    assert threading.active_count() <= count


def test_a_line_that_is_open_is_closed_with_all_others() -> None:
    lines, mine = OpenCalls(), Line()
    with lines.open() as first, lines.open(mine) as second:
        assert second is mine
        lines.close()
        assert first.has_ended
        assert mine.has_ended


def test_a_line_that_was_closed_before_is_left_alone() -> None:
    lines = OpenCalls()
    with lines.open() as line:
        pass
    lines.close()
    assert not line.has_ended
