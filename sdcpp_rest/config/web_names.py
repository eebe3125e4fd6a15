"""Reads hosts, origins, networks and the public address as settings spell them, and refuses what cannot mean anything.

One reading for both sides: a setting that is accepted at the start is the one that a request is compared with. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

NULL_ORIGIN = "null"
"""What browsers send for pages without an origin: files, sandboxed frames."""

LOGIN_COOKIE = "sdcpp_auth"
"""What a login sets for this server's own pages."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\\\s]*)/?")
_NEVER_IN_HOSTS = frozenset("/\\@?#\"'<>,; \t")
_LONGEST_ADDRESS = 64
_LONGEST_PREFIX = 200
# What may stand in a path without being taken for something else in a header, a page or another URL.
_PREFIX = re.compile(r"(/[\w.~!$&'()*+,;=:@ -]+)+")


def split_host(host: str) -> tuple[str | None, int | None]:
    """Name (lower case, no brackets, no final dot) and port of a Host header; ``(None, None)`` for what is neither."""
    name, port = host.strip().lower(), ""
    if name.startswith("["):
        name, closed, port = name[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            return None, None
        port = port[1:]
    elif name.count(":") == 1:
        name, _, port = name.partition(":")
    name = name.rstrip(".")
    if not name or not _NEVER_IN_HOSTS.isdisjoint(name) or (port and not (port.isascii() and port.isdigit())):
        return None, None
    return name, int(port) if port and len(port) <= 5 else None


def address_of(name: str) -> Address | None:
    """The IP address that ``name`` spells; an IPv4 address in IPv6's clothes is the IPv4 address."""
    # Every request asks some times over for the same few; a client's long nonsense is not to be kept.
    return _kept_address_of(name) if len(name) <= _LONGEST_ADDRESS else _read_address(name)


def _read_address(name: str) -> Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


_kept_address_of = lru_cache(maxsize=1024)(_read_address)


@dataclass(frozen=True)
class HostPattern:
    """``name``, ``name:port``, ``*.domain``, ``*.domain:port`` or ``*``. ``suffix`` is the domain with its dot."""

    name: str = ""
    suffix: str = ""
    port: int | None = None
    is_any: bool = False

    def matches(self, name: str, port: int | None) -> bool:
        """Whether a caller's host is meant; a pattern without a port means every port."""
        if self.is_any:
            return True
        is_name = len(name) > len(self.suffix) and name.endswith(self.suffix) if self.suffix else name == self.name
        return is_name and self.port in (None, port)


@lru_cache(maxsize=1024)
def host_pattern(text: str) -> HostPattern:
    """Reads one of ``server.allowed_hosts``. Raises ValueError with what is allowed."""
    if text.strip() == "*":
        return HostPattern(is_any=True)
    name, port = split_host(text)
    if name is None or "*" in name.removeprefix("*."):
        raise ValueError(
            "should be a host name such as pictures.example.org, with or without a port, *.example.org, or *; "
            "no scheme and no path"
        )
    return HostPattern(suffix=name[1:], port=port) if name.startswith("*.") else HostPattern(name=name, port=port)


@dataclass(frozen=True)
class Origin:
    """A web origin. ``port`` is the scheme's own where none was written, and ``None`` for schemes without one."""

    scheme: str
    name: str
    port: int | None


def split_origin(text: str) -> Origin | None:
    """Reads an Origin header; ``None`` for ``null`` and for what is no origin."""
    match = _ORIGIN.fullmatch(text.strip().lower())
    if match is None:
        return None
    scheme, host = match.groups()
    if not host:
        return Origin(scheme, "", None) if scheme == "file" else None
    name, port = split_host(host)
    return None if name is None else Origin(scheme, name, port or _DEFAULT_PORTS.get(scheme))


@dataclass(frozen=True)
class OriginPattern:
    """``scheme://host`` with a port or not, ``*.`` before the domain, ``*`` as host or port; ``null``; ``*``."""

    origin: Origin | None = None
    suffix: str | None = None
    any_port: bool = False
    is_null: bool = False
    is_any: bool = False

    def matches(self, origin: Origin | None) -> bool:
        """Whether ``origin`` is meant; ``None`` is the origin ``null``. ``*`` means that one, too: it lets in every
        page, and every page can make itself a ``null`` one."""
        if self.is_any or self.is_null:
            return self.is_any or origin is None
        if origin is None or self.origin is None or origin.scheme != self.origin.scheme:
            return False
        if not self.any_port and origin.port != self.origin.port:
            return False
        if self.suffix is not None:
            return len(origin.name) > len(self.suffix) and origin.name.endswith(self.suffix)
        return origin.name == self.origin.name


@lru_cache(maxsize=1024)
def origin_pattern(text: str) -> OriginPattern:
    """Reads one of ``server.cors_origins``. Raises ValueError with what is allowed."""
    text = text.strip().lower()
    if text in (NULL_ORIGIN, "*"):
        return OriginPattern(is_null=text == NULL_ORIGIN, is_any=text == "*")
    bare = text.rstrip("/") if not text.endswith("://") else text
    any_port = bare.endswith(":*")
    origin = split_origin(bare.removesuffix(":*"))
    if origin is None or ("*" in origin.name.removeprefix("*.") and origin.name != "*"):
        raise ValueError(
            "should be an origin such as https://pictures.example.org (with its port, if it has one), "
            'https://*.example.org, "null" for pages from files and sandboxed frames, or "*" for every page'
        )
    suffix = "" if origin.name == "*" else origin.name[1:] if origin.name.startswith("*.") else None
    return OriginPattern(origin, suffix, any_port)


@lru_cache(maxsize=1024)
def network(text: str) -> Network:
    """Reads one of ``server.trusted_proxies``: an address or a network. Raises ValueError with what is allowed."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            "should be an IP address or a network such as 172.16.0.0/12; a proxy whose address is not known is one of "
            "its network"
        ) from None


@dataclass(frozen=True)
class PublicUrl:
    """Under what the outside knows the server. ``host``: with its port, if that is not the scheme's own. ``prefix``:
    the path before ours, decoded: ``/sd``, or empty."""

    scheme: str
    host: str
    prefix: str


@lru_cache(maxsize=64)
def public_url(text: str) -> PublicUrl:
    """Reads ``server.public_url``. Raises ValueError with what is allowed."""
    scheme, separator, rest = text.strip().partition("://")
    host, slash, path = rest.partition("/")
    name, port = split_host(host)
    prefix = clean_prefix(slash + path)
    if scheme.lower() not in _DEFAULT_PORTS or not separator or name is None or "*" in name or prefix is None:
        raise ValueError(
            "should be the address that browsers show, such as https://pictures.example.org or "
            "https://example.org/pictures; no query and no user"
        )
    return PublicUrl(scheme.lower(), join_host(scheme.lower(), name, port), prefix)


def join_host(scheme: str, name: str, port: int | None) -> str:
    """What stands between ``scheme://`` and the path; without the port that the scheme has anyway."""
    shown = f"[{name}]" if ":" in name else name
    return shown if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{shown}:{port}"


def clean_prefix(text: str) -> str | None:
    """A path before ours, decoded and without its last slash; empty for none, ``None`` for what cannot be one."""
    if len(text) > _LONGEST_PREFIX:
        return None
    path = unquote(text.strip(), errors="strict") if text.isascii() and _decodes(text) else ""
    path = path.rstrip("/") if path else ""
    if not path:
        return "" if text.strip().strip("/") == "" else None
    if _PREFIX.fullmatch(path) is None or any(part in (".", "..") for part in path.split("/")):
        return None
    return path


def _decodes(text: str) -> bool:
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        return False
    return True
