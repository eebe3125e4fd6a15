from __future__ import annotations

import inspect
import json

import pytest
from flask import Flask

from sdcpp_rest import errors
from sdcpp_rest.errors import NotFound, SdcppRestError
from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.dialect import NATIVE_ERROR, Dialect, ErrorShape, speak
from sdcpp_rest.routes.openai.errors import OPENAI_ERROR
from sdcpp_rest.routes.sdcn.errors import SDCN_API_ERROR, SDCN_ERROR, SDCN_INTERROGATE_ERROR
from sdcpp_rest.web.app import DIALECTS

TABLE = DialectTable(DIALECTS)
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SdcppRestError)]
PATHS = {
    NATIVE_ERROR: "/txt2img",
    OPENAI_ERROR: "/v1/images/edits",
    SDCN_API_ERROR: "/api/sd/txt2img",
    SDCN_INTERROGATE_ERROR: "/interrogate",
}


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1", OPENAI_ERROR),
        ("/v1/", OPENAI_ERROR),
        ("/v1/models", OPENAI_ERROR),
        ("/v10", NATIVE_ERROR),
        ("/api/sd/x", SDCN_API_ERROR),
        ("/api/sdx", NATIVE_ERROR),
        ("/interrogate", SDCN_INTERROGATE_ERROR),
        ("/txt2img", NATIVE_ERROR),
        ("/", NATIVE_ERROR),
        ("", NATIVE_ERROR),
    ],
)
def test_a_path_tells_the_shape_of_its_errors(path: str, shape: ErrorShape) -> None:
    assert TABLE.shape_of(path) is shape


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("shape", [*PATHS, SDCN_ERROR], ids=lambda shape: shape.name)
def test_every_error_has_its_shape_in_every_dialect(shape: ErrorShape, kind: type[SdcppRestError]) -> None:
    app = Flask("x")
    with app.test_request_context("/txt2img"):
        speak(shape)
        status, headers, body = TABLE.render_error("/txt2img", kind("told so", field="steps", error_id="abcd"))
    shape.refusal.model_validate(json.loads(body))
    assert b"told so" in body
    assert 400 <= status < 600
    assert (dict(headers).get("Retry-After") == "1") == (kind.status in (429, 503))
    if shape in PATHS:
        assert (status, headers, body) == TABLE.render_error(
            PATHS[shape], kind("told so", field="steps", error_id="abcd")
        )


def test_the_view_decides_where_two_share_a_path() -> None:
    app = Flask("x")
    with app.test_request_context("/txt2img"):
        assert "error" in json.loads(TABLE.render_error("/txt2img", NotFound("no"))[2])
        speak(SDCN_ERROR)
        assert "msg" in json.loads(TABLE.render_error("/txt2img", NotFound("no"))[2])


def test_a_picture_that_failed_is_not_to_be_tried_again() -> None:
    for kind in CLASSES:
        headers = dict(TABLE.render_error("/v1/images/edits", kind("no"))[1])
        assert ("x-should-retry" in headers) == (kind.status not in (429, 503))


def test_two_dialects_cannot_have_the_same_place() -> None:
    first = Dialect("first", error_shapes={"/x": OPENAI_ERROR})
    with pytest.raises(ValueError, match="two dialects have errors at /x"):
        DialectTable([first, Dialect("second", error_shapes={"/x": SDCN_ERROR})])


def test_the_longest_path_decides() -> None:
    above, below = Dialect("a", error_shapes={"/x": OPENAI_ERROR}), Dialect("b", error_shapes={"/x/y": SDCN_ERROR})
    table = DialectTable([above, below])
    assert table.shape_of("/x/y/z") is SDCN_ERROR
    assert table.shape_of("/x/z") is OPENAI_ERROR
    assert table.dialect_of("/x/y") is below
