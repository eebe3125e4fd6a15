"""Lines about requests: enough to act on, none that could be a secret, and never a flood."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sdcpp_rest.web.request_log import (
    MAX_POLLS,
    POLL_WINDOW_SECONDS,
    REFUSAL_WINDOW_SECONDS,
    REFUSALS_IN_ALL,
    REFUSALS_PER_ADDRESS,
    AccessLog,
    RefusalLog,
    loggable_path,
)
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What has been written so far."""
    written: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    catcher, logger = Lines(), logging.getLogger("sdcpp_rest.web.request_log")
    before = logger.level
    logger.addHandler(catcher)
    logger.setLevel(logging.INFO)
    yield written
    logger.setLevel(before)
    logger.removeHandler(catcher)


def test_a_refusal_is_one_line_however_often_it_comes(clock: Clock, lines: list[str]) -> None:
    refusals = RefusalLog(clock)
    for _ in range(3):
        refusals.note("GET", "/health", "192.0.2.1", "host 'a' is not allowed; add it to server.allowed_hosts")
        refusals.note("GET", "/queue", "192.0.2.1", "host 'a' is not allowed; add it to server.allowed_hosts")
        refusals.note("GET", "/health", "192.0.2.1", "host 'b' is not allowed; add it to server.allowed_hosts")
        refusals.note("WebSocket", "/ws", "192.0.2.2", "host 'a' is not allowed; add it to server.allowed_hosts")
    assert lines == [
        "refused GET /health of 192.0.2.1: host 'a' is not allowed; add it to server.allowed_hosts",
        "refused GET /health of 192.0.2.1: host 'b' is not allowed; add it to server.allowed_hosts",
        "refused WebSocket /ws of 192.0.2.2: host 'a' is not allowed; add it to server.allowed_hosts",
    ]
    clock.now += REFUSAL_WINDOW_SECONDS
    refusals.note("GET", "/health", "192.0.2.1", "host 'a' is not allowed; add it to server.allowed_hosts")
    assert len(lines) == 4


def test_refusals_cannot_flood_the_log(clock: Clock, lines: list[str]) -> None:
    refusals = RefusalLog(clock)
    for number in range(1000):
        refusals.note("GET", "/", "192.0.2.1", f"host '{number}'")
    assert len(lines) == REFUSALS_PER_ADDRESS
    for number in range(1000):
        refusals.note("GET", "/", f"2001:db8::{number:x}", "host 'a'")
    assert len(lines) == REFUSALS_IN_ALL
    clock.now += REFUSAL_WINDOW_SECONDS
    refusals.note("GET", "/", "192.0.2.1", "host 'x'")
    assert lines[-2:] == [
        f"{2000 - REFUSALS_IN_ALL} more refusals were not written down", "refused GET / of 192.0.2.1: host 'x'"
    ]  # fmt: skip


def test_nothing_in_a_line_ends_it_or_speaks_to_a_terminal(clock: Clock, lines: list[str]) -> None:
    RefusalLog(clock).note("GET", "/a\nb\x1b[2J", "", "host '\x9bx\r' is not allowed")
    assert lines == ["refused GET /a?b?[2J of ?: host '?x?' is not allowed"]


def test_requests_have_a_line_each_and_polls_are_summed_up(clock: Clock, lines: list[str]) -> None:
    access = AccessLog(clock)
    access.note("POST", "/txt2img", 202, 0.0123, "192.0.2.1")
    access.note("POST", "/txt2img", 202, 0.0123, "192.0.2.1")
    for _ in range(5):
        access.note("GET", "/health", 200, 0.001, "192.0.2.1")
    access.note("GET", "/health", 503, 0.001, "192.0.2.1")
    access.note("GET", "/health", 200, 0.001, "192.0.2.2")
    assert lines == [
        "POST /txt2img 202 12 ms 192.0.2.1",
        "POST /txt2img 202 12 ms 192.0.2.1",
        "GET /health 200 1 ms 192.0.2.1",
        "GET /health 503 1 ms 192.0.2.1",
        "GET /health 200 1 ms 192.0.2.2",
    ]
    clock.now += POLL_WINDOW_SECONDS
    access.note("GET", "/health", 200, 0.001, "192.0.2.1")
    assert lines[5:] == ["GET /health 200 1 ms 192.0.2.1 (+4 alike)"]


def test_what_was_counted_is_told_at_the_end_and_when_it_is_forgotten(clock: Clock, lines: list[str]) -> None:
    access = AccessLog(clock)
    for _ in range(3):
        access.note("GET", "/first", 200, 0.001, "a")
    for number in range(MAX_POLLS):
        access.note("GET", f"/{number}", 200, 0.001, "a")
    assert lines.count("GET /first 200 a (+2 alike)") == 1
    access.note("GET", "/0", 200, 0.001, "a")
    access.close()
    assert lines[-1] == "GET /0 200 a (+1 alike)"


def test_a_client_that_left_is_told_as_such(clock: Clock, lines: list[str]) -> None:
    AccessLog(clock).note("POST", "/sdapi/v1/txt2img", 0, 1.5, "192.0.2.1")
    assert lines == ["POST /sdapi/v1/txt2img left 1500 ms 192.0.2.1"]


def test_a_signed_link_is_written_without_what_opens_it() -> None:
    assert (
        loggable_path("/v1/images/files/1790000000-0123abcd/job/image_0.png") == "/v1/images/files/.../job/image_0.png"
    )
    assert loggable_path("/v1/images/files/open/job/image_0.png") == "/v1/images/files/open/job/image_0.png"
    assert len(loggable_path("/" + "x" * 5000)) == 200
