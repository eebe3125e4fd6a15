from __future__ import annotations

import inspect
import json

import pytest
from flask import Flask

from sdcpp_rest import errors
from sdcpp_rest.errors import NotFound, SdcppRestError
from sdcpp_rest.routes.dialects import (
    NATIVE,
    OPENAI,
    SDCN,
    SDCN_API,
    SDCN_INTERROGATE,
    Dialect,
    dialect_of,
    render_error,
    speak,
)

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SdcppRestError)]
PATHS = {NATIVE: "/txt2img", OPENAI: "/v1/images/edits", SDCN_API: "/api/sd/txt2img", SDCN_INTERROGATE: "/interrogate"}


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1", OPENAI),
        ("/v1/", OPENAI),
        ("/v1/models", OPENAI),
        ("/v10", NATIVE),
        ("/api/sd/x", SDCN_API),
        ("/api/sdx", NATIVE),
        ("/interrogate", SDCN_INTERROGATE),
        ("/txt2img", NATIVE),
        ("/", NATIVE),
        ("", NATIVE),
    ],
)
def test_a_path_belongs_to_a_dialect(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dialect", [*PATHS, SDCN], ids=lambda dialect: dialect.name)
def test_every_error_has_its_shape_in_every_dialect(dialect: Dialect, kind: type[SdcppRestError]) -> None:
    app = Flask("x")
    with app.test_request_context("/txt2img"):
        speak(dialect)
        status, headers, body = render_error("/txt2img", kind("told so", field="steps", error_id="abcd"))
    dialect.refusal.model_validate(json.loads(body))
    assert b"told so" in body
    assert 400 <= status < 600
    assert (dict(headers).get("Retry-After") == "1") == (kind.status in (429, 503))
    if dialect in PATHS:
        assert (status, headers, body) == render_error(PATHS[dialect], kind("told so", field="steps", error_id="abcd"))


def test_the_view_decides_where_two_share_a_path() -> None:
    app = Flask("x")
    with app.test_request_context("/txt2img"):
        assert "error" in json.loads(render_error("/txt2img", NotFound("no"))[2])
        speak(SDCN)
        assert "msg" in json.loads(render_error("/txt2img", NotFound("no"))[2])


def test_a_picture_that_failed_is_not_to_be_tried_again() -> None:
    for kind in CLASSES:
        headers = dict(render_error("/v1/images/edits", kind("no"))[1])
        assert ("x-should-retry" in headers) == (kind.status not in (429, 503))
