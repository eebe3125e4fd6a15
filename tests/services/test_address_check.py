"""Which hosts the server calls for a client, judged by what their names mean at that moment."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import pytest

from sdcpp_rest.services.address_check import (
    HostRefused,
    HostUnknown,
    LookUp,
    check_host,
    name_allowed,
    reason_not_public,
)
from tests.cases import for_each_case

PUBLIC = ("93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8")
NOT_PUBLIC = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "100.100.100.200": "private",  # a cloud's metadata, in a carrier's range
    "168.63.129.16": "metadata",
    "169.254.169.254": "link-local",
    "192.0.0.192": "reserved",
    "198.18.0.1": "benchmarking",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fd00:ec2::254": "private",
    "fec0::1": "private",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "4000::1": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local",
    "::7f00:1": "loopback",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b:1::a00:1": "reserved",
    "2002:7f00:1::": "loopback",
    "2002:c0a8:101::1": "private",
}


def names(*addresses: str) -> LookUp:
    def look_up(name: str, port: int) -> Iterable[str]:
        return addresses

    return look_up


@for_each_case("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    assert reason_not_public(ipaddress.ip_address(address)) is None
    assert check_host("example.org", 443, look_up=names(address)) == [str(ipaddress.ip_address(address))]


@for_each_case(("address", "kind"), NOT_PUBLIC.items())
def test_others_are_refused_with_the_reason(address: str, kind: str) -> None:
    assert kind in (reason_not_public(ipaddress.ip_address(address)) or "")
    with pytest.raises(HostRefused, match=kind) as caught:
        check_host("example.org", 443, look_up=names(address))
    assert caught.value.status == 403
    assert caught.value.detail["setting"] == "downloads.allow_private_hosts"
    with pytest.raises(HostRefused):
        check_host(f"[{address}]" if ":" in address else address, 80)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(HostRefused, match=r"192\.168\.0\.9"):
        check_host("example.org", 443, look_up=names("8.8.8.8", "192.168.0.9"))


@for_each_case(
    "spelling",
    [
        "127.1", "127.0.1", "0x7f000001", "0x7f.1", "0x7f.0x0.0x0.0x1", "2130706433", "0177.0.0.1", "017700000001",
        "0177.1", "127.0.0.1.", "0", "0x0", "00000000000", "localhost", "LOCALHOST.", "[::1]", "[::ffff:7f00:1]",
        "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]",
        "[2001:0:7f00:1:0:0:80ff:fffe]", "[fe80::1%25eth0]", "[fe80::1%lo]", "[::]", "127\u30020\u30020\u30021",
        "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1",
    ],
)  # fmt: skip
def test_other_spellings_of_loopback_are_refused(spelling: str) -> None:
    with pytest.raises((HostRefused, HostUnknown)):
        check_host(spelling, 80)


@for_each_case("name", ["printer.local", "a.localhost", "metadata.google.internal", "nas.home.arpa"])
def test_names_of_the_own_network_are_refused_whatever_they_resolve_to(name: str) -> None:
    with pytest.raises(HostRefused, match="own network"):
        check_host(name, 80, look_up=names("8.8.8.8"))


@for_each_case("name", ["", " ", "a b", "a/b", "user@host", "a\\b", "a#b", "a?b", "\n", "x" * 300])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(HostRefused, match="not the name of a host"):
        check_host(name, 80, look_up=names("8.8.8.8"))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(HostRefused):
        check_host("example.org", port, look_up=names("8.8.8.8"))


def test_names_that_nobody_knows_are_told_as_such() -> None:
    def unknown(name: str, port: int) -> Iterable[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(HostUnknown, match="Name or service not known") as caught:
        check_host("nowhere.example", 443, look_up=unknown)
    assert caught.value.status == 502
    with pytest.raises(HostUnknown, match="no address"):
        check_host("empty.example", 443, look_up=names())
    with pytest.raises(HostUnknown, match="more than 64"):
        check_host("many.example", 443, look_up=names(*(f"8.8.4.{k}" for k in range(70))))


@for_each_case(
    ("allowed", "host", "address"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost", "127.0.0.1"),
        ("LocalHost.", "localhost", "127.0.0.1"),
        ("nas.local:8080", "nas.local", "192.168.0.2"),
        ("*.corp.example", "files.corp.example", "10.0.0.2"),
        ("10.0.0.0/8", "files.corp.example", "10.0.0.2"),
        ("10.0.0.0/8", "10.9.9.9", "10.9.9.9"),
        ("[::1]:8080", "[::1]", "::1"),
        ("::1", "::1", "::1"),
        ("*", "printer.local", "10.0.0.1"),
    ],
)
def test_listed_hosts_may_be_private(allowed: str, host: str, address: str) -> None:
    assert check_host(host, 8080, [allowed], look_up=names(address)) == [address]


@for_each_case(
    ("allowed", "host"),
    [
        ("nas.local:8080", "nas.local:"),
        ("nas.local:9090", "nas.local"),
        ("*.corp.example", "corp.example"),
        ("*.corp.example", "evilcorp.example"),
        ("10.0.0.0/8", "files.example"),
        ("127.0.0.1", "127.0.0.2"),
        ("not-a-network/8", "files.example"),
        ("", "files.example"),
    ],
)
def test_a_listed_host_allows_no_other(allowed: str, host: str) -> None:
    with pytest.raises(HostRefused):
        check_host(host, 8080, [allowed], look_up=names("192.168.0.2"))
    assert not name_allowed("files.example", 80, [allowed])


def test_an_address_is_told_only_once() -> None:
    assert check_host("example.org", 443, look_up=names("8.8.8.8", "8.8.4.4", "8.8.8.8")) == ["8.8.8.8", "8.8.4.4"]


def test_a_name_is_looked_up_once_and_what_it_means_a_moment_later_is_not_asked() -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []

    def rebinding(name: str, port: int) -> Iterable[str]:
        asked.append(name)
        return next(answers)

    assert check_host("rebinding.example", 443, look_up=rebinding) == ["93.184.215.14"]
    assert asked == ["rebinding.example"]
    with pytest.raises(HostRefused, match="loopback"):
        check_host("rebinding.example", 443, look_up=rebinding)


def test_what_was_found_is_kept_for_no_later_call_however_long_it_may_be() -> None:
    """The public answer of a name with a long lifetime says nothing of the next call."""
    answers = {"now": "93.184.215.14"}
    assert check_host("long.example", 443, look_up=lambda name, port: [answers["now"]])
    answers["now"] = "10.0.0.1"
    with pytest.raises(HostRefused, match="private"):
        check_host("long.example", 443, look_up=lambda name, port: [answers["now"]])
