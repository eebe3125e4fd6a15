from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import Config, ConfigError, load_config
from sdcpp_rest.errors import NotAllowed, NotAuthenticated
from sdcpp_rest.web.access import AccessRequest, check, check_key, check_source
from sdcpp_rest.web.caller import see_caller
from tests.cases import for_each_case


def config_with(tmp_path: Path, **sections: Any) -> Config:
    return Config(paths={"data_dir": tmp_path}, **sections)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_with(
        tmp_path,
        server={
            "allowed_hosts": ["Pictures.example.org", "other.example.org:8443", "*.lan"],
            "cors_origins": ["https://app.example.org", "http://plain.example.org:80/"],
        },
    )


@for_each_case(
    "host",
    [
        "localhost", "localhost:8080", "LOCALHOST:1", "localhost.:8080", "127.0.0.1", "127.0.0.1:8080", "127.8.9.1:3",
        "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:8080", "pictures.example.org", "PICTURES.example.org:99",
        "other.example.org:8443", "box.lan:8080",
    ],
)  # fmt: skip
def test_hosts_that_are_this_server(config: Config, host: str) -> None:
    check_source(config, AccessRequest("/", hosts=(host,)))


@for_each_case(
    "host",
    [
        "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "2130706433",
        "0x7f000001", "0.0.0.0:8080", "192.168.1.5", "[::2]", "[::1", "[::1]x", "localhost:80x", "user@localhost",
        "lan", "xlan", "other.example.org", "other.example.org:8080", "", " ", "localhost/", "localhost:8080:1",
        "\u0661\u0662",
    ],
)  # fmt: skip
def test_other_hosts_are_refused_and_the_setting_is_named(config: Config, host: str) -> None:
    with pytest.raises(NotAllowed, match=r"server\.allowed_hosts"):
        check_source(config, AccessRequest("/", hosts=(host,)))


def test_the_bound_address_is_this_server_and_its_neighbour_is_not(tmp_path: Path) -> None:
    bound = config_with(tmp_path, server={"host": "192.168.1.5", "allow_public_without_auth": True})
    check_source(bound, AccessRequest("/", hosts=("192.168.1.5:8080",)))
    with pytest.raises(NotAllowed):
        check_source(bound, AccessRequest("/", hosts=("192.168.1.6:8080",)))


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_bound_to_every_address_any_ip_is_this_server_but_no_name_is(tmp_path: Path, bound: str) -> None:
    everywhere = config_with(tmp_path, server={"host": bound, "allow_public_without_auth": True})
    for host in ("192.168.1.5:8080", "10.0.0.1", "[fe80::1]:8080", "127.0.0.1"):
        check_source(everywhere, AccessRequest("/", hosts=(host,)))
    with pytest.raises(NotAllowed):
        check_source(everywhere, AccessRequest("/", hosts=("rebound.example:8080",)))


def test_every_host_is_fine_when_the_user_says_so(tmp_path: Path) -> None:
    check_source(config_with(tmp_path, server={"allowed_hosts": ["*"]}), AccessRequest("/", hosts=("any.example",)))


def test_one_bad_host_among_two_is_refused(config: Config) -> None:
    with pytest.raises(NotAllowed):
        check_source(config, AccessRequest("/", hosts=("localhost", "evil.example")))


@for_each_case("is_websocket", [False, True])
@for_each_case(
    "origin",
    [
        "http://localhost", "http://localhost:5173", "https://127.0.0.1:9", "http://[::1]:3000", "https://app.example.org",
        "HTTPS://APP.example.org", "https://app.example.org:443", "http://plain.example.org", "http://pictures.example.org",
    ],
)  # fmt: skip
def test_origins_that_may_call(config: Config, origin: str, is_websocket: bool) -> None:
    check_source(config, AccessRequest("/", is_websocket, hosts=("pictures.example.org",), origins=(origin,)))


@for_each_case("is_websocket", [False, True])
@for_each_case(
    "origin",
    [
        "null", "NULL", "", "https://evil.example", "http://app.example.org", "https://app.example.org:444",
        "https://app.example.org.evil.example", "http://localhost.evil.example", "http://localhost@evil.example",
        "http://evil@localhost", "file://", "http://", "http://[::1", "http://localhost:x", "http://localhost/path",
        "localhost",        "http://pictures.example.org:9999", "chrome-extension://abc",
    ],
)  # fmt: skip
def test_other_origins_are_refused_and_the_setting_is_named(config: Config, origin: str, is_websocket: bool) -> None:
    with pytest.raises(NotAllowed, match=r"server\.cors_origins"):
        check_source(config, AccessRequest("/", is_websocket, hosts=("pictures.example.org:8080",), origins=(origin,)))


@pytest.mark.parametrize("listed", ["null", "*"])
def test_a_null_origin_may_call_where_it_is_listed_or_every_page_is(tmp_path: Path, listed: str) -> None:
    config = config_with(tmp_path, server={"cors_origins": [listed]})
    check_source(config, AccessRequest("/", origins=("null",)))
    if listed == "*":
        check_source(config, AccessRequest("/", origins=("https://any.example",)))
    else:
        with pytest.raises(NotAllowed):
            check_source(config, AccessRequest("/", origins=("https://any.example",)))


