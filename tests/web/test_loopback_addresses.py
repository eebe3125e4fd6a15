"""The server listens where this machine's own callers look for it, and says at its start what is risky."""

from __future__ import annotations

import socket

import pytest

from sdcpp_rest.web.listening import bind, bind_ipv6_loopback, warn_of_open_origins


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_other_loopback_address_has_the_same_ports() -> None:
    first = bind("127.0.0.1", (0, 0))
    both = [*first, *bind_ipv6_loopback(first)]
    try:
        assert [bound.getsockname()[:2] for bound in both] == [
            (host, first[0].getsockname()[1]) for host in ("127.0.0.1", "::1")
        ]
    finally:
        for bound in both:
            bound.close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_port_that_is_taken_there_is_a_warning_only(caplog: pytest.LogCaptureFixture) -> None:
    first = bind("127.0.0.1", (0,))
    port = first[0].getsockname()[1]
    try:
        with socket.create_server(("::1", port), family=socket.AF_INET6):
            assert bind_ipv6_loopback(first) == []
    finally:
        first[0].close()
    assert f"port {port} of ::1 belongs to another program" in caplog.text


@pytest.mark.parametrize(
    ("origins", "word"), [(["null"], '"null"'), (["*"], '"*"'), (["https://a.example"], None), ([], None)]
)
def test_origins_that_anybody_can_have_are_warned_of(
    origins: list[str], word: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_open_origins(origins)
    assert (word in caplog.text) if word else not caplog.records
