"""Reads how a caller sees the server: the caller's address, and the scheme, host and path under which it called.

Pure: reads a request's head and the configuration. What a proxy says about a caller counts only where the proxy is
trusted (`server.trusted_proxies`), and only as far back as trusted proxies vouch for it. Everything else asks here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from sdcpp_rest.config import Config
from sdcpp_rest.config.web_names import address_of, clean_prefix, join_host, network, public_url, split_host
from sdcpp_rest.errors import InvalidRequest

CALLER = "sdcpp_rest.caller"
"""Where the `Caller` lies in the ASGI scope."""

MAX_HOPS = 32
MAX_HEADER_CHARACTERS = 4096

_NAMES = ("host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
          "forwarded")  # fmt: skip
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}
_NODE = re.compile(r"\[([^\]]+)\](?::\d+)?|([^:]+)(?::\d+)?|([0-9a-fA-F:.]+)")
_PAIR = re.compile(
    r"""\s*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[!#$%&'*+.^_`|~\w:\[\]-]*)\s*""", re.ASCII | re.DOTALL
)
_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Caller:
    """Who calls, and how.

    ``address``: an IP address, empty where there is none. ``scheme``: ``http`` or ``https``. ``host``: name and port as
    in a Host header. ``prefix``: the path under which the server lies, ``/sd``, or empty. ``hosts``: every name under
    which the request claims to reach us; all of them have to be allowed. ``path`` and ``raw_path``: below the prefix,
    decoded and not. ``is_bare_prefix``: the prefix was called without a slash behind it.
    """

    address: str
    scheme: str
    host: str
    prefix: str
    hosts: tuple[str, ...]
    path: str
    raw_path: bytes
    is_bare_prefix: bool = False


@dataclass(frozen=True)
class _Told:
    """What trusted proxies tell; ``None`` where they do not."""

    address: str
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    prefix: str = ""


def see_caller(config: Config, scope: Mapping[str, Any]) -> Caller:
    """The caller of an ASGI scope of type http or websocket. Raises InvalidRequest for a target that is no URL."""
    headers = _headers(scope.get("headers", ()))
    path, raw_path, authority = _target(scope)
    # RFC 9112, 3.2.2: a target with an authority outweighs the Host header.
    hosts = [authority] if authority is not None else headers["host"]
    told = _ask_proxies(config, headers, _peer(scope))
    public = public_url(config.server.public_url) if config.server.public_url else None
    scheme = told.scheme or _SCHEMES.get(scope.get("scheme", "http"), "http")
    host = _with_port(told.host or (hosts[0] if hosts else _own_host(scope, scheme)), scheme, told.port)
    claimed = tuple(dict.fromkeys([*hosts, *([host] if told.host else [])]))
    at = 0
    for prefix in (public.prefix if public else "", told.prefix):
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            at = len(prefix)
            break
    is_bare = at > 0 and at == len(path)
    if at:
        raw_path = _raw_below(raw_path, path[:at], path[at:] or "/")
        path = path[at:] or "/"
    if public is not None:
        return Caller(told.address, public.scheme, public.host, public.prefix, claimed, path, raw_path, is_bare)
    return Caller(told.address, scheme, host, told.prefix, claimed, path, raw_path, is_bare)


def apply_caller(scope: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """``scope`` as if the caller had called without any proxy, and without a prefix: what all that is behind reads."""
    is_websocket = scope["type"] == "websocket"
    schemes = {"http": "ws", "https": "wss"} if is_websocket else {}
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    port = scope["client"][1] if scope.get("client") and scope["client"][0] == caller.address else 0
    return {
        **scope,
        "scheme": schemes.get(caller.scheme, caller.scheme),
        "client": (caller.address, port) if caller.address else None,
        "path": caller.path,
        "raw_path": caller.raw_path,
        "headers": [(b"host", caller.host.encode("latin-1", "replace")), *headers],
        CALLER: caller,
    }


# --- the request's head -----------------------------------------------------------------------------------------------


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _NAMES}
    for name, value in given:
        values = found.get(name.decode("latin-1").lower())
        if values is not None:
            values.append(value.decode("latin-1").strip())
    return found


