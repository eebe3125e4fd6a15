"""Whatever stands at an address, what it says becomes a clear error."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sdcpp_rest.client import (
    ApiError,
    Client,
    ClientError,
    Conflict,
    ConnectionFailed,
    InsufficientStorage,
    InvalidRequest,
    NotFound,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
)
from tests.cases import for_each_case

Answering = Callable[[httpx.Response | Exception], Client]
PAGE = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
DEEP = b"[" * 100_000


@for_each_case(
    ("answer", "kind", "message"),
    [
        (
            httpx.Response(502, headers=PAGE, content=b"<html>bad gateway"),
            ApiError,
            "HTTP 502 Bad Gateway, not by this",
        ),
        (httpx.Response(503, content=b""), Unavailable, "HTTP 503 Service Unavailable, not by this API (no content"),
        (httpx.Response(404, headers=JSON, json={"detail": "x"}), NotFound, "HTTP 404 Not Found, not by this API"),
        (httpx.Response(400, headers=JSON, content=DEEP), InvalidRequest, "HTTP 400 Bad Request"),
        (httpx.Response(599, headers=JSON, json=[]), ApiError, "HTTP 599, not by"),
        (
            httpx.Response(200, headers=PAGE, content=b"<html>"),
            UnexpectedAnswer,
            "answered with text/html, which is no",
        ),
        (httpx.Response(200, headers=JSON, content=b"{"), UnexpectedAnswer, "GET /health was answered with"),
        (httpx.Response(200, headers=JSON, json=[1]), UnexpectedAnswer, "JSON that is no object"),
        (httpx.Response(200, headers=JSON, content=DEEP), UnexpectedAnswer, "which is no JSON"),
        (httpx.Response(200, headers=JSON, content=b"\xff"), UnexpectedAnswer, "which is no JSON"),
        (
            httpx.Response(302, headers={"Location": "/login"}),
            UnexpectedAnswer,
            "HTTP 302 Found, which leads elsewhere",
        ),
        (httpx.ConnectTimeout("x"), ConnectionFailed, "http://elsewhere:80 does not answer: it takes too long"),
        (httpx.RemoteProtocolError("x"), ConnectionFailed, "it has closed the connection"),
        (httpx.ProxyError("x"), ConnectionFailed, "the proxy does not lead there"),
        (httpx.DecodingError("no gzip"), UnexpectedAnswer, "a coding that cannot be read: no gzip"),
    ],
)
def test_answer_that_is_none_is_a_clear_error(
    answering: Answering, answer: Any, kind: type[ClientError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        answering(answer).health()
    assert message in str(caught.value)


@for_each_case(
    ("cause", "message"),
    [
        (ssl.SSLError("x"), "no secure connection can be made"),
        (ConnectionRefusedError(), "nothing listens there"),
        (OSError(113, "No route to host"), "no route to host"),
    ],
)
def test_connection_that_fails_says_why(answering: Answering, cause: Exception, message: str) -> None:
    fault = httpx.ConnectError("x")
    fault.__cause__ = cause
    with pytest.raises(ConnectionFailed, match=message):
        answering(fault).show_options()


def test_refusal_tells_all_that_the_server_says(answering: Answering) -> None:
    said = {"error": "no such model", "code": "model_not_found", "field": "model_name", "nearest": ["a", "b"]}
    with pytest.raises(ApiError) as caught:
        answering(httpx.Response(500, json=said)).load_model(model_name="c")
    refusal = caught.value
    assert (str(refusal), refusal.status, refusal.code, refusal.field) == (
        "no such model", 500, "model_not_found", "model_name",
    )  # fmt: skip
    assert refusal.nearest == ["a", "b"]
    assert refusal.detail == said


@for_each_case(
    ("status", "kind"), [(409, Conflict), (429, TooManyRequests), (507, InsufficientStorage), (418, ApiError)]
)
def test_refusals_are_told_apart_by_status(answering: Answering, status: int, kind: type[ApiError]) -> None:
    with pytest.raises(kind) as caught:
        answering(httpx.Response(status, json={"error": "no"})).health()
    assert type(caught.value) is kind


@for_each_case("answer", [{}, {"job_id": 7}, {"job_id": None}])
def test_submission_without_a_job_is_no_job(answering: Answering, answer: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswer, match="whose job_id is no str"):
        answering(httpx.Response(202, json=answer)).txt2img(prompt="x")


JOB = {"job_id": "1", "status": "completed", "outputs": [], "progress": {}}


@for_each_case(
    ("answer", "message"),
    [
        ({}, "whose job_id is no str"),
        ({**JOB, "outputs": "x"}, "whose outputs is no list"),
        ({**JOB, "status": "fine"}, "words that are not the API's"),
        ({**JOB, "outputs": [7]}, "words that are not the API's"),
    ],
)
def test_job_that_is_none_is_not_waited_for(answering: Answering, answer: dict[str, Any], message: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=message):
        answering(httpx.Response(200, json=answer)).job("1").result()


def test_outputs_are_saved_nowhere_else_whatever_the_server_calls_them(answering: Answering, tmp_path: Any) -> None:
    done = answering(httpx.Response(200, json={**JOB, "job_id": "../1", "outputs": ["../../x.png"]})).job("1").result()
    with pytest.raises(ValueError, match="path must be a name without dot segments"):
        done.save(tmp_path / "in")
    done = answering(httpx.Response(200, json={**JOB, "job_id": "../1", "outputs": ["a/b/x.png"]})).job("1").result()
    assert done.save(tmp_path / "in") == [tmp_path / "in" / "1_x.png"]


@for_each_case("name", ["", ".", "..", "../queue/jobs", "a/./b"])
def test_path_that_would_lead_to_another_route_is_refused(answering: Answering, name: str) -> None:
    client = answering(httpx.Response(200, json={}))
    with pytest.raises(ValueError, match="without dot segments"):
        client.remove_output(name)
    with pytest.raises(ValueError, match="without dot segments"):
        client.show_job(name)


@for_each_case(
    ("base_url", "api_key", "message"),
    [
        ("127.0.0.1:8080", None, "base_url must be an address like"),
        ("ftp://127.0.0.1", None, "base_url must be an address like"),
        ("http://", None, "base_url must be an address like"),
        ("http://127.0.0.1:99999", None, "base_url must be an address like"),
        ("http://127.0.0.1/?a=1", None, "base_url must be an address like"),
        ("http://anna:key@127.0.0.1", None, "give the key as api_key"),
        ("http://127.0.0.1", "a\nb", "one line of printable characters"),
    ],
)
def test_client_of_no_address_is_refused(base_url: str, api_key: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(base_url, api_key)
