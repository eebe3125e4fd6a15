"""What a command says about a refusal."""

from __future__ import annotations

from sdcpp_rest.cli.server_access import Refused
from tests.cases import for_each_case


@for_each_case(
    ("body", "message", "code", "field"),
    [
        (b'{"error": "No model loaded", "code": "no_model_loaded"}', "No model loaded", "no_model_loaded", ""),
        (b'{"error": "Internal error: Model not found: x"}', "Model not found: x", "", ""),
        (b'{"error": "gone", "nearest": ["a", "b"], "field": "vae"}', "gone; the nearest names are a, b", "", "vae"),
        (b"<html>", "HTTP 502", "", ""),
        (b"[]", "HTTP 502", "", ""),
        (b"null", "HTTP 502", "", ""),
        (b"{}", "HTTP 502", "", ""),
        (b"\xff", "HTTP 502", "", ""),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(body: bytes, message: str, code: str, field: str) -> None:
    refused = Refused(502, body, " (from there)")
    assert (refused.message, refused.code, refused.field) == (f"{message} (from there)", code, field)
