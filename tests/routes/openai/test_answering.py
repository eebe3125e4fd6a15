from __future__ import annotations

from typing import Any

from sdcpp_rest.routes.openai.answering import wants_base64
from sdcpp_rest.routes.openai.wire import SharedWishes
from tests.cases import for_each_case


@for_each_case(
    ("fields", "expected"),
    [
        ({}, False),
        ({"model": "dall-e-3"}, False),
        ({"model": "gpt-image-1.5"}, True),
        ({"model": "chatgpt-image-latest"}, True),
        ({"model": "my-model"}, False),
        ({"model": "gpt-image-1", "response_format": "url"}, False),
        ({"response_format": "b64_json"}, True),
    ],
)
def test_the_model_says_how_pictures_come_unless_the_request_does(fields: dict[str, Any], expected: bool) -> None:
    assert wants_base64(SharedWishes(**fields)) is expected


@for_each_case(
    ("fields", "usual", "expected"),
    [
        ({}, "b64_json", True),
        ({"model": "gpt-image-1"}, "url", False),
        ({"response_format": "url"}, "b64_json", False),
        ({"response_format": "b64_json"}, "url", True),
    ],
)
def test_the_configuration_says_how_pictures_come_where_the_request_does_not(
    fields: Any, usual: str, expected: bool
) -> None:
    assert wants_base64(SharedWishes(**fields), usual) is expected
