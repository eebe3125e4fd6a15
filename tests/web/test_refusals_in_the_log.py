"""What a running server writes down of requests, and of those that it refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

JOB = b'{"prompt": "x", "steps": 1}'


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.INFO):
        yield lambda: caplog.messages


def test_refusals_are_in_the_log_with_the_setting_that_allows_them(
    make_served: Any, log_lines: Callable[[], list[str]]
) -> None:
    served = make_served(auth={"api_keys": ["sesame"]})
    for _ in range(3):
        served.get("/health", headers={"Host": "pc.lan"})
        served.get("/health", headers={"Origin": "https://a.example"})
        served.get("/queue?secret=1")
        served.get("/queue", headers={"Authorization": "Bearer wrong-guess"})
        with pytest.raises(InvalidStatus):
            served.listen("/ws", additional_headers={"Origin": "https://b.example"})
    found = [line for line in log_lines() if line.startswith("refused ")]
    assert found == [
        "refused GET /health of 127.0.0.1: host 'pc.lan' is not allowed; add it to server.allowed_hosts",
        "refused GET /health of 127.0.0.1: origin 'https://a.example' is not allowed; add it to server.cors_origins",
        "refused GET /queue of 127.0.0.1: a valid API key is required (auth.api_keys)",
        "refused GET /queue of 127.0.0.1: the API key is not valid (auth.api_keys)",
        "refused WebSocket /ws of 127.0.0.1: origin 'https://b.example' is not allowed; add it to server.cors_origins",
    ]
    assert not [line for line in log_lines() if "handshake" in line or "wrong-guess" in line or "secret" in line]


def test_requests_are_in_the_log_where_that_is_wanted(make_served: Any, log_lines: Callable[[], list[str]]) -> None:
    served = make_served(server={"access_log": True})
    served.get("/queue?token=secret", headers={"X-Forwarded-For": "203.0.113.9"})
    served.post("/txt2img", data=JOB)
    for _ in range(5):
        served.get("/nothing")
    served.stop()
    lines = [line for line in log_lines() if " ms " in line or " alike" in line]
    assert [line.split()[:3] for line in lines] == [
        ["GET", "/queue", "200"], ["POST", "/txt2img", "202"], ["GET", "/nothing", "404"], ["GET", "/nothing", "404"]
    ]  # fmt: skip
    assert lines[0].endswith(" ms 203.0.113.9")
    assert lines[3].endswith("127.0.0.1 (+4 alike)")


def test_requests_are_not_in_the_log_by_default(served: Any, log_lines: Callable[[], list[str]]) -> None:
    served.post("/txt2img", data=JOB)
    assert not [line for line in log_lines() if "/txt2img" in line]
