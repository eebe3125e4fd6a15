"""When two requests are one that was sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.web.caller import apply_caller, see_caller
from sdcpp_rest.web.same_request import SentRequest
from tests.cases import for_each_case


def sent(
    body: bytes, path: str = "/txt2img", query: bytes = b"", client: str = "127.0.0.1", **headers: str
) -> SentRequest:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query,
        "scheme": "http", "headers": fields, "client": (client, 4711), "server": ("127.0.0.1", 8080),
    }  # fmt: skip
    return SentRequest.of(apply_caller(scope, see_caller(Config(), scope)), body)


A_CAT = b'{"prompt": "a cat", "steps": 2}'


@pytest.mark.parametrize(
    "body",
    [A_CAT, b'{"steps":2,"prompt":"a cat"}', b'{ "prompt": "a \\u0063at",\n "steps": 2 }'],
)
def test_a_body_is_the_same_however_it_is_written(body: bytes) -> None:
    assert sent(A_CAT).is_same(sent(body, client="127.0.0.1"))


@for_each_case(
    "body",
    [
        b'{"prompt": "a cat"}',
        b'{"prompt": "a cat", "steps": 3}',
        b'{"prompt": "a cat", "steps": 2.0}',
        b'{"prompt": "a cat", "steps": true}',
        b'{"prompt": "a cat ", "steps": 2}',
        b'{"prompt": "a cat", "steps": 2',
        b"",
    ],
)
def test_another_body_is_another_request(body: bytes) -> None:
    assert not sent(A_CAT).is_same(sent(body))


@for_each_case(
    "more",
    [
        {"path": "/img2img"},
        {"query": b"x=1"},
        {"client": "192.0.2.1"},
        {"x_forwarded_for": "192.0.2.1"},
        {"authorization": "Bearer one"},
        {"x_forwarded_prefix": "/sd"},
        {"host": "pictures.local"},
    ],
)
def test_another_place_is_another_request(more: dict[str, Any]) -> None:
    other = sent(A_CAT, **more)
    assert other.place != sent(A_CAT).place
    assert not sent(A_CAT).is_same(other)
    assert sent(A_CAT, **more).is_same(other)


def test_what_else_a_client_says_of_itself_does_not_count() -> None:
    assert sent(A_CAT).is_same(sent(A_CAT, user_agent="curl", x_stainless_retry_count="1"))


@pytest.mark.parametrize("quoted", ["{}", '"{}"'])
def test_forms_are_the_same_whatever_their_boundary(quoted: str) -> None:
    def form(boundary: str, prompt: str) -> SentRequest:
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n{prompt}\r\n--{boundary}--\r\n'
        return sent(body.encode(), content_type=f"multipart/form-data; boundary={quoted.format(boundary)}")

    assert form("f00", "a cat").is_same(form("ba5", "a cat"))
    assert not form("f00", "a cat").is_same(form("ba5", "a dog"))
