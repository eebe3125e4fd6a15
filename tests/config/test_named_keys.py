"""Keys that have names: read from files and the environment, checked, and never shown."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sdcpp_rest.config import Config, ConfigError, load_config
from tests.cases import for_each_case


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("SDCPP_REST_"):
            monkeypatch.delenv(name)


def write(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "some.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "some.toml"


def complaint(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return caught.value.message


def test_keys_have_names_scopes_and_a_text_or_its_sum(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            "auth.api_keys = ['whole', 'anna:hers']",
            "auth.keys.frame = {key = 'looks', requests_per_minute = 60}",
            f"auth.keys.bot = {{sha256 = '{'AB' * 32}', scopes = ['generate', 'models']}}",
        )
    )
    whole, hers, frame, bot = config.auth.all_keys
    assert whole.scopes == hers.scopes == {"read", "generate", "models", "admin"}
    assert (frame.name, frame.scopes, frame.requests_per_minute) == ("frame", {"read"}, 60)
    assert (bot.is_sum, bot.secret, bot.scopes) == (True, "ab" * 32, {"read", "generate", "models"})
    assert config.auth.own_key == "whole"
    assert "looks" not in repr(config) + repr(config.auth.all_keys) + str(config.auth.keys)


def test_named_keys_alone_are_keys_enough_for_a_public_address(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "auth.keys.frame.key = 'looks'"), host="0.0.0.0")
    assert config.server.is_public
    assert config.auth.is_on
    assert config.auth.own_key == "looks"


def test_named_keys_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDCPP_REST__AUTH__KEYS__FRAME__KEY", "looks")
    monkeypatch.setenv("SDCPP_REST__AUTH__KEYS__FRAME__SCOPES", '["generate"]')
    (frame,) = load_config(write(tmp_path)).auth.all_keys
    assert (frame.name, frame.secret, frame.scopes) == ("frame", "looks", {"read", "generate"})


@for_each_case(
    ("lines", "complaint_"),
    [
        (["auth.keys.a = {}"], "either key or sha256"),
        (["auth.keys.a = {key = 'opensesame', sha256 = '" + "0" * 64 + "'}"], "either key or sha256"),
        (["auth.keys.a = {key = 'opensesame', scopes = []}"], "at least 1"),
        (["auth.keys.a = {key = 'opensesame', scopes = ['write']}"], "'read', 'generate', 'models' or 'admin'"),
        (["auth.keys.a = {key = 'opensesame', scope = ['read']}"], "unknown setting"),
        (["auth.keys.a = {key = 'open:sesame'}"], "without a colon"),
        (["auth.keys.a = {key = ' opensesame'}"], "spaces"),
        (["auth.keys.a = {sha256 = 'opensesame'}"], "64 hexadecimal digits"),
        (["auth.keys.a = {key = 'opensesame', requests_per_minute = -1}"], "greater than or equal to 0"),
        (["auth.keys.'a b' = {key = 'opensesame'}"], "names of small letters"),
        (["auth.api_keys = ['x:opensesame']", "auth.keys.a = {key = 'opensesame'}"], "the same key as one of"),
        (["auth.keys.a = {key = 'opensesame'}", "auth.keys.b = {key = 'opensesame'}"], "same key as auth.keys.a"),
        (
            [f"auth.keys.a = {{sha256 = '{hashlib.sha256(b'opensesame').hexdigest()}'}}",
             "auth.keys.b = {key = 'opensesame'}"],
            "same key as auth.keys.a",
        ),
    ],
)  # fmt: skip
def test_a_named_key_that_cannot_be_used_is_refused_without_showing_it(
    tmp_path: Path, lines: list[str], complaint_: str
) -> None:
    said = complaint(write(tmp_path, *lines))
    assert complaint_ in said
    assert "auth.keys" in said
    assert "sesame" not in said


def test_the_example_of_named_keys_can_be_used(tmp_path: Path) -> None:
    lines = Config.example_toml().splitlines()
    start = lines.index("# [auth.keys]")
    table = [line.removeprefix("# ") for line in lines[start : start + 3]]
    frame, bot = load_config(write(tmp_path, *table)).auth.all_keys
    assert (frame.name, bot.name, bot.is_sum) == ("frame", "bot", True)
