"""What a command says about a refusal."""

from __future__ import annotations

import httpx
import pytest
from click import ClickException

from sdcpp_rest.cli.server_access import ServerAccess
from sdcpp_rest.client import Client
from tests.cases import for_each_case


class There(ServerAccess):
    place = " (from there)"

    def kept_at(self, name: str) -> str:
        return ""

    def pause(self, job_id: str) -> None:
        pass


NO_ANSWER = "GET /health was answered with HTTP 502 Bad Gateway, not by this API (no content type)"


@for_each_case(
    ("body", "message"),
    [
        (b'{"error": "No model loaded", "code": "no_model_loaded"}', "No model loaded"),
        (b'{"error": "Internal error: Model not found: x"}', "Model not found: x"),
        (b'{"error": "gone", "nearest": ["a", "b"], "field": "vae"}', "gone; the nearest names are a, b"),
        (b"<html>", NO_ANSWER),
        (b"[]", NO_ANSWER),
        (b"null", NO_ANSWER),
        (b"{}", NO_ANSWER),
        (b"\xff", NO_ANSWER),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(body: bytes, message: str) -> None:
    there = There(Client(transport=httpx.MockTransport(lambda request: httpx.Response(502, content=body))))
    with pytest.raises(ClickException) as caught, there.plain_refusals():
        there.client.health()
    assert caught.value.message == f"{message} (from there)"
