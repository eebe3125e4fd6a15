"""Decides who may talk to the server: the Host, Origin and key rules, for HTTP and WebSockets alike.

Reads the configuration and a request's headers, raises or returns, and touches nothing but the count of guesses it is
given. The Host rule stops DNS
rebinding; the Origin rule is the CSRF wall (bodies are parsed whatever their Content-Type, so a foreign web page could
otherwise drive a local server); the keys keep strangers out of a server that listens on a public address.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from sdcpp_rest.config import Config
from sdcpp_rest.config.auth_section import ANYBODY, ApiKey
from sdcpp_rest.config.web_names import (
    LOGIN_COOKIE,
    NULL_ORIGIN,
    address_of,
    host_pattern,
    origin_pattern,
    public_url,
    split_host,
    split_origin,
)
from sdcpp_rest.core.api_keys import find_key
from sdcpp_rest.errors import NotAllowed, NotAuthenticated, TooManyAttempts, WrongKey
from sdcpp_rest.services.guess_limit import GuessLimit
from sdcpp_rest.services.pictures import picture_links
from sdcpp_rest.web.caller import Caller

OPEN_PATHS = frozenset({"/health"})
"""Answered without a key, in a minimal form, so that a container's health probe needs no secret."""

LOGIN_PATHS = frozenset({"/login", "/auth/login", "/auth/logout", "/session"})
"""Answered to everybody: they are how one gets in, and out."""

_HOSTS, _ORIGINS = "server.allowed_hosts", "server.cors_origins"
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
"""Names that no public DNS server can hand to a page's owner: RFC 6761, RFC 6762, and ICANN's private-use name.
Docker's ``host.docker.internal`` is one of them."""


@dataclass(frozen=True)
class AccessRequest:
    """What the rules look at. ``origins``, ``authorizations``: every header of that name, in order. ``hosts``:
    every name under which the request claims to reach this server, a trusted proxy's words included. ``own_host``:
    the one that the caller sees. ``cookies``: those that a login has set. ``fetch_site``: what a browser says about
    where the page that asks is from. ``address``: the caller's. ``key_cookies``: keys in the cookie that the path's
    dialect has for them; such a dialect's clients may also send a key as the whole of an Authorization header
    (``has_bare_keys``)."""

    path: str
    is_websocket: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    authorizations: tuple[str, ...] = ()
    token: str = ""
    own_host: str = ""
    cookies: tuple[str, ...] = ()
    fetch_site: str = ""
    address: str = ""
    key_cookies: tuple[str, ...] = ()
    has_bare_keys: bool = False

    @classmethod
    def of(cls, scope: Mapping[str, Any], caller: Caller, key_cookie: str = "") -> AccessRequest:
        """From an ASGI scope of type http or websocket, and its caller. ``key_cookie``: in which cookie the dialect
        sends keys, if it does."""
        named: dict[bytes, list[str]] = {b"origin": [], b"authorization": [], b"cookie": [], b"sec-fetch-site": []}
        for name, value in scope.get("headers", ()):
            if name in named:
                named[name].append(value.decode("latin-1").strip())
        is_websocket = scope["type"] == "websocket"
        query = scope.get("query_string", b"").decode("latin-1") if is_websocket else ""
        return cls(
            path=caller.path,
            is_websocket=is_websocket,
            hosts=caller.hosts,
            origins=tuple(named[b"origin"]),
            authorizations=tuple(named[b"authorization"]),
            token=parse_qs(query).get("token", [""])[0],
            own_host=caller.host,
            cookies=tuple(_cookies_named(LOGIN_COOKIE, named[b"cookie"])),
            fetch_site=" ".join(named[b"sec-fetch-site"]).lower(),
            address=caller.address,
            key_cookies=tuple(_cookies_named(key_cookie, named[b"cookie"])) if key_cookie else (),
            has_bare_keys=bool(key_cookie),
        )


def _nobody(token: str) -> ApiKey | None:
    return None


