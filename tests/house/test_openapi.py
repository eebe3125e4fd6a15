"""The OpenAPI document and the routes say the same: nothing undocumented, nothing documented that is not there.

Answers are held against the document by the client of every route test (see tests/routes/documented_answers.py).
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

import pytest
from flask import Flask, Response

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.routes.http.answers import answer
from sdcpp_rest.routes.http.openapi import Answer, document, operations, url_of
from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.routes.http.wire_models import AtMost, Wire
from sdcpp_rest.web.app import create_app, route_table
from tests.cases import for_each_case
from tests.routes.conftest import CheckedClient

APP = create_app(None)
DOCUMENT = document(APP, "0", LimitsConfig())
OPERATIONS = {
    f"{method.upper()} {path}": shown
    for path, methods in DOCUMENT["paths"].items()
    for method, shown in methods.items()
}


def test_every_route_is_documented_and_every_documented_route_is_there() -> None:
    routes = {f"{method} {url_of(rule)}" for rule, method, _, _ in operations(APP)}
    assert len(routes) >= 24
    assert routes == OPERATIONS.keys()
    assert len(route_table(APP)) == len(routes)


def test_views_that_wait_answer_with_json_alone() -> None:
    """Their answers may begin before they are known (`server.blocking_keep_alive_seconds`)."""
    waiting = [(rule.rule, operation) for rule, _, view, operation in operations(APP) if pool_of(view) == "blocking"]
    assert len(waiting) >= 30
    for path, operation in waiting:
        assert [one for contents in operation.answers.values() for one in contents if isinstance(one, str)] == [], path


@for_each_case("name", OPERATIONS)
def test_an_operation_says_in_words_what_it_does(name: str) -> None:
    shown = OPERATIONS[name]
    assert 5 <= len(shown["summary"]) <= 100
    assert shown["summary"][0].isupper()
    assert not shown["summary"].endswith(".")
    assert shown["tags"]


@for_each_case("name", OPERATIONS)
def test_an_operation_names_its_parameters_and_answers(name: str) -> None:
    shown, path = OPERATIONS[name], name.partition(" ")[2]
    in_path = {parameter["name"] for parameter in shown.get("parameters", ()) if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path))
    for parameter in shown.get("parameters", ()):
        assert parameter["description"], parameter["name"]
    statuses = [int(status) for status in shown["responses"]]
    # What is not possible here says so, and nothing else.
    assert any(200 <= status < 300 for status in statuses) or 501 in statuses
    assert {401, 403, 500} <= set(statuses)
    assert all(HTTPStatus(status) for status in statuses)


def test_operations_have_names_of_their_own() -> None:
    names = [shown["operationId"] for shown in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def wire_models(base: type[Any]) -> list[type[Any]]:
    return [
        model
        for found in base.__subclasses__()
        for model in [found, *wire_models(found)]
        if model.__module__.startswith("sdcpp_rest.routes.")
    ]


def test_every_field_that_clients_send_is_explained() -> None:
    silent = []
    count = 0
    for model in wire_models(Wire):
        for name, field in model.model_fields.items():
            count += 1
            is_object = isinstance(field.annotation, type) and issubclass(field.annotation, Wire)
            if not field.description and not is_object:
                silent.append(f"{model.__name__}.{name}")
    assert count >= 110
    assert silent == []


def test_every_wire_model_is_in_the_document() -> None:
    models = {model.__name__ for model in wire_models(Answer)}
    assert len(models) >= 24
    assert models <= DOCUMENT["components"]["schemas"].keys()


def test_every_reference_leads_somewhere() -> None:
    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))
    assert len(references) >= 100
    for reference in set(references):
        found: Any = DOCUMENT
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_every_limit_that_a_field_names_is_a_setting() -> None:
    marks = [
        mark.limit
        for model in wire_models(Wire)
        for field in model.model_fields.values()
        for mark in field.metadata
        if isinstance(mark, AtMost)
    ]
    assert len(marks) >= 6
    assert set(marks) <= LimitsConfig.model_fields.keys()


# --- the client of the route tests really looks ---------------------------------------------------------------------


def lying(status: int, body: dict[str, Any], mimetype: str = "application/json") -> CheckedClient:
    """A client of an application whose /preview/settings answers so."""
    app: Flask = create_app(None)
    app.test_client_class = CheckedClient

    def view() -> Response:
        response = answer(body, status)
        response.mimetype = mimetype
        return response

    app.view_functions["previews.show_preview_settings"] = view
    client = app.test_client()
    assert isinstance(client, CheckedClient)
    return client


SETTINGS = {"enabled": True, "mode": "proj", "interval": 1, "max_size": 256, "quality": 75}


def test_an_answer_that_is_as_documented_passes() -> None:
    assert lying(200, SETTINGS).get("/preview/settings").status_code == 200


@pytest.mark.slow
@for_each_case(
    ("status", "body", "mimetype"),
    [
        (201, SETTINGS, "application/json"),
        (404, {"error": "x", "code": "y"}, "application/json"),
        (200, SETTINGS, "text/html"),
        (200, {**SETTINGS, "more": 1}, "application/json"),
        (200, {**SETTINGS, "mode": "hologram"}, "application/json"),
        (200, {**SETTINGS, "interval": "1"}, "application/json"),
        (200, {"enabled": True}, "application/json"),
        (500, {"message": "x"}, "application/json"),
    ],
)
def test_an_answer_that_is_not_as_documented_fails(status: int, body: dict[str, Any], mimetype: str) -> None:
    with pytest.raises(AssertionError):
        lying(status, body, mimetype).get("/preview/settings")
