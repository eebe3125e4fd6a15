"""Holds answers against the OpenAPI document: the status must be there, the content type too, and the body must fit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from sdcpp_rest.routes.http.openapi import document, url_of
from sdcpp_rest.web.app import create_app, dialects_of


def check_answer(app: Flask, answer: TestResponse) -> None:
    """Fail when a documented operation answers with what its document does not say, or an error has another shape."""
    method = "GET" if answer.request.method == "HEAD" else answer.request.method
    has_body = answer.request.method != "HEAD" and answer.status_code not in (204, 304)
    operation = _operation(app, answer.request.environ, method)
    if operation is None:
        # An unknown URL or a wrong method: no operation, but an error like any other.
        if method != "OPTIONS" and answer.is_json and answer.status_code >= 400:
            refusal = dialects_of(app).shape_of(answer.request.path).refusal.__name__
            validate(f"#/components/schemas/{refusal}", answer.get_json())
        return
    where = f"{method} {answer.request.path[:100]}"
    responses = operation["responses"]
    assert str(answer.status_code) in responses, f"{where} answered {answer.status_code}, which is not documented"
    response = _resolved(responses[str(answer.status_code)])
    if not has_body:
        return
    content = response.get("content", {})
    media = content.get(answer.mimetype) or content.get("*/*")
    assert media is not None, f"{where} answered {answer.mimetype}; documented: {', '.join(content)}"
    if media["schema"]:
        validate(media["schema"], answer.get_json())


def validate(schema: dict[str, Any] | str, body: Any) -> None:
    """Fail unless ``body`` fits a schema of the document (or the one a reference names)."""
    if isinstance(schema, str):
        schema = {"$ref": schema}
    for error in _validator(str(sorted(schema.items())), schema).iter_errors(body):
        raise AssertionError(f"{'.'.join(map(str, error.instance_path))}: {error.message}")


@lru_cache(maxsize=1)
def whole() -> dict[str, Any]:
    return document(create_app(None), "0")


_validators: dict[str, Any] = {}


def _validator(key: str, schema: dict[str, Any]) -> Any:
    if key not in _validators:
        _validators[key] = jsonschema_rs.Draft202012Validator({**schema, "components": whole()["components"]})
    return _validators[key]


def _operation(app: Flask, environ: dict[str, Any], method: str) -> dict[str, Any] | None:
    try:
        rule, _ = app.url_map.bind_to_environ(environ).match(method=method, return_rule=True)
    except HTTPException:
        return None
    found: dict[str, Any] | None = whole()["paths"][url_of(rule)].get(method.lower())
    return found


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in response:
        name = response["$ref"].rpartition("/")[2]
        response = whole()["components"]["responses"][name]
    return response