def test_the_refusal_of_a_null_origin_gives_advice_that_helps(config: Config) -> None:
    with pytest.raises(NotAllowed, match=r'list "null" in server\.cors_origins') as refused:
        check_source(config, AccessRequest("/", origins=("null",)))
    assert "add it" not in refused.value.message


@for_each_case("origin", ["http://localhost:x", "nonsense", "https://", "http://a b"])
def test_what_could_not_be_listed_is_not_advised_to_be(config: Config, origin: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        check_source(config, AccessRequest("/", origins=(origin,)))
    assert "add it" not in refused.value.message


@for_each_case("name", ["pc.lan:8080", "[::2]", "x--y.example.", "UPPER.example:1"])
def test_a_refused_host_that_is_listed_as_advised_may_call(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotAllowed, match=r"add it to server\.allowed_hosts"):
        check_source(config_with(tmp_path), AccessRequest("/", hosts=(name,)))
    check_source(config_with(tmp_path, server={"allowed_hosts": [name]}), AccessRequest("/", hosts=(name,)))


@for_each_case(
    "origin",
    ["https://app.example.org:444", "http://[2001:db8::1]:3000", "chrome-extension://abc", "app://obsidian.md",
     "file://", "HTTPS://UPPER.example"],
)  # fmt: skip
def test_a_refused_origin_that_is_listed_as_advised_may_call(tmp_path: Path, origin: str) -> None:
    with pytest.raises(NotAllowed, match=r"add it to server\.cors_origins"):
        check_source(config_with(tmp_path), AccessRequest("/", origins=(origin,)))
    check_source(config_with(tmp_path, server={"cors_origins": [origin]}), AccessRequest("/", origins=(origin,)))


@for_each_case(
    "host",
    [
        "host.docker.internal", "host.docker.internal:8080", "gateway.docker.internal", "HOST.Containers.Internal:1",
        "pc.local:8080", "pc.local.:8080", "app.localhost", "a.b.localhost:8080",
    ],
)  # fmt: skip
def test_names_that_the_public_dns_cannot_give_away_are_this_server(tmp_path: Path, host: str) -> None:
    check_source(config_with(tmp_path), AccessRequest("/", hosts=(host,)))


@for_each_case(
    "host", ["local", "internal", ".local", "xlocal", "notinternal", "pc.local.evil.example", "internal.example"]
)
def test_names_that_only_look_local_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(NotAllowed):
        check_source(config_with(tmp_path), AccessRequest("/", hosts=(host,)))


def test_pages_of_localhost_names_may_call_and_pages_of_other_local_names_may_not(tmp_path: Path) -> None:
    check_source(
        config_with(tmp_path), AccessRequest("/", hosts=("localhost:8080",), origins=("http://app.localhost:5173",))
    )
    for origin in ("http://pc.local:5173", "http://x.internal"):
        with pytest.raises(NotAllowed):
            check_source(config_with(tmp_path), AccessRequest("/", hosts=("localhost:8080",), origins=(origin,)))
    check_source(config_with(tmp_path), AccessRequest("/", hosts=("pc.local:8080",), origins=("http://pc.local:8080",)))


@for_each_case(
    ("pattern", "fits", "others"),
    [
        ("https://*.example.org", ["https://a.example.org", "https://a.b.example.org:443"],
         ["https://example.org", "http://a.example.org", "https://a.example.org:8443", "https://aexample.org",
          "https://a.example.org.evil.example", "null"]),
        ("https://*.example.org:8443/", ["https://a.example.org:8443"], ["https://a.example.org"]),
        ("http://192.168.1.5:*", ["http://192.168.1.5", "http://192.168.1.5:3000"], ["http://192.168.1.6:3000"]),
        ("chrome-extension://*", ["chrome-extension://abc"], ["moz-extension://abc", "https://abc"]),
        ("null", ["null", "NULL"], ["file://", "https://null"]),
    ],
)  # fmt: skip
def test_patterns_of_origins(tmp_path: Path, pattern: str, fits: list[str], others: list[str]) -> None:
    config = config_with(tmp_path, server={"cors_origins": [pattern]})
    for origin in fits:
        check_source(config, AccessRequest("/", origins=(origin,)))
    for origin in others:
        with pytest.raises(NotAllowed):
            check_source(config, AccessRequest("/", origins=(origin,)))


def test_a_pattern_of_hosts_may_have_a_port(tmp_path: Path) -> None:
    config = config_with(tmp_path, server={"allowed_hosts": ["*.lan:8080"]})
    check_source(config, AccessRequest("/", hosts=("pc.lan:8080",)))
    for host in ("pc.lan", "pc.lan:8081", "lan:8080"):
        with pytest.raises(NotAllowed):
            check_source(config, AccessRequest("/", hosts=(host,)))


@for_each_case(
    ("setting", "value"),
    [
        ("cors_origins", "example.org"), ("cors_origins", "https://ex*mple.org"), ("cors_origins", "https://a/b"),
        ("cors_origins", ""), ("cors_origins", "https://u@a"), ("cors_origins", "*://a"), ("cors_origins", "https://a:x"),
        ("allowed_hosts", "http://pc.lan"), ("allowed_hosts", "pc.lan/x"), ("allowed_hosts", "p*.lan"),
        ("allowed_hosts", ""), ("trusted_proxies", "traefik"), ("trusted_proxies", "*"),
        ("trusted_proxies", "10.0.0.0/99"),
        ("public_url", "pictures.example.org"), ("public_url", "ftp://a"), ("public_url", "https://u@a"),
        ("public_url", "https://a/b?c"), ("public_url", "https://a/../b"), ("public_url", "https://a//b"),
    ],
)  # fmt: skip
def test_a_setting_that_could_mean_nothing_is_refused_at_the_start(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"server\.{setting}.*should be"):
        load_config(
            overrides=[
                f"paths.data_dir={tmp_path}",
                f"server.{setting}=" + (json.dumps(value) if setting == "public_url" else json.dumps([value])),
            ]
        )


def test_a_proxys_host_is_checked_beside_the_requests_own(tmp_path: Path) -> None:
    config = config_with(tmp_path, server={"public_url": "https://pictures.example.org/sd"})
    check_source(config, AccessRequest("/", hosts=("127.0.0.1:8080", "pictures.example.org")))
    with pytest.raises(NotAllowed):
        check_source(config, AccessRequest("/", hosts=("rebound.example:8080", "localhost")))
    page = "https://pictures.example.org"
    check_source(
        config, AccessRequest("/", hosts=("127.0.0.1:8080",), origins=(page,), own_host="pictures.example.org")
    )
    with pytest.raises(NotAllowed):
        check_source(config, AccessRequest("/", hosts=("127.0.0.1:8080",), origins=(page + ":444",)))


@for_each_case(
    "authorization",
    ["", "Basic ", "Basic", "Basic !!!", "Basic Og==", "Bearer", "Bearer x", "Digest a", "\x00", "x" * 9000],
)
def test_without_keys_every_authorization_header_is_ignored(config: Config, authorization: str) -> None:
    assert check(config, AccessRequest("/txt2img", hosts=("localhost",), authorizations=(authorization,))) is not None


@pytest.fixture
def locked(tmp_path: Path) -> Config:
    return config_with(tmp_path, auth={"api_keys": ["bare-key", "anna:annas-key"]})


@for_each_case(
    "authorization",
    [
        "Bearer bare-key", "bearer  bare-key", "Bearer annas-key", "Bearer anna:annas-key", basic("any:bare-key"),
        basic(":bare-key"), basic("anna:annas-key"),
    ],
)  # fmt: skip
def test_keys_that_open(locked: Config, authorization: str) -> None:
    assert check_key(locked, AccessRequest("/txt2img", authorizations=(authorization,))) is not None


@for_each_case(
    "authorization",
    [
        "Bearer wrong", "Bearer bare-ke", "Bearer bare-key2", "Bearer anna", "bare-key", basic("bare-key:"),
        basic("bare-key"), basic("bob:annas-key"), basic("anna:bare"), basic("anna:"), "Bearer é", "Basic \udcff",
    ],
)  # fmt: skip
def test_keys_that_do_not_open(locked: Config, authorization: str) -> None:
    with pytest.raises(NotAuthenticated):
        check_key(locked, AccessRequest("/txt2img", authorizations=(authorization,)))


def test_no_key_at_all_does_not_open(locked: Config) -> None:
    with pytest.raises(NotAuthenticated, match="required"):
        check_key(locked, AccessRequest("/txt2img"))


def test_a_token_in_the_url_opens_websockets_only() -> None:
    locked = Config(auth={"api_keys": ["k1"]})
    scope = {"path": "/ws", "query_string": b"token=k1&x=1", "headers": []}
    caller = see_caller(locked, scope)
    assert check_key(locked, AccessRequest.of({"type": "websocket", **scope}, caller)) is not None
    with pytest.raises(NotAuthenticated):
        check_key(locked, AccessRequest.of({"type": "http", **scope}, caller))
    with pytest.raises(NotAuthenticated):
        check_key(locked, AccessRequest("/ws", True, token="k2"))


def test_health_is_open_to_strangers_but_a_wrong_key_is_told(locked: Config) -> None:
    assert check_key(locked, AccessRequest("/health")) is None
    assert check_key(locked, AccessRequest("/health", authorizations=("Basic ",))) is None
    assert check_key(locked, AccessRequest("/health", authorizations=("Bearer bare-key",))) is not None
    with pytest.raises(NotAuthenticated, match="not valid"):
        check_key(locked, AccessRequest("/health", authorizations=("Bearer wrong",)))


def test_keys_never_show_in_errors(locked: Config) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        check_key(locked, AccessRequest("/", authorizations=("Bearer secret-guess",)))
    assert "bare-key" not in refused.value.message
    assert "secret-guess" not in refused.value.message
