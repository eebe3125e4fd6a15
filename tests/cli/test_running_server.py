"""Finding the server of a data folder, and showing it a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.cli.running_server import running_server
from tests.cases import for_each_case
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse, make_config
from tests.servers.fault_server import FaultServer

KEY = "auth.api_keys=['anna:secret']"
DRAW = ("generate", "x", "--width", "64", "--height", "64", "--steps", "1")


@for_each_case("found", [None, "", "[]", '{"pid": 1}', '{"url": "http://127.0.0.1:1"}', '{"url": "x"}'])
def test_what_does_not_answer_is_not_there(tmp_path: Path, found: str | None) -> None:
    config = make_config(tmp_path)
    config.paths.data_dir.mkdir(parents=True)
    if found is not None:
        (config.paths.data_dir / "server.json").write_text(found)
    assert running_server(config) is None


def test_the_server_is_found_while_it_runs(served: ServedHouse) -> None:
    config = served.runtime.config
    assert running_server(config) == served.url
    told = (config.paths.data_dir / "server.json").read_text()
    assert json.loads(told)["url"] == served.url
    served.stop()
    (config.paths.data_dir / "server.json").write_text(told)
    assert running_server(config) is None


def test_a_key_is_taken_from_the_option_the_environment_or_for_our_own_server_the_configuration(
    run: Run, make_served: Callable[..., ServedHouse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    draw = (*DRAW, "-o", tmp_path / "o.png")
    refused = run(*draw, *beside(served))
    assert refused.exit_code == 1
    assert f"(from {served.url})" in refused.stderr
    assert run(*draw, *beside(served), "--set", KEY).exit_code == 0
    assert run(*draw, *beside(served), "--api-key", "secret").exit_code == 0
    assert run(*draw, "--url", served.url, "--api-key", "anna:secret").exit_code == 0
    monkeypatch.setenv("SDCPP_REST_API_KEY", "secret")
    assert run(*draw, "--url", served.url).exit_code == 0


def test_a_key_in_the_address_is_taken_and_not_told(run: Run, make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["anna:a key"]})
    address = served.url.removeprefix("http://")
    assert run("convert", "nothing", "q8_0", "--url", f"http://anna:a%20key@{address}").stderr.startswith(
        "Error: Model not"
    )
    refused = run("convert", "nothing", "q8_0", "--url", f"http://anna:wrong@{address}")
    assert refused.exit_code == 1
    assert f"(from http://{address})" in refused.stderr


def test_a_key_of_the_configuration_is_shown_to_no_other_server(
    run: Run, make_served: Callable[..., ServedHouse]
) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    result = run(*DRAW, "--url", served.url, "--set", KEY)
    assert result.exit_code == 1
    assert "key" in result.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "The server at http://127.0.0.1:1 does not answer: nothing listens there"),
        ("http://nowhere.invalid", "does not answer: no machine of that name is known"),
        ("127.0.0.1:8080", "--url 127.0.0.1:8080: expected an address like http://127.0.0.1:8080"),
        ("ftp://127.0.0.1", "--url ftp://127.0.0.1: expected an address like http://127.0.0.1:8080"),
        ("http://", "expected an address like"),
    ],
)
def test_a_server_that_is_not_there_is_one_plain_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    result = run(*DRAW, "--url", url)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert words in result.stderr


def test_no_secure_connection_to_a_server_that_has_none(run: Run, web: FaultServer) -> None:
    result = run(*DRAW, "--url", web.url.replace("http://", "https://"))
    assert result.exit_code == 1
    assert result.stderr.endswith("an http:// server, or a certificate that is not trusted)\n")


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"<html>", "HTTP 200 and no JSON"), (b"[1]", "HTTP 200 and other JSON"), (b"{}", "HTTP 200 and other JSON")],
)
def test_another_kind_of_server_is_recognized_before_anything_is_asked_of_it(
    run: Run, web: FaultServer, body: bytes, words: str
) -> None:
    web.pages.append(lambda asked: (200, {}, body))
    result = run(*DRAW, "--url", web.url)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {web.url} is no sdcpp-rest server: it answers GET /health with {words}\n",
    )
    assert [asked.path for asked in web.asked] == ["/health"]
