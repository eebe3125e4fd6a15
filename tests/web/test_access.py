from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.errors import NotAllowed, NotAuthenticated
from sdcpp_rest.web.access import Asking, check, check_key, check_source


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


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8080", "LOCALHOST:1", "localhost.:8080", "127.0.0.1", "127.0.0.1:8080", "127.8.9.1:3",
        "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:8080", "pictures.example.org", "PICTURES.example.org:99",
        "other.example.org:8443", "box.lan:8080",
    ],
)  # fmt: skip
def test_hosts_that_are_this_server(config: Config, host: str) -> None:
    check_source(config, Asking("/", hosts=(host,)))


@pytest.mark.parametrize(
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
        check_source(config, Asking("/", hosts=(host,)))


def test_the_bound_address_is_this_server_and_its_neighbour_is_not(tmp_path: Path) -> None:
    bound = config_with(tmp_path, server={"host": "192.168.1.5", "allow_public_without_auth": True})
    check_source(bound, Asking("/", hosts=("192.168.1.5:8080",)))
    with pytest.raises(NotAllowed):
        check_source(bound, Asking("/", hosts=("192.168.1.6:8080",)))


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_bound_to_every_address_any_ip_is_this_server_but_no_name_is(tmp_path: Path, bound: str) -> None:
    everywhere = config_with(tmp_path, server={"host": bound, "allow_public_without_auth": True})
    for host in ("192.168.1.5:8080", "10.0.0.1", "[fe80::1]:8080", "127.0.0.1"):
        check_source(everywhere, Asking("/", hosts=(host,)))
    with pytest.raises(NotAllowed):
        check_source(everywhere, Asking("/", hosts=("rebound.example:8080",)))


def test_every_host_is_fine_when_the_user_says_so(tmp_path: Path) -> None:
    check_source(config_with(tmp_path, server={"allowed_hosts": ["*"]}), Asking("/", hosts=("any.example",)))


def test_one_bad_host_among_two_is_refused(config: Config) -> None:
    with pytest.raises(NotAllowed):
        check_source(config, Asking("/", hosts=("localhost", "evil.example")))


@pytest.mark.parametrize("is_websocket", [False, True])
@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost", "http://localhost:5173", "https://127.0.0.1:9", "http://[::1]:3000", "https://app.example.org",
        "HTTPS://APP.example.org", "https://app.example.org:443", "http://plain.example.org", "http://pictures.example.org",
    ],
)  # fmt: skip
def test_origins_that_may_call(config: Config, origin: str, is_websocket: bool) -> None:
    check_source(config, Asking("/", is_websocket, hosts=("pictures.example.org",), origins=(origin,)))


@pytest.mark.parametrize("is_websocket", [False, True])
@pytest.mark.parametrize(
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
        check_source(config, Asking("/", is_websocket, hosts=("pictures.example.org:8080",), origins=(origin,)))


def test_a_null_origin_stays_refused_when_every_origin_is_allowed(tmp_path: Path) -> None:
    everyone = config_with(tmp_path, server={"cors_origins": ["*"]})
    check_source(everyone, Asking("/", origins=("https://any.example",)))
    with pytest.raises(NotAllowed):
        check_source(everyone, Asking("/", origins=("null",)))


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic ", "Basic", "Basic !!!", "Basic Og==", "Bearer", "Bearer x", "Digest a", "\x00", "x" * 9000],
)
def test_without_keys_every_authorization_header_is_ignored(config: Config, authorization: str) -> None:
    assert check(config, Asking("/txt2img", hosts=("localhost",), authorizations=(authorization,))) is True


@pytest.fixture
def locked(tmp_path: Path) -> Config:
    return config_with(tmp_path, auth={"api_keys": ["bare-key", "anna:annas-key"]})


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer bare-key", "bearer  bare-key", "Bearer annas-key", "Bearer anna:annas-key", basic("any:bare-key"),
        basic(":bare-key"), basic("anna:annas-key"),
    ],
)  # fmt: skip
def test_keys_that_open(locked: Config, authorization: str) -> None:
    assert check_key(locked, Asking("/txt2img", authorizations=(authorization,))) is True


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer wrong", "Bearer bare-ke", "Bearer bare-key2", "Bearer anna", "bare-key", basic("bare-key:"),
        basic("bare-key"), basic("bob:annas-key"), basic("anna:bare"), basic("anna:"), "Bearer é", "Basic \udcff",
    ],
)  # fmt: skip
def test_keys_that_do_not_open(locked: Config, authorization: str) -> None:
    with pytest.raises(NotAuthenticated):
        check_key(locked, Asking("/txt2img", authorizations=(authorization,)))


def test_no_key_at_all_does_not_open(locked: Config) -> None:
    with pytest.raises(NotAuthenticated, match="required"):
        check_key(locked, Asking("/txt2img"))


def test_a_token_in_the_url_opens_websockets_only() -> None:
    locked = Config(auth={"api_keys": ["k1"]})
    scope = {"path": "/ws", "query_string": b"token=k1&x=1", "headers": []}
    assert check_key(locked, Asking.of({"type": "websocket", **scope})) is True
    with pytest.raises(NotAuthenticated):
        check_key(locked, Asking.of({"type": "http", **scope}))
    with pytest.raises(NotAuthenticated):
        check_key(locked, Asking("/ws", True, token="k2"))


def test_health_is_open_to_strangers_but_a_wrong_key_is_told(locked: Config) -> None:
    assert check_key(locked, Asking("/health")) is False
    assert check_key(locked, Asking("/health", authorizations=("Basic ",))) is False
    assert check_key(locked, Asking("/health", authorizations=("Bearer bare-key",))) is True
    with pytest.raises(NotAuthenticated, match="not valid"):
        check_key(locked, Asking("/health", authorizations=("Bearer wrong",)))


def test_keys_never_show_in_errors(locked: Config) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        check_key(locked, Asking("/", authorizations=("Bearer secret-guess",)))
    assert "bare-key" not in refused.value.message
    assert "secret-guess" not in refused.value.message
