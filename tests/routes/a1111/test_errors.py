from __future__ import annotations

import base64
from collections.abc import Callable

from flask.testing import FlaskClient

from sdcpp_rest.errors import (
    EngineDied,
    InvalidRequest,
    MethodNotAllowed,
    NoModelLoaded,
    NotAuthenticated,
    NotFound,
    NotSupported,
    QueueFull,
    SdcppRestError,
    WrongKey,
)
from sdcpp_rest.routes.a1111.errors import (
    HTTPException,
    RuntimeFailure,
    Unreadable,
    a1111_error,
    a1111_headers,
    a1111_status,
)
from tests.cases import for_each_case
from tests.routes.conftest import ServedHouse


def shape(error: str, detail: str, errors: str) -> dict[str, str]:
    return {"error": error, "detail": detail, "body": "", "errors": errors}


@for_each_case(
    ("error", "status", "body"),
    [
        (NotFound("x"), 404, {"detail": "Not Found"}),
        (MethodNotAllowed("x"), 405, {"detail": "Method Not Allowed"}),
        (HTTPException(404, "Init image not found"), 404, shape("HTTPException", "Init image not found", "")),
        (RuntimeFailure("model 'x' not found"), 500, shape("RuntimeError", "", "model 'x' not found")),
        (NotAuthenticated("no"), 401, shape("HTTPException", "Not authenticated", "")),
        (WrongKey("no"), 401, shape("HTTPException", "Incorrect username or password", "")),
        (NoModelLoaded("none"), 400, shape("NoModelLoaded", "none", "none")),
        (QueueFull("full"), 429, shape("QueueFull", "full", "full")),
        (NotSupported("no"), 501, shape("NotSupported", "no", "no")),
        (EngineDied("dead"), 503, shape("EngineDied", "dead", "dead")),
        (
            InvalidRequest("batch_count must be", field="batch_count", value=99),
            422,
            {"detail": [{"loc": ["body", "batch_size"], "msg": "batch_count must be", "type": "value_error"}]},
        ),
        (
            InvalidRequest("no JSON"),
            422,
            {"detail": [{"loc": ["body"], "msg": "no JSON", "type": "value_error"}]},
        ),
        (
            InvalidRequest("init_image is no picture", field="init_image"),
            500,
            shape("HTTPException", "Invalid encoded image", "init_image is no picture"),
        ),
        (Unreadable([{"loc": ["body", "steps"], "msg": "m", "type": "t"}]), 422,
         {"detail": [{"loc": ["body", "steps"], "msg": "m", "type": "t"}]}),
        (SdcppRestError("Internal error", error_id="ab12"), 500,
         shape("SdcppRestError", "Internal error (ab12)", "Internal error (ab12)")),
    ],
)  # fmt: skip
def test_every_error_has_this_dialects_status_and_shape(
    error: SdcppRestError, status: int, body: dict[str, object]
) -> None:
    assert a1111_status(error) == status
    assert a1111_error(error) == body
    assert bool(a1111_headers(error)) == (status == 401)


@for_each_case("path", ["/sdapi/v1/nothing", "/sdapi/v1", "/sdapi/v1/txt2img/x", "/internal/nothing"])
def test_unknown_urls(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.get(path)
    assert (answer.status_code, answer.get_json()) == (404, {"detail": "Not Found"})


def test_wrong_methods(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/sdapi/v1/txt2img")
    assert (answer.status_code, answer.get_json()) == (405, {"detail": "Method Not Allowed"})


@for_each_case("raw", [b"{", b"[1]", b'"x"', b"\xff", b"a=1"])
def test_bodies_that_are_no_json_objects(shared_client: FlaskClient, raw: bytes) -> None:
    answer = shared_client.post("/sdapi/v1/txt2img", data=raw)
    assert answer.status_code == 422
    assert answer.get_json()["detail"][0]["loc"] == ["body"]


def test_every_answer_says_how_long_it_took(shared_client: FlaskClient) -> None:
    for path in ("/sdapi/v1/samplers", "/sdapi/v1/nothing", "/internal/ping"):
        assert float(shared_client.get(path).headers["X-Process-Time"]) >= 0
    assert "X-Process-Time" not in shared_client.get("/health").headers


def test_basic_authentication(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    path = "/sdapi/v1/samplers"
    none = served.get(path)
    assert (none.status_code, none.json()["detail"]) == (401, "Not authenticated")
    assert "Basic" in none.headers["WWW-Authenticate"]
    wrong = served.get(path, auth=("anna", "wrong"))
    assert (wrong.status_code, wrong.json()["detail"]) == (401, "Incorrect username or password")
    assert wrong.json()["error"] == "HTTPException"
    assert served.get(path, auth=("anna", "secret")).status_code == 200


@for_each_case("header", ["", "Basic ", "Basic " + base64.b64encode(b":").decode(), "Nonsense"])
def test_odd_authorizations_are_fine_while_nobody_is_asked(shared_client: FlaskClient, header: str) -> None:
    answer = shared_client.get("/sdapi/v1/samplers", headers={"Authorization": header})
    assert answer.status_code == 200
