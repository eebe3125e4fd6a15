"""One shape for every error: each way to be refused is walked through the same assertion."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sdcpp_rest import errors
from sdcpp_rest.config import Config
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.answers import render_native_error
from sdcpp_rest.routes.http.dialect import NATIVE_ERROR, ErrorShape
from sdcpp_rest.runtime import Runtime, inline_launcher
from sdcpp_rest.web.app import DIALECTS, create_app, route_table
from tests.cases import for_each_case
from tests.quick_runtime import quick_app

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROUTES = route_table(create_app(None))
TABLE = DialectTable(DIALECTS)
CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SdcppRestError)
]  # fmt: skip


def assert_error(answer: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The shape every error has; returns its body."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    body = answer.get_json()
    assert isinstance(body["error"], str)
    assert body["error"]
    assert isinstance(body["code"], str)
    assert code is None or body["code"] == code
    for leak in ("Traceback", "<html", "<!doctype", 'File "'):
        assert leak not in answer.text
    return dict(body)


def assert_error_of(shape: ErrorShape, answer: TestResponse, status: int) -> None:
    """The shape that errors have in a dialect that is not the native one."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    shape.refusal.model_validate(answer.get_json())
    for leak in ("Traceback", "<html", "<!doctype", 'File "'):
        assert leak not in answer.text


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder: Path = tmp_path_factory.mktemp("errors")
    paths = {f"{name}_dir": folder / name for name in ("data", "models", "output", "log")}
    runtime = Runtime(Config(paths=paths), launcher=inline_launcher(lambda: FakeRunner(inline=True)))
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> FlaskClient:
    return create_app(runtime).test_client()


def test_the_house_has_its_routes() -> None:
    assert len(ROUTES) >= 16
    assert all(route.line > 0 and route.file.startswith("sdcpp_rest/routes/") for route in ROUTES)


def test_every_route_spells_its_whole_path_where_it_is_written() -> None:
    root = Path(inspect.getfile(errors)).parent.parent
    for route in ROUTES:
        decorator = (root / route.file).read_text(encoding="utf-8").splitlines()[route.line - 1]
        assert f'("{route.url}")' in decorator, route


@for_each_case("method", METHODS)
@for_each_case(
    "url", ["/nothing", "/queue/a/b/c", "/models/nothing", "/sdapi", "/TXT2IMG", "/%00", "/%FF", "/health/x", "/é"]
)
def test_an_unknown_url_is_a_404(client: FlaskClient, method: str, url: str) -> None:
    assert_error(client.open(url, method=method), 404, "not_found")


@for_each_case("method", METHODS)
@for_each_case("url", ["/v1", "/v1/nothing", "/v1/images", "/api/sd", "/api/sd/nothing", "/interrogate/x"])
def test_an_unknown_url_of_a_dialect_is_a_404_in_its_shape(client: FlaskClient, method: str, url: str) -> None:
    assert TABLE.shape_of(url) is not NATIVE_ERROR
    assert_error_of(TABLE.shape_of(url), client.open(url, method=method), 404)


def _is_one_of(path: str, url: str) -> bool:
    pattern = re.sub(r"<model_type:\w+>", "lora", re.sub(r"<int:\w+>", r"\\d+", url))
    pattern = re.sub(r"<path:\w+>", ".+", re.sub(r"<\w+>", "[^/<>]+", pattern))
    return re.fullmatch(pattern, path) is not None


@pytest.mark.slow
@for_each_case("url", sorted({route.url for route in ROUTES}))
def test_a_wrong_method_is_a_405_that_names_the_right_ones(client: FlaskClient, url: str) -> None:
    path = re.sub(r"<(path:)?\w+>", "x", re.sub(r"<int:\w+>", "1", re.sub(r"<model_type:\w+>", "lora", url)))
    # "/queue/pause" is also a "/queue/<job_id>" like any other.
    allowed = {route.method for route in ROUTES if route.url == url or _is_one_of(path, route.url)}
    for method in set(METHODS) - allowed:
        answer = client.open(path, method=method)
        assert allowed <= set(answer.headers["Allow"].split(", "))
        if TABLE.shape_of(path) is NATIVE_ERROR:
            body = assert_error(answer, 405, "method_not_allowed")
            assert all(name in body["error"] for name in allowed)
        else:
            # Whatever can be posted to below /API is a route, and all else an unknown one.
            assert_error_of(TABLE.shape_of(path), answer, 400 if (path, method) == ("/API/x", "POST") else 405)


@for_each_case("url", ["/txt2img", "/img2img", "/models/load", "/models/unload"])
@for_each_case(
    "raw",
    [b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe\xff", b"prompt=x", b"[" * 100_000, b'{"a":NaN}', b'{"a":1,"a":2}'],
)
def test_a_body_that_is_not_a_json_object_is_a_400(client: FlaskClient, url: str, raw: bytes) -> None:
    assert_error(client.post(url, data=raw), 400, "invalid_request")


def test_a_fault_of_ours_is_a_500_with_an_id_that_the_log_has(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[str, Any]:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(runtime.status, "health", broken)
    answer = create_app(runtime).test_client().get("/health")
    body = assert_error(answer, 500, "internal_error")
    assert body["error"] == "Internal error"
    assert len(body["error_id"]) == 8
    assert "secret" not in answer.text
    assert body["error_id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


@for_each_case("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_error_has_its_status_and_code_on_the_wire(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, kind: type[SdcppRestError]
) -> None:
    def refused() -> dict[str, Any]:
        raise kind("told so", field="steps")

    monkeypatch.setattr(runtime.status, "memory", refused)
    body = assert_error(quick_app(runtime).test_client().get("/memory"), kind.status, kind.code)
    assert (body["error"], body["field"]) == ("told so", "steps")


def test_the_tree_of_errors_is_walked_whole() -> None:
    assert len(CLASSES) >= 18
    # A class without a code of its own (WrongKey) is told apart inside the server only.
    named = [kind for kind in CLASSES if "code" in vars(kind)]
    assert len(named) >= 18
    assert len({kind.code for kind in named}) == len(named)
    assert all(400 <= kind.status < 600 for kind in CLASSES)


def test_a_detail_cannot_hide_the_message() -> None:
    import json

    _, _, body = render_native_error("/x", SdcppRestError("message", error="other", code="other"))
    assert json.loads(body)["error"] == "message"
    assert json.loads(body)["code"] == "internal_error"
