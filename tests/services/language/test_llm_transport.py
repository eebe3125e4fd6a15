"""Answers that are too long, and a library that is loaded late. (Keys, proxies and redirects: test_llm_client.)"""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from sdcpp_rest.services.language import llm_transport
from sdcpp_rest.services.language.llm_connection import Line
from sdcpp_rest.services.language.llm_transport import AnswerTooLarge, LlmTransport
from tests.servers.ollama_server import OllamaServer


def test_an_answer_that_is_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_transport, "MAX_ANSWER_BYTES", 10)
    with (
        OllamaServer() as server,
        httpx.Client(transport=LlmTransport(Line(), "", use_tls=False)) as client,
        pytest.raises(AnswerTooLarge),
    ):
        client.get(server.url + "/api/tags")


@pytest.mark.slow
def test_a_server_that_starts_does_not_load_what_it_may_never_need() -> None:
    code = "import sys, sdcpp_rest.services.language.assistant; print({'httpx', 'ollama'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "set()"