def check(config: Config, asking: AccessRequest) -> ApiKey | None:
    """Every rule in turn; see `check_source` and `check_key`."""
    check_source(config, asking)
    return check_key(config, asking)


def check_source(config: Config, asking: AccessRequest) -> None:
    """The Host and Origin rules. Raises NotAllowed naming the setting that would allow it.

    A missing Host (HTTP/1.0 probes) or Origin (everything but browsers) is fine.
    """
    for host in asking.hosts:
        if not host_allowed(config, host):
            if split_host(host)[0] is None:
                raise NotAllowed(f"'{_header(host)}' is not a host name (server.allowed_hosts)", setting=_HOSTS)
            raise NotAllowed(f"host '{_header(host)}' is not allowed; add it to server.allowed_hosts", setting=_HOSTS)
    for origin in asking.origins:
        if not origin_allowed(config, origin, (*asking.hosts, asking.own_host)):
            raise NotAllowed(_origin_refusal(origin), setting=_ORIGINS)


def _origin_refusal(origin: str) -> str:
    """Advice that helps when it is followed."""
    if origin.lower() == NULL_ORIGIN:
        return (
            "pages without an origin (files, sandboxed frames) are not allowed; serve the page over http, or list "
            '"null" in server.cors_origins, which lets in every such page, those of strangers too'
        )
    if split_origin(origin) is None:
        return f"'{_header(origin)}' is not a web origin (server.cors_origins)"
    return f"origin '{_header(origin)}' is not allowed; add it to server.cors_origins"


def check_key(
    config: Config,
    asking: AccessRequest,
    key_of_login: Callable[[str], ApiKey | None] = _nobody,
    is_open_to_all: bool = False,
    guesses: GuessLimit | None = None,
) -> ApiKey | None:
    """The key with which the caller comes.

    Without configured keys that is `ANYBODY`, and every Authorization header, empty or odd, is ignored. With keys: a
    Bearer key, Basic ``user:key`` (any user for a key configured without one), or for WebSockets ``?token=``, because
    browsers cannot send headers there. Not for HTTP: URLs end up in logs and histories. Or the token of a login, which
    ``key_of_login`` knows: as a Bearer, or as the cookie of a page of this very server.

    Returns ``None`` only for a caller without credentials on one of `OPEN_PATHS`, or with a link to one picture; and
    for one without the right ones on `LOGIN_PATHS`, and where the view is open to all.
    Raises NotAuthenticated otherwise, WrongKey for a wrong one, and TooManyAttempts in its place where ``guesses`` has
    seen too many of those: then no key is looked at that has not opened the server from there before.
    """
    if not config.auth.is_on:
        return ANYBODY
    offered = [offer for header in asking.authorizations for offer in _offers(header)]
    if asking.is_websocket and asking.token:
        offered.append((asking.token, False))
    if asking.has_bare_keys:
        offered += [(header, False) for header in asking.authorizations if header and " " not in header]
        offered += [(key, False) for key in asking.key_cookies] if _is_own_page(config, asking) else []
    logins = asking.cookies if asking.cookies and _is_own_page(config, asking) else ()
    for token in (*logins, *(offer for offer, is_basic in offered if not is_basic)):
        # First, and also of who guesses: nobody can guess a seal.
        if (key := key_of_login(token)) is not None:
            return key
    wait = guesses.seconds_left(asking.address) if guesses is not None and offered else 0
    key = find_key(config, offered)
    if guesses is not None and key is not None:
        if not wait:
            guesses.note_right(asking.address, key.secret)
        elif not guesses.was_right(asking.address, key.secret):
            key = None
    if key is not None:
        return key
    if guesses is not None and offered and not wait:
        guesses.note_wrong(asking.address, [offer for offer, _ in offered])
    if is_open_to_all or (asking.path in OPEN_PATHS and not offered):
        return None
    if not asking.is_websocket and (asking.path in LOGIN_PATHS or picture_links.is_open(config, asking.path)):
        return None
    if guesses is not None and wait and not guesses.has_shown(asking.address, [offer for offer, _ in offered]):
        raise TooManyAttempts(
            f"too many different keys were wrong from this address; try again in {wait} seconds", retry_after=wait
        )
    if offered:
        raise WrongKey("the API key is not valid")
    raise NotAuthenticated("a valid API key is required")


