"""Which hosts may be named, who gets the key, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import LlmConfig, OllamaConfig
from sdcpp_rest.errors import InvalidRequest, NotAllowed
from sdcpp_rest.services.language.llm_settings import MASK, LlmSettings
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.settings_store import SettingsStore
from tests.cases import for_each_case

Make = Callable[..., LlmSettings]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SettingsStore]:
    db = Database(tmp_path / "rest.db")
    yield SettingsStore(db)
    db.close()


@pytest.fixture
def make(store: SettingsStore) -> Make:
    def make(allowed_hosts: tuple[str, ...] = (), **config: Any) -> LlmSettings:
        return LlmSettings(store, "llm.ollama", OllamaConfig(**config), LlmConfig(allowed_hosts=allowed_hosts))

    return make


def change(settings: LlmSettings, any_host: bool = False, **sent: Any) -> list[str]:
    return settings.change(sent, any_host=any_host)[1]


def test_the_configuration_holds_until_somebody_changes_it(make: Make) -> None:
    assert make().current().model == "llama3.2"
    change(make(), model="mistral")
    later = make(model="from-the-file", timeout_seconds=7).current()
    assert (later.model, later.timeout_seconds) == ("mistral", 7)


def test_changes_survive_and_say_what_holds_now(make: Make) -> None:
    choice, warnings = make().change({"enabled": False, "max_history": 3, "api": "openai"}, any_host=False)
    assert (choice.enabled, choice.max_history, choice.api, warnings) == (False, 3, "openai", [])
    assert make().current() == choice


def test_what_cannot_be_read_any_more_is_the_configurations(make: Make, store: SettingsStore) -> None:
    for odd in ({"timeout_seconds": "soon"}, [], "x", None):
        store.put("llm.ollama", odd)
        assert make().current().timeout_seconds == 60


LOCAL = [
    "http://localhost:11434",
    "http://127.0.0.1:9",
    "http://127.8.8.8",
    "https://[::1]:8080/v1",
    "http://LOCALHOST",
]
ELSEWHERE = [
    "http://example.org", "http://169.254.169.254", "http://10.0.0.1:11434", "http://0.0.0.0:11434", "http://[::]:1",
    "http://localhost.example.org", "http://127.0.0.1.example.org", "http://2130706433", "http://gpu-box.lan:1",
    "http://localhost.", "http://sub.localhost", "http://127.1", "http://[fe80::1]:1",
]  # fmt: skip


@pytest.mark.parametrize("url", LOCAL)
def test_this_machine_may_be_named(make: Make, url: str) -> None:
    assert change(make(), base_url=url) == []
    assert make().current().base_url == url


@for_each_case("url", ELSEWHERE)
def test_other_machines_may_not(make: Make, url: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        change(make(), base_url=url)
    assert refused.value.detail["setting"] == "llm.allowed_hosts"
    assert make().current().base_url == "http://localhost:11434"


def test_allowed_hosts_may_be_named_and_anything_by_who_showed_a_key(make: Make) -> None:
    settings = make(allowed_hosts=("gpu-box.lan:11434", "*.example.org", "10.0.0.0/8"))
    for url in ("http://gpu-box.lan:11434", "https://llm.example.org", "http://10.1.2.3"):
        assert change(settings, base_url=url) == []
    with pytest.raises(NotAllowed):
        change(settings, base_url="http://gpu-box.lan:22")
    assert change(settings, any_host=True, base_url="http://anywhere.net") == []


def test_the_configured_server_may_always_be_named_again(make: Make) -> None:
    settings = make(base_url="http://gpu-box.lan:11434")
    change(settings, base_url="http://localhost:1")
    assert change(settings, base_url="http://gpu-box.lan:11434/") == []


@for_each_case(
    "url",
    ["localhost", "ftp://localhost", "http://user:pass@localhost", "http://localhost\\@evil", "http://local host",
     "http://localhost?x", "http://localhost#x", "http://", "http://localhost:99999", "http://localhost:x",
     "http://exa\u043cple.org", "//localhost", "http://localhost/\n", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_address_is_refused(make: Make, url: str) -> None:
    if url.endswith("\n"):
        url += "x"
    with pytest.raises(InvalidRequest) as refused:
        change(make(), any_host=True, base_url=url)
    assert refused.value.detail["field"] == "base_url"


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_is_kept_until_another_one_comes(make: Make) -> None:
    change(make(), api_key="first")
    change(make(), api_key=MASK, model="mistral")
    change(make(), model="other")
    assert make().endpoint().api_key == "first"
    change(make(), api_key="second")
    assert make().endpoint().api_key == "second"
    change(make(), api_key="")
    assert make().endpoint().api_key == ""
    assert make().has_key() is False


def test_an_empty_key_hides_the_configured_one(make: Make) -> None:
    assert make(api_key="of-the-file").endpoint().api_key == "of-the-file"
    change(make(api_key="of-the-file"), api_key="")
    assert make(api_key="of-the-file").has_key() is False


@pytest.mark.parametrize("sent", [{}, {"api_key": MASK}])
def test_a_key_does_not_follow_to_another_server(make: Make, sent: dict[str, Any]) -> None:
    settings = make(api_key="of-the-file")
    warnings = change(settings, base_url="http://localhost:6666", **sent)
    assert "api_key" in warnings[0]
    assert settings.endpoint().api_key == ""
    assert change(settings, base_url="http://localhost:11434/path") == []
    assert settings.endpoint().api_key == "of-the-file"


def test_a_key_that_comes_with_the_new_server_is_its_own(make: Make) -> None:
    settings = make()
    change(settings, api_key="first")
    assert change(settings, base_url="http://localhost:6666", api_key="second") == []
    assert settings.endpoint().api_key == "second"
    change(settings, base_url="http://localhost:11434")
    assert settings.endpoint().api_key == ""


@pytest.mark.parametrize("key", ["two words", "new\nline", "schl\u00fcssel", "\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_repeated(make: Make, key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        change(make(), api_key=key)
    assert key not in refused.value.message
    assert make().has_key() is False


def test_the_endpoint_is_what_is_chosen(make: Make) -> None:
    change(make(), api="openai", model="m", timeout_seconds=5, base_url="http://localhost:1234/v1")
    endpoint = make().endpoint()
    assert (endpoint.api, endpoint.base_url, endpoint.model) == ("openai", "http://localhost:1234/v1", "m")
    assert (endpoint.timeout_seconds, endpoint.connect_timeout_seconds) == (5, 5)
