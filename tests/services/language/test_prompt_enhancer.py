"""Better prompts, what is made of a model's chatter, and a history that also knows what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import LlmConfig, OllamaConfig
from sdcpp_rest.core.prompts import MAX_BYTES
from sdcpp_rest.errors import NotFound, SdcppRestError
from sdcpp_rest.services.language.llm_connection import OpenCalls
from sdcpp_rest.services.language.llm_errors import LlmDisabled, LlmFailed, LlmModelNotFound, LlmTimeout, LlmUnreachable
from sdcpp_rest.services.language.llm_settings import LlmSettings
from sdcpp_rest.services.language.prompt_enhancer import (
    SYSTEM_PROMPT,
    EnhanceOptions,
    PromptEnhancer,
    clean_answer,
    with_tags_of,
)
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.history_store import EnhancementHistory
from sdcpp_rest.store.settings_store import SettingsStore
from tests.cases import for_each_case
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer

Make = Callable[..., PromptEnhancer]


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        server.says = [Said(["a fluffy ", "cat"])]
        yield server


@pytest.fixture
def make(tmp_path: Path, server: OllamaServer) -> Iterator[Make]:
    db = Database(tmp_path / "rest.db")

    def make(**config: Any) -> PromptEnhancer:
        defaults = OllamaConfig(**{"base_url": server.url, **config})
        settings = LlmSettings(SettingsStore(db), "llm.ollama", defaults, LlmConfig())
        return PromptEnhancer(settings, EnhancementHistory(db), OpenCalls(), max_characters=1000)

    yield make
    db.close()


def test_a_prompt_is_made_better_and_remembered(make: Make, server: OllamaServer) -> None:
    enhancer = make()
    entry = enhancer.enhance("a cat")
    assert (entry.original_prompt, entry.enhanced_prompt, entry.model_used) == ("a cat", "a fluffy cat", "llama3.2")
    assert enhancer.entry(entry.id) == entry
    messages = server.chats[0]["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert (messages[0]["content"], messages[1]["content"]) == (SYSTEM_PROMPT, "a cat")


def test_the_nearest_system_prompt_counts(make: Make, server: OllamaServer) -> None:
    make(system_prompt="from the settings").enhance("a cat")
    make(system_prompt="from the settings").enhance("a cat", "from the request")
    assert [body["messages"][0]["content"] for body in server.chats] == ["from the settings", "from the request"]


def test_options_reach_the_model(make: Make, server: OllamaServer) -> None:
    entry = make().enhance("a cat", options=EnhanceOptions("mistral", 0.5, 0.9, 7, 100))
    assert entry.model_used == server.chats[0]["model"] == "mistral"
    assert server.chats[0]["options"] == {"temperature": 0.5, "top_p": 0.9, "seed": 7, "num_predict": 100}


def test_a_failure_is_remembered_under_the_id_that_the_error_tells(make: Make, server: OllamaServer) -> None:
    server.fault = 500
    enhancer = make()
    with pytest.raises(LlmFailed) as failed:
        enhancer.enhance("a cat")
    entry = enhancer.entry(failed.value.detail["id"])
    assert (entry.success, entry.enhanced_prompt, entry.model_used) == (False, "", "llama3.2")
    assert entry.error_message == failed.value.message


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(401, LlmFailed), (404, LlmModelNotFound), ("cut", LlmFailed), ("junk", LlmFailed), ("silent", LlmTimeout)],
)
def test_every_fault_is_remembered(
    make: Make, server: OllamaServer, fault: Any, kind: type[SdcppRestError], request: pytest.FixtureRequest
) -> None:
    if fault == "silent":
        request.getfixturevalue("short_seconds")
    server.fault = fault
    enhancer = make(timeout_seconds=1)
    with pytest.raises(kind):
        enhancer.enhance("a cat")
    assert [entry.success for entry in enhancer.history(10, 0)[1]] == [False]


def test_a_server_that_is_down_is_remembered_too(make: Make) -> None:
    enhancer = make(base_url="http://127.0.0.1:1")
    with pytest.raises(LlmUnreachable):
        enhancer.enhance("a cat")
    assert enhancer.history(10, 0)[1][0].success is False
    assert enhancer.status()["connected"] is False


@pytest.mark.parametrize("said", ["", "  \n", "<think>hm</think>", '""', "<lora:made_up:1>"])
def test_an_answer_without_a_prompt_is_a_failure(make: Make, server: OllamaServer, said: str) -> None:
    server.says = [Said([said])]
    with pytest.raises(LlmFailed, match="answered nothing"):
        make().enhance("a cat")


def test_thoughts_are_not_part_of_the_prompt(make: Make, server: OllamaServer) -> None:
    server.says = [Said(["<thi", "nk>a cat? ", "hm</think>\n\n", "a fluffy cat"])]
    assert make().enhance("a cat").enhanced_prompt == "a fluffy cat"


def test_switched_off_it_calls_nobody_and_remembers_nothing(make: Make, server: OllamaServer) -> None:
    enhancer = make(enabled=False)
    with pytest.raises(LlmDisabled):
        enhancer.enhance("a cat")
    assert enhancer.status() == {
        "enabled": False, "connected": False, "base_url": server.url, "model": "llama3.2", "max_history": 100,
        "history_count": 0,
    }  # fmt: skip
    assert server.asked == []


def test_the_history_keeps_as_many_as_the_settings_say(make: Make) -> None:
    enhancer = make(max_history=3)
    for number in range(5):
        enhancer.enhance(f"prompt {number}")
    total, entries = enhancer.history(10, 0)
    assert (total, entries[0].original_prompt) == (3, "prompt 4")
    enhancer.change({"max_history": 1}, any_host=False)
    assert enhancer.history(10, 0)[0] == 1


def test_entries_are_forgotten(make: Make) -> None:
    enhancer = make()
    entry = enhancer.enhance("a cat")
    enhancer.delete(entry.id)
    for call in (enhancer.entry, enhancer.delete):
        with pytest.raises(NotFound):
            call(entry.id)
    enhancer.enhance("a cat")
    enhancer.clear()
    assert enhancer.history(10, 0) == (0, [])


def test_models_and_status(make: Make) -> None:
    enhancer = make()
    assert enhancer.models() == ["llama3.2", "mistral"]
    assert enhancer.status()["connected"] is True


@for_each_case(
    ("said", "prompt"),
    [
        ("  a cat \n", "a cat"),
        ('"a cat"', "a cat"),
        ("\u201ca cat\u201d", "a cat"),
        ("**a cat**", "a cat"),
        ("```\na cat\n```", "a cat"),
        ("```text\na cat\n```", "a cat"),
        ("Here is the enhanced prompt:\n\na cat", "a cat"),
        ('Sure! Here\'s a better prompt: "a cat"', "a cat"),
        ("Enhanced Prompt: a cat", "a cat"),
        ("prompt: a cat", "a cat"),
        ('"one" and "two"', '"one" and "two"'),
        ("a sign that says: hello", "a sign that says: hello"),
        ("a\0cat", "acat"),
        ('"', '"'),
    ],
)
def test_chatter_around_a_prompt_is_left_out(said: str, prompt: str) -> None:
    assert clean_answer(said) == prompt


def test_lora_tags_are_neither_lost_nor_made_up() -> None:
    assert with_tags_of("cat <lora:a:0.8>", "a fluffy cat", 100) == "a fluffy cat <lora:a:0.8>"
    assert with_tags_of("cat <lora:a:0.8>", "a <lora:a:0.8> cat <lora:b:1>", 100) == "a <lora:a:0.8> cat"


def test_a_prompt_that_is_too_long_is_cut_at_a_word() -> None:
    assert with_tags_of("x <lora:a:1>", "many many words", 23) == "many many <lora:a:1>"
    assert with_tags_of("x", "x" * 50, 10) == "x" * 10
    assert len(with_tags_of("x <lora:a:1>", "\u732b" * 9000, 16_000).encode()) <= MAX_BYTES
