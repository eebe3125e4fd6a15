"""Decides which machines the server may call for a client: public ones only, unless the configuration lists the host.

A name is looked up here and nowhere else; whoever connects does so to one of the very addresses that were checked, so
that a second look-up cannot lead elsewhere (DNS rebinding). Knows nothing of HTTP, nor of what is fetched.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

from sdcpp_rest.errors import NotAllowed, SdcppRestError

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_MAX_NAME_CHARACTERS = 253
_MAX_ADDRESSES = 64

# The standard library's `is_global` differs between Python's versions, and lets some of these through.
_NOT_PUBLIC: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier's private address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud's metadata address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.31.196.0/24", "a reserved address"),
        ("192.52.193.0/24", "a reserved address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "a reserved address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("100::/64", "a reserved address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("3fff::/20", "a documentation address"),
        ("5f00::/16", "a reserved address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
# Only global unicast is public; the well-known prefix of NAT64 is not in it and is judged by the IPv4 inside.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_COMPATIBLE = ipaddress.IPv6Network("::/96")

LookUp: TypeAlias = "Callable[[str, int], Iterable[str]]"
"""Addresses of a name, as texts. Raises OSError."""


class HostRefused(NotAllowed):
    """The host is not one that the server calls for a client."""

    code = "host_not_allowed"


class HostUnknown(SdcppRestError):
    """The name of the host could not be looked up."""

    code = "host_unknown"
    status = 502


def check_host(
    host: str,
    port: int,
    allowed: Collection[str] = (),
    *,
    setting: str = "downloads.allow_private_hosts",
    look_up: LookUp | None = None,
) -> list[str]:
    """The addresses under which ``host`` may be called, best first; connect to these, and do not look it up again.

    Args:
        host: a name or an address, with or without brackets.
        port: 1 to 65535.
        allowed: hosts that may be private: ``name``, ``name:port``, ``*.domain``, an address, a network
            (``10.0.0.0/8``), or ``*``.
        setting: the name of the setting that ``allowed`` comes from, for the refusal.
        look_up: the system's, unless given.

    A name is refused when any of its addresses is not public: which of them a client gets is a matter of chance.
    Raises HostRefused, HostUnknown.
    """
    name = host.strip().lower().removeprefix("[").removesuffix("]").rstrip(".")
    if not name or len(name) > _MAX_NAME_CHARACTERS or not _is_plain(name) or not 1 <= port <= 65535:
        raise HostRefused(f"{host[:80]!r} is not the name of a host", value=host[:200])
    if name_allowed(name, port, allowed):
        return [str(address) for address in _addresses(name, port, look_up)]
    if name == "localhost" or name.endswith((".localhost", ".local", ".internal", ".home.arpa")):
        # Refused by name as well: a resolver may have its own idea of them.
        raise _refusal(name, port, "a name of this machine or of its own network", setting)
    addresses = _addresses(name, port, look_up)
    for address in addresses:
        why = None if _in_networks(address, allowed) else reason_not_public(address)
        if why is not None:
            raise _refusal(name, port, why, setting, address)
    return [str(address) for address in addresses]


def reason_not_public(address: Address) -> str | None:
    """Why ``address`` is not a public one, in words (``a loopback address``); ``None`` for one that is.

    IPv6 addresses that hold an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) are judged by that too: a router may
    unwrap them.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "a link-local address"
        inner = _embedded_ipv4(address)
        why = reason_not_public(inner) if inner is not None else None
        if why is not None:
            return why
        if address.ipv4_mapped is not None or address in _NAT64:
            return None
    for network, why in _NOT_PUBLIC:
        if address.version == network.version and address in network:
            return why
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_IPV6:
        return "a reserved address"
    return None


def name_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    """Whether the list names ``host`` itself: as ``name``, ``name:port``, ``*.domain``, its address, or ``*``."""
    address = _address(host)
    for entry in allowed:
        wanted = entry.strip().lower().rstrip(".")
        if wanted == "*":
            return True
        if wanted.startswith("*."):
            if address is None and host.endswith(wanted[1:]):
                return True
            continue
        wanted_host, wanted_port = _split(wanted)
        if wanted_port not in (None, port):
            continue
        if wanted_host == host or (address is not None and _address(wanted_host) == address):
            return True
    return address is not None and _in_networks(address, allowed)


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return address.sixtofour
    if address in _TEREDO and address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _in_networks(address: Address, allowed: Collection[str]) -> bool:
    for entry in allowed:
        if "/" not in entry:
            continue
        try:
            network = ipaddress.ip_network(entry.strip(), strict=False)
        except ValueError:
            continue
        if network.version == address.version and address in network:
            return True
    return False


def _addresses(name: str, port: int, look_up: LookUp | None) -> list[Address]:
    """Every address of ``name``, once. What only *looks* like a name (``127.1``, ``0x7f000001``, ``2130706433``) is
    looked up like one: the system turns it into the address that it means, and that is judged."""
    literal = _address(name)
    if literal is not None:
        return [literal]
    try:
        texts = [*(look_up or _system_look_up)(name, port)]
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "no such name"
        raise HostUnknown(f"The host {name!r} is not known: {said}", host=name) from None
    found: dict[Address, None] = {}
    for text in texts:
        address = _address(text)
        if address is not None:
            found[address] = None
    if not found:
        raise HostUnknown(f"The host {name!r} has no address", host=name)
    if len(found) > _MAX_ADDRESSES:
        raise HostUnknown(f"The host {name!r} has more than {_MAX_ADDRESSES} addresses", host=name)
    return [*found]


def _system_look_up(name: str, port: int) -> list[str]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(entry[4][0]) for entry in found]


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _split(entry: str) -> tuple[str, int | None]:
    """``name:port``, ``[address]:port``, or without the port."""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        return entry, None
    return host, int(port) if port.isascii() and port.isdigit() else None


def _is_plain(name: str) -> bool:
    return all(character.isprintable() and character not in ' /\\@?#"<>' for character in name)


def _refusal(name: str, port: int, why: str, setting: str, address: Address | None = None) -> HostRefused:
    shown = f"{name}:{port}"
    leads = f" ({address})" if address is not None and str(address) != name else ""
    return HostRefused(
        f"{shown} is {why}{leads}, which the server does not call for clients; {setting} can allow it",
        host=name,
        setting=setting,
    )