def _peer(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return _clean_address(client[0]) or client[0] if client else ""


def _clean_address(text: str) -> str | None:
    """An address in one spelling, so that one caller is not two; ``None`` for what is no address."""
    address = address_of(text.partition("%")[0])
    return str(address) if address is not None else None


def _own_host(scope: Mapping[str, Any], scheme: str) -> str:
    name, port = scope.get("server") or ("localhost", None)
    return join_host(scheme, name, port)


def _target(scope: Mapping[str, Any]) -> tuple[str, bytes, str | None]:
    """Path, raw path, and the authority of a target that names one: ``GET http://host/path``."""
    path, raw_path = scope["path"], scope.get("raw_path") or quote(scope["path"]).encode()
    match = _ABSOLUTE.fullmatch(raw_path.decode("latin-1"))
    if match is None:
        return path, raw_path, None
    authority, rest = match[2], match[3] or "/"
    if split_host(authority)[0] is None or not rest.startswith("/"):
        raise InvalidRequest("The request target is not a URL of this server")
    return unquote(rest), rest.encode("latin-1"), authority


def _raw_below(raw_path: bytes, prefix: str, below: str) -> bytes:
    """What of the raw path stands behind the prefix; made anew where it cannot be told."""
    parts = raw_path.decode("latin-1").split("/")
    raw = "/" + "/".join(parts[1 + prefix.count("/") :])
    return raw.encode("latin-1") if unquote(raw) == below else quote(below).encode()


def _with_port(host: str, scheme: str, port: int | None) -> str:
    """``host`` with the port that a proxy tells, if it has none of its own. 80 and 443 need not be said; the one that
    is not the scheme's own is where a proxy in the middle listens, not the caller's."""
    name, own_port = split_host(host)
    if name is None or own_port is not None or port is None or port in _PORTS.values():
        return host
    return join_host(scheme, name, port)


# --- what proxies tell ------------------------------------------------------------------------------------------------


def _ask_proxies(config: Config, headers: Mapping[str, Sequence[str]], peer: str) -> _Told:
    trusted = [network(text) for text in config.server.trusted_proxies]

    def is_trusted(text: str) -> bool:
        address = address_of(text)
        return address is not None and any(address.version == one.version and address in one for one in trusted)

    if not any(values for name, values in headers.items() if name != "host") or not is_trusted(peer):
        return _Told(peer)
    lists = {name: _split_list(values) for name, values in headers.items() if name != "host"}
    # A proxy that does not know Forwarded hands on what a client invented: where both are, the other ones count.
    is_x = any(lists[f"x-forwarded-{name}"] for name in ("for", "proto", "host"))
    nodes = [{"for": one} for one in lists["x-forwarded-for"]] if is_x else _read_elements(lists["forwarded"])
    address, hops = peer, 0
    for node in reversed(nodes[-MAX_HOPS:]):
        if not is_trusted(address):
            break
        hops += 1
        said = _node_address(node.get("for", ""))
        if said is None:
            break
        address = said
    count = max(1, hops)
    outermost = _by_outermost(nodes, count)
    scheme = _last(lists["x-forwarded-proto"], count) if is_x else outermost.get("proto")
    host = _last(lists["x-forwarded-host"], count) if is_x else outermost.get("host")
    return _Told(
        address,
        scheme=_SCHEMES.get((scheme or "").lower()),
        host=_clean_host(host),
        port=_clean_port(_last(lists["x-forwarded-port"], count)),
        prefix=_join_prefixes(lists["x-forwarded-prefix"][-count:]),
    )


def _last(values: Sequence[str], count: int) -> str | None:
    """The value that the outermost of ``count`` trusted proxies left: each puts its own behind the others'."""
    return values[-min(count, len(values))] if values else None


def _by_outermost(nodes: Sequence[Mapping[str, str]], count: int) -> dict[str, str]:
    """What the ``count`` last elements say; the outermost one that says something about a thing has its way."""
    said: dict[str, str] = {}
    for node in reversed(nodes[-count:]):
        said.update(node)
    return said


def _split_list(values: Sequence[str]) -> list[str]:
    """The items of a header, as far as they lie within the bound; what was put in first is cut off."""
    text = ",".join(values)
    if len(text) > MAX_HEADER_CHARACTERS:
        text = text[-MAX_HEADER_CHARACTERS:].partition(",")[2]
    return [part.strip() for part in text.split(",") if part.strip()]


def _join_prefixes(parts: Sequence[str]) -> str:
    """The prefixes of several proxies, outermost first; empty when one of them is none."""
    cleaned = [clean_prefix(part) if part.startswith("/") or not part else None for part in parts]
    joined = "".join(part or "" for part in cleaned)
    return "" if None in cleaned or clean_prefix(quote(joined)) is None else joined


def _clean_host(host: str | None) -> str | None:
    name, port = split_host(host or "")
    # Control characters are ASCII too, and end up in links.
    is_clean = name is not None and name.isascii() and name.isprintable()
    return join_host("", name, port) if name is not None and is_clean else None


def _clean_port(port: str | None) -> int | None:
    if port is None or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    return int(port) if 0 < int(port) < 65536 else None


def _node_address(node: str) -> str | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:80``, ``[2001:db8::1]:80`` or ``2001:db8::1``; ``None`` for
    ``unknown``, for names that hide one, and for nonsense."""
    match = _NODE.fullmatch(node.strip())
    return _clean_address(next(part for part in match.groups() if part is not None)) if match is not None else None


def _read_elements(items: Sequence[str]) -> list[dict[str, str]]:
    """The elements of RFC 7239's header, in order, beginning behind the last one that cannot be read: a client's
    nonsense must not hide what a proxy has put behind it."""
    elements: list[dict[str, str]] = []
    for item in items:
        element = _read_element(item)
        elements = [*elements, element] if element is not None else []
    return elements


def _read_element(item: str) -> dict[str, str] | None:
    element: dict[str, str] = {}
    for pair in item.split(";"):
        if not pair.strip():
            continue
        match = _PAIR.fullmatch(pair)
        if match is None or match[1].lower() in element:
            return None
        is_quoted = match[2].startswith('"')
        element[match[1].lower()] = re.sub(r"\\(.)", r"\1", match[2][1:-1]) if is_quoted else match[2]
    return element