def host_allowed(config: Config, host: str) -> bool:
    """Loopback and other local names, the bound address, the public one, and ``server.allowed_hosts``.

    A server bound to every address is called by any of them, or through a container's port by yet another one: then
    every IP address is "the bound address". That is safe, because DNS rebinding needs a name.
    """
    server = config.server
    name, port = split_host(host)
    if name is None:
        return False
    if _is_loopback(name) or _is_local_name(name):
        return True
    address = address_of(name)
    bound = server.host.lower()
    bound_address = address_of(bound)
    if bound_address is not None and bound_address.is_unspecified:
        if address is not None:
            return True
    elif name == bound or (address is not None and address == bound_address):
        return True
    if server.public_url and split_host(public_url(server.public_url).host)[0] == name:
        return True
    return any(host_pattern(allowed).matches(name, port) for allowed in server.allowed_hosts)


def origin_allowed(config: Config, origin: str, hosts: Iterable[str] = ()) -> bool:
    """Loopback pages on any port, pages of this very server (``hosts``, already checked), and ``server.cors_origins``.

    ``null`` (sandboxed frames, files) only where it is listed, or every origin is: anyone can make a browser send it.
    """
    read = split_origin(origin)
    if read is None and origin.lower() != NULL_ORIGIN:
        return False
    if any(origin_pattern(allowed).matches(read) for allowed in config.server.cors_origins):
        return True
    if read is None or read.scheme not in ("http", "https"):
        return False
    if _is_loopback(read.name):
        return True
    if config.server.public_url:
        public = public_url(config.server.public_url)
        if read == split_origin(f"{public.scheme}://{public.host}"):
            return True
    return any(_is_same_place(origin, host) for host in hosts)


def _is_same_place(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` came from ``host``."""
    read, (own_name, own_port) = split_origin(origin), split_host(host)
    if read is None or own_name != read.name:
        return False
    # Behind a proxy that ends TLS the page's scheme is not ours: without a port, either default is the same page.
    return own_port == read.port if own_port else read.port in (80, 443)


def _is_own_page(config: Config, asking: AccessRequest) -> bool:
    """Whether no other page sends this: browsers send cookies along for any of them, and those of another port of this
    machine are no strangers to them."""
    if asking.fetch_site not in ("", "same-origin", "none"):
        return False
    places = [asking.own_host]
    if config.server.public_url:
        places.append(public_url(config.server.public_url).host)
    return all(any(_is_same_place(origin, place) for place in places) for origin in asking.origins)


def _cookies_named(wanted: str, headers: Iterable[str]) -> Iterable[str]:
    for header in headers:
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted and value:
                yield value.strip('"')


def _offers(authorization: str) -> list[tuple[str, bool]]:
    """The credentials that an Authorization header offers, and whether they are ``user:key`` (else a bare key); nothing
    for an empty or unreadable one."""
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return [(rest, False)] if rest else []
    if scheme.lower() != "basic":
        return []
    try:
        user_and_key = base64.b64decode(rest, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return []
    return [(user_and_key, True)] if ":" in user_and_key and user_and_key.strip(":") else []


def _is_loopback(name: str) -> bool:
    address = address_of(name)
    return address.is_loopback if address is not None else name == "localhost" or name.endswith(".localhost")


def _is_local_name(name: str) -> bool:
    return name.endswith(_LOCAL_SUFFIXES) and not name.startswith(".")


def _header(header: str) -> str:
    return header if len(header) <= 100 else header[:100] + "..."
