"""Finding the server of a data folder, and showing it a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.cli.running_server import running_server
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse, make_config

KEY = "auth.api_keys=['anna:secret']"
DRAW = ("generate", "x", "--width", "64", "--height", "64", "--steps", "1")


@pytest.mark.parametrize("found", [None, "", "[]", '{"pid": 1}', '{"url": "http://127.0.0.1:1"}', '{"url": "x"}'])
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


def test_a_key_of_the_configuration_is_shown_to_no_other_server(
    run: Run, make_served: Callable[..., ServedHouse]
) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    result = run(*DRAW, "--url", served.url, "--set", KEY)
    assert result.exit_code == 1
    assert "key" in result.stderr
