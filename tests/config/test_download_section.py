"""The settings of downloads: what they may be, and that tokens are never shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sdcpp_rest.config import Config, DownloadsConfig, load_config
from tests.cases import for_each_case


def test_the_defaults_call_the_public_services_and_no_private_host() -> None:
    config = DownloadsConfig()
    assert (config.huggingface_endpoint, config.civitai_endpoint) == ("https://huggingface.co", "https://civitai.com")
    assert config.allow_private_hosts == ()
    assert config.concurrent == 2


@for_each_case(
    ("name", "value"),
    [
        ("huggingface_endpoint", "huggingface.co"),
        ("huggingface_endpoint", "https://user:pass@host"),
        ("civitai_endpoint", "ftp://civitai.com"),
        ("civitai_endpoint", "https://civitai.com/?x=1"),
        ("civitai_token", "two words"),
        ("huggingface_token", "line\nbreak"),
        ("concurrent", 0),
        ("retries", -1),
        ("max_bytes", True),
    ],
)
def test_odd_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        DownloadsConfig.model_validate({name: value})


def test_an_endpoint_loses_its_last_slash() -> None:
    assert DownloadsConfig(huggingface_endpoint="http://mirror.lan:8000/hf/").huggingface_endpoint.endswith("/hf")


def test_tokens_come_from_the_environment_too_and_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDCPP_REST__DOWNLOADS__CIVITAI_TOKEN", "s3cret-of-civitai")
    config = load_config(overrides=["downloads.huggingface_token=s3cret-of-hub"])
    assert config.downloads.huggingface_token.get_secret_value() == "s3cret-of-hub"
    assert config.downloads.civitai_token.get_secret_value() == "s3cret-of-civitai"
    assert "s3cret" not in repr(config) + config.model_dump_json() + Config.example_toml()
