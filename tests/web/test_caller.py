"""Who calls, and how they see the server: what proxies say counts as far back as they are trusted, and no further."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdcpp_rest.config import Config
from sdcpp_rest.config.web_names import clean_prefix
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.web.caller import MAX_HOPS, Caller, apply_caller, see_caller
from tests.cases import for_each_case

PLAIN = Config()
Given = dict[str, str | list[str]]


def scope(
    headers: Given | None = None, peer: str | None = "127.0.0.1", path: str = "/health", kind: str = "http", **more: Any
) -> dict[str, Any]:
    raw_path = quote(path, safe="/*:@")
    given = {"host": "127.0.0.1:8080", **(headers or {})}
    pairs = [
        (name.encode(), value.encode("latin-1"))
        for name, values in given.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return {
        "type": kind, "scheme": "ws" if kind == "websocket" else "http", "path": path, "raw_path": raw_path.encode(),
        "client": (peer, 4711) if peer is not None else None, "server": ("127.0.0.1", 8080), "query_string": b"",
        "headers": pairs, **more,
    }  # fmt: skip


def call(headers: Given | None = None, config: Config = PLAIN, **more: Any) -> Caller:
    return see_caller(config, scope(headers, **more))


def trusting(*proxies: str, **server: Any) -> Config:
    return Config(server={"trusted_proxies": proxies, **server})


def view(caller: Caller) -> tuple[str, str, str, str]:
    return caller.address, caller.scheme, caller.host, caller.prefix


def test_without_proxies_it_is_what_the_socket_says() -> None:
    assert view(call(peer="192.0.2.7")) == ("192.0.2.7", "http", "127.0.0.1:8080", "")
    assert view(call(peer=None)) == ("", "http", "127.0.0.1:8080", "")
    assert call(peer="::ffff:192.0.2.7").address == "192.0.2.7", "one caller has one name"


def test_a_caller_without_a_host_header_sees_the_socket() -> None:
    assert see_caller(PLAIN, {**scope(), "headers": []}).host == "127.0.0.1:8080"
    assert see_caller(PLAIN, {**scope(), "headers": [], "server": ("::1", 8080)}).host == "[::1]:8080"
    assert see_caller(PLAIN, {**scope(), "headers": []}).hosts == ()


TLS: Given = {
    "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "x-forwarded-host": "pictures.example.org",
    "x-forwarded-prefix": "/sd",
}  # fmt: skip


def test_a_trusted_proxy_is_believed_and_a_stranger_is_not() -> None:
    assert view(call(TLS)) == ("203.0.113.9", "https", "pictures.example.org", "/sd")
    assert view(call(TLS, peer="::1")) == ("203.0.113.9", "https", "pictures.example.org", "/sd")
    for peer in ("192.0.2.1", "::2", None):
        assert view(call(TLS, peer=peer)) == (peer or "", "http", "127.0.0.1:8080", "")
    assert view(call(TLS, trusting())) == ("127.0.0.1", "http", "127.0.0.1:8080", "")
    assert call(TLS, trusting("172.16.0.0/12"), peer="172.18.0.3").address == "203.0.113.9"
    assert call(TLS, trusting("172.16.0.0/12"), peer="::ffff:172.18.0.3").address == "203.0.113.9"


def test_both_the_proxys_host_and_the_requests_own_have_to_be_allowed() -> None:
    assert call(TLS).hosts == ("127.0.0.1:8080", "pictures.example.org")
    assert call(TLS, peer="192.0.2.1").hosts == ("127.0.0.1:8080",)


@for_each_case(
    ("chain", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 127.0.0.2", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 127.0.0.2, ::1", "203.0.113.9"),
        ("127.0.0.3, 127.0.0.2", "127.0.0.3"),
        ("203.0.113.9:5678", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("unknown", "127.0.0.1"),
        ("198.51.100.1, nonsense", "127.0.0.1"),
        ("nonsense, 203.0.113.9", "203.0.113.9"),
        (" , 203.0.113.9 , ", "203.0.113.9"),
        ("x" * 5000 + ", 203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_right_most_hop_that_nobody_vouches_for_is_the_caller(chain: str, address: str) -> None:
    assert call({"x-forwarded-for": chain}).address == address


def test_several_headers_are_one_list() -> None:
    assert call({"x-forwarded-for": ["198.51.100.1", "203.0.113.9"]}).address == "203.0.113.9"


@for_each_case(
    ("protos", "hops", "scheme"),
    [
        ("https", "203.0.113.9", "https"), ("HTTPS", "203.0.113.9", "https"), ("wss", "203.0.113.9", "https"),
        ("https, http", "203.0.113.9", "http"), ("https, http", "203.0.113.9, 127.0.0.2", "https"),
        ("https, http", "", "http"), ("javascript", "203.0.113.9", "http"), ("", "203.0.113.9", "http"),
    ],
)  # fmt: skip
def test_the_scheme_is_what_the_outermost_trusted_proxy_saw(protos: str, hops: str, scheme: str) -> None:
    assert call({"x-forwarded-proto": protos, "x-forwarded-for": hops}).scheme == scheme


@for_each_case(
    ("headers", "host"),
    [
        ({"x-forwarded-host": "a.example:8443"}, "a.example:8443"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "8443"}, "a.example:8443"),
        ({"x-forwarded-host": "a.example:1", "x-forwarded-port": "8443"}, "a.example:1"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "443", "x-forwarded-proto": "https"}, "a.example"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "80", "x-forwarded-proto": "https"}, "a.example"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "99999"}, "a.example"),
        ({"x-forwarded-host": "a.example", "x-forwarded-port": "8443x"}, "a.example"),
        ({"x-forwarded-host": "evil.example/x"}, "127.0.0.1:8080"),
        ({"x-forwarded-host": "user@a.example"}, "127.0.0.1:8080"),
        ({"x-forwarded-host": 'a"b'}, "127.0.0.1:8080"),
        ({"x-forwarded-host": "client.example, a.example"}, "a.example"),
        ({"x-forwarded-host": "[2001:db8::1]:8443"}, "[2001:db8::1]:8443"),
        ({"host": "a.example", "x-forwarded-port": "8443"}, "a.example:8443"),
    ],
)
def test_the_host_and_its_port(headers: Given, host: str) -> None:
    assert call(headers).host == host


@for_each_case(
    ("header", "seen"),
    [
        ('for=203.0.113.9;proto=https;host="a.example:8443"', ("203.0.113.9", "https", "a.example:8443")),
        ('For="[2001:db8::1]:4711";Proto=HTTPS', ("2001:db8::1", "https", "127.0.0.1:8080")),
        ("for=198.51.100.1;host=evil.example, for=203.0.113.9;host=a.example", ("203.0.113.9", "http", "a.example")),
        ("for=203.0.113.9;host=a.example;proto=https, for=127.0.0.2;host=inner", ("203.0.113.9", "https", "a.example")),
        ("for=_hidden;proto=https", ("127.0.0.1", "https", "127.0.0.1:8080")),
        ("for=unknown", ("127.0.0.1", "http", "127.0.0.1:8080")),
        ('for="203.0.113.9', ("127.0.0.1", "http", "127.0.0.1:8080")),
        ('for="x, for=203.0.113.9;proto=https', ("203.0.113.9", "https", "127.0.0.1:8080")),
        ("for=203.0.113.9;for=198.51.100.1", ("127.0.0.1", "http", "127.0.0.1:8080")),
        (r'for="203.0.113\.9"', ("203.0.113.9", "http", "127.0.0.1:8080")),
        ("by=10.0.0.1;for=203.0.113.9;ext=1;", ("203.0.113.9", "http", "127.0.0.1:8080")),
        ("nonsense", ("127.0.0.1", "http", "127.0.0.1:8080")),
    ],
)
def test_rfc_7239(header: str, seen: tuple[str, str, str]) -> None:
    assert view(call({"forwarded": header}))[:3] == seen


def test_a_clients_forwarded_does_not_count_behind_a_proxy_that_speaks_the_other_way() -> None:
    caller = call({**TLS, "forwarded": "for=127.0.0.1;host=evil.example;proto=http"})
    assert view(caller) == ("203.0.113.9", "https", "pictures.example.org", "/sd")


@for_each_case(
    ("prefix", "path", "seen"),
    [
        ("/sd", "/health", ("/sd", "/health", False)),
        ("/sd/", "/health", ("/sd", "/health", False)),
        ("/sd", "/sd/health", ("/sd", "/health", False)),
        ("/sd", "/sd/", ("/sd", "/", False)),
        ("/sd", "/sd", ("/sd", "/", True)),
        ("/sd", "/sdapi/v1/options", ("/sd", "/sdapi/v1/options", False)),
        ("/a/b", "/a/b/sdapi", ("/a/b", "/sdapi", False)),
        ("/my%20apps", "/my apps/queue", ("/my apps", "/queue", False)),
        ("/", "/health", ("", "/health", False)),
        ("sd", "/sd/health", ("", "/sd/health", False)),
        ("//evil.example", "/health", ("", "/health", False)),
        ("/a/../b", "/health", ("", "/health", False)),
        ("/a%2f%2fb", "/health", ("", "/health", False)),
        ("/a\\b", "/health", ("", "/health", False)),
        ("/a<b>", "/health", ("", "/health", False)),
        ("/" + "a" * 300, "/health", ("", "/health", False)),
        ("https://evil.example", "/health", ("", "/health", False)),
        ("/%ff", "/health", ("", "/health", False)),
    ],
)
def test_the_prefix_is_taken_off_where_the_proxy_has_not(prefix: str, path: str, seen: tuple[str, str, bool]) -> None:
    caller = call({"x-forwarded-prefix": prefix}, path=path)
    assert (caller.prefix, caller.path, caller.is_bare_prefix) == seen
    assert caller.raw_path == quote(caller.path).encode()


def test_the_raw_path_keeps_its_encoding_behind_the_prefix() -> None:
    asked = scope({"x-forwarded-prefix": "/sd"}, path="/sd/output/a/b") | {"raw_path": b"/%73d/output/a%2Fb"}
    assert see_caller(PLAIN, asked).raw_path == b"/output/a%2Fb"
    odd = scope({"x-forwarded-prefix": "/s/d"}, path="/s/d/output/a") | {"raw_path": b"/s%2Fd/output/a"}
    assert see_caller(PLAIN, odd).raw_path == b"/output/a"


def test_the_prefixes_of_a_chain_are_joined_as_far_as_it_is_trusted() -> None:
    headers: Given = {"x-forwarded-for": "203.0.113.9, 127.0.0.2", "x-forwarded-prefix": "/evil, /outer, /inner"}
    assert call(headers).prefix == "/outer/inner"


def test_the_public_url_outweighs_what_proxies_say() -> None:
    config = trusting("127.0.0.1", public_url="https://pictures.example.org:8443/sd/")
    for headers in ({}, TLS, {"x-forwarded-host": "localhost", "x-forwarded-prefix": "/other"}):
        caller = call(headers, config, path="/health")
        assert view(caller)[1:] == ("https", "pictures.example.org:8443", "/sd")
        assert caller.path == "/health"
    assert call({}, config, path="/sd/health").path == "/health"
    assert call({"x-forwarded-prefix": "/inner"}, config, path="/inner/health").path == "/health"
    assert call(TLS, config).address == "203.0.113.9"
    assert call({}, trusting(public_url="https://a.example:443")).host == "a.example"


@for_each_case(
    ("target", "path", "host"),
    [
        ("http://localhost/health", "/health", "localhost"),
        ("HTTP://localhost:8080/a%20b", "/a b", "localhost:8080"),
        ("http://localhost", "/", "localhost"),
        ("https://localhost/", "/", "localhost"),
    ],
)
def test_a_target_with_an_authority_outweighs_the_host_header(target: str, path: str, host: str) -> None:
    caller = see_caller(PLAIN, scope(path=target) | {"raw_path": target.encode()})
    assert (caller.path, caller.host, caller.hosts) == (path, host, (host,))


@for_each_case("target", ["http://", "http:///x", "http://user@localhost/", "http://[::1/x"])
def test_a_target_with_a_broken_authority_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequest):
        see_caller(PLAIN, scope(path=target) | {"raw_path": target.encode()})


def test_what_is_behind_sees_the_request_as_it_was_sent() -> None:
    asked = scope({**TLS, "origin": "https://pictures.example.org"}, path="/sd/ws", kind="websocket")
    applied = apply_caller(asked, see_caller(PLAIN, asked))
    assert (applied["scheme"], applied["client"], applied["path"]) == ("wss", ("203.0.113.9", 0), "/ws")
    assert [value for name, value in applied["headers"] if name == b"host"] == [b"pictures.example.org"]
    plain = scope(peer="192.0.2.7")
    assert apply_caller(plain, see_caller(PLAIN, plain))["client"] == ("192.0.2.7", 4711)


# --- properties -------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["127.0.0.1", "203.0.113.9", "::1", "[2001:db8::1]:8", "unknown", "_x", "", "for=203.0.113.9", 'for="', "https",
     "ws", "a.example", "a.example:9", "/sd", "//x", "/a/../b", "evil/x", "\x00", "\xff", "443", "-1", ";", "=", "\\"]
)  # fmt: skip
VALUES = st.one_of(st.lists(WORDS, max_size=6).map(", ".join), st.text(st.characters(max_codepoint=255), max_size=60))
HEADERS = st.dictionaries(
    st.sampled_from(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
                     "x-forwarded-prefix", "forwarded", "host"]),
    VALUES,
)  # fmt: skip


@example({"x-forwarded-host": "\x00"}, "127.0.0.1", "/")
@example({"forwarded": 'host="a\x1fb"'}, "127.0.0.1", "/")
@given(HEADERS, st.sampled_from(["127.0.0.1", "::1", "192.0.2.1", ""]), st.sampled_from(["/", "/sd", "/sd/x", "//y"]))
def test_whatever_is_sent_nothing_breaks_and_nothing_odd_comes_out(headers: Any, peer: str, path: str) -> None:
    caller = call(headers, peer=peer, path=path)
    assert caller.scheme in ("http", "https")
    assert caller.path.startswith("/")
    assert clean_prefix(quote(caller.prefix)) == caller.prefix
    assert not caller.prefix.startswith("//")
    if caller.host != headers.get("host", "127.0.0.1:8080").strip():
        assert not set(caller.host) & set("/\\@?#\"'<>, \r\n\0"), "what a proxy says is a host or nothing"


@given(HEADERS, st.sampled_from(["192.0.2.1", "10.0.0.1", "2001:db8::5"]))
def test_a_stranger_changes_nothing_whatever_it_sends(headers: Any, peer: str) -> None:
    sent = {**headers, "host": "localhost:8080"}
    assert call(sent, peer=peer) == call({"host": "localhost:8080"}, peer=peer)


@given(st.lists(WORDS, max_size=8))
def test_what_a_client_puts_in_first_never_changes_what_a_proxy_puts_behind(invented: list[str]) -> None:
    chain = ", ".join([*invented, "203.0.113.77"])
    assert call({"x-forwarded-for": chain}).address == "203.0.113.77"
    elements = ", ".join([*invented, "for=203.0.113.77;proto=https;host=a.example"])
    assert view(call({"forwarded": elements}))[:3] == ("203.0.113.77", "https", "a.example")


@given(st.integers(MAX_HOPS, 300))
def test_a_chain_is_followed_so_far_and_no_further(length: int) -> None:
    chain = ["203.0.113.1", *["127.0.0.2"] * length]
    assert call({"x-forwarded-for": ", ".join(chain)}).address == "127.0.0.2"
