"""The API's own description: what each view declares about itself, and the OpenAPI 3.1 document made of it.

A view says with `documents` which models it reads and answers with; everything else (paths, methods, words) is read
off the route table and the docstrings. Knows nothing of any single route, and needs no running server.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from sdcpp_rest.routes.http.pools import View, pool_of
from sdcpp_rest.routes.http.safe_retries import PARAMETER as KEY_PARAMETER
from sdcpp_rest.routes.http.safe_retries import takes_key
from sdcpp_rest.routes.http.wire_models import LIMIT_KEYWORD, optional

HTML = "text/html"
MARKDOWN = "text/markdown"
ANY_FILE = "*/*"
EVENT_STREAM = "text/event-stream"

Content: TypeAlias = type[BaseModel] | str
"""A body: a model (JSON), or a media type."""

WholeApp: TypeAlias = Callable[[], Flask]
"""Makes the application with every dialect of the server."""

WHOLE_KEY = "sdcpp_rest_whole"
"""Key of an application's `WholeApp`: what answers a request may speak some dialects only."""

_PACKAGE = Path(__file__).resolve().parents[2]
_PAGE_FOLDERS = (_PACKAGE / "docs", _PACKAGE.parent / "docs")
"""Where the project's pages are in an installed copy, and in a checkout."""

_ATTRIBUTE = "sdcpp_rest_operation"
_SCHEMAS = "#/components/schemas/"
_PLACE = re.compile(r"<(?:\w+:)?(\w+)>")
_DESCRIPTION = """\
A picture service on one machine: jobs go into a queue, one engine computes them in turn, pictures appear below
`/output`.

* Load a model with `POST /models/load` (the bundled one is loaded already), submit a job with `POST /txt2img`, and
  look at it with `GET /queue/{job_id}` until its `status` is `completed`; its `outputs` are paths below `/output/`.
* The same news, with previews, come over a WebSocket at `/ws`.
* A body is read as JSON whatever its Content-Type says. `null` means "not given"; unknown fields are ignored, and named
  in the answer's `warnings`.
* Every error of the native API has the shape of `Error`; other dialects have their own.
"""


class Answer(BaseModel):
    """Base of the models that describe answers. Whether views keep to them is checked by the tests, not at run time."""

    # Nothing is built before somebody asks for the document.
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), defer_build=True)


class Error(Answer):
    """What is wrong, in one sentence, and facts about it for programs. Other facts may be there."""

    model_config = ConfigDict(extra="allow")

    error: str = Field(description="One sentence for the person who sent the request.")
    code: str = Field(description="A word for programs.", examples=["invalid_request", "job_not_found"])
    field: str = optional("The field or parameter at fault.")
    value: Any = optional("Its value.")
    allowed: str | list[str] = optional("What it may be.")
    nearest: list[str] = optional("Names that exist and look like the one that was given.")
    error_id: str = optional("Of a fault of the server's own: finds the traceback in its log.")


@dataclass(frozen=True)
class Operation:
    """What a view says about itself; see `documents`."""

    answers: Mapping[int, tuple[Content, ...]]
    errors: tuple[int, ...]
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    path: type[BaseModel] | None
    form: type[BaseModel] | None = None
    refusals: tuple[type[BaseModel], ...] = (Error,)
    tag: str = ""


def documents(
    answers: Mapping[int, Content | tuple[Content, ...]],
    errors: Iterable[int] = (),
    *,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    path: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    refusals: tuple[type[BaseModel], ...] = (Error,),
    tag: str = "",
) -> Callable[[View], View]:
    """Declare what a view reads and answers with; goes below the route decorator.

    Args:
        answers: status -> body, or several where the request decides; an empty tuple for none.
        errors: statuses answered with an `Error`. Not named: 401, 403 and 429 (every route), 400, 413 and 415 (bodies),
            400 (queries), 503 (views marked `blocking`), 500.
        body, query, path: the models of the request's three parts.
        form: the model of a form with a file, which may also come bare, as application/octet-stream; with a ``body``,
            as that instead.
        refusals: the shapes of its errors, in a dialect that has others.
        tag: the blueprint among whose views it is listed, where that is not its own.
    """
    operation = Operation(
        {status: found if isinstance(found, tuple) else (found,) for status, found in answers.items()},
        tuple(errors),
        body,
        query,
        path,
        form,
        refusals,
        tag,
    )

    def mark(view: View) -> View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return mark


def document(app: Flask, version: str, limits: object = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``app``.

    Args:
        limits: the configuration's limits, which bound some fields; without them those bounds are not told.
    """
    found = list(operations(app))
    models: dict[tuple[type[BaseModel], Literal["validation", "serialization"]], None] = {
        (Error, "serialization"): None
    }
    for _, _, _, operation in found:
        if operation.body is not None:
            models[operation.body, "validation"] = None
        if operation.form is not None:
            models[operation.form, "validation"] = None
        models.update({(refusal, "serialization"): None for refusal in operation.refusals})
        for contents in operation.answers.values():
            models.update({(content, "serialization"): None for content in contents if not isinstance(content, str)})
    refs, definitions = models_json_schema(list(models), ref_template=_SCHEMAS + "{model}")
    schemas = {name: _plain(schema, limits) for name, schema in sorted(definitions["$defs"].items())}
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for rule, method, view, operation in sorted(found, key=lambda one: (one[0].rule, one[1])):
        tag = operation.tag or rule.endpoint.rpartition(".")[0]
        tags.setdefault(tag, _summary(sys.modules[view.__module__])[0])
        shown = _operation(view, operation, refs)
        paths.setdefault(url_of(rule), {})[method.lower()] = {"tags": [tag], "operationId": view.__name__, **shown}
    return {
        "openapi": "3.1.0",
        "info": {"title": "sdcpp-rest", "version": version, "description": _DESCRIPTION, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        # In the order in which the application lists them: the native API first, other dialects after it.
        "tags": [{"name": name, "description": tags[name]} for name in app.blueprints if name in tags],
        # The empty one first: keys are asked for only where the configuration has some.
        "security": [{}, {"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {_response_name(status): _refusal(status) for status in _statuses(found)},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of auth.api_keys or auth.keys, or a token of `POST /auth/login`.",
                },
                "basic": {"type": "http", "scheme": "basic", "description": "Any user, or the key's own, and the key."},
            },
        },
    }


def operations(app: Flask) -> Iterator[tuple[Rule, str, Callable[..., Any], Operation]]:
    """Every rule and method, its view and what that says about itself. Raises LookupError where it says nothing."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        operation = getattr(view, _ATTRIBUTE, None)
        if not isinstance(operation, Operation):
            raise LookupError(f"the view of {rule.rule} is not documented")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, view, operation


def page_files() -> dict[str, Path]:
    """The project's pages by name."""
    folder = next((folder for folder in _PAGE_FOLDERS if folder.is_dir()), None)
    return {file.stem: file for file in sorted(folder.glob("*.md"))} if folder is not None else {}


def url_of(rule: Rule) -> str:
    """A route's URL in OpenAPI's spelling."""
    return _PLACE.sub(r"{\1}", rule.rule)


def errors_of(view: Callable[..., Any], operation: Operation) -> tuple[int, ...]:
    """All statuses of a view's errors, with those that need not be declared."""
    statuses = {401, 403, 429, 500, *operation.errors}
    if operation.query is not None or operation.body is not None:
        statuses.add(400)
    if operation.body is not None:
        statuses |= {413, 415}
    if pool_of(view) in ("blocking", "stream"):
        statuses.add(503)
    if takes_key(view):
        statuses.add(422)
    return tuple(sorted(statuses))


def _operation(
    view: Callable[..., Any], operation: Operation, references: Mapping[tuple[Any, Any], Any]
) -> dict[str, Any]:
    summary, description = _summary(view)
    parameters = [*_parameters(operation.path, "path"), *_parameters(operation.query, "query")]
    parameters += [KEY_PARAMETER] if takes_key(view) else []
    shown: dict[str, Any] = {"summary": summary}
    if description:
        shown["description"] = description
    if parameters:
        shown["parameters"] = parameters
    if operation.body is not None:
        schema = references[operation.body, "validation"]
        # A model whose fields are all optional may be left out altogether.
        required = any(field.is_required() for field in operation.body.model_fields.values())
        media = {"schema": schema, **_example(operation.body)}
        shown["requestBody"] = {"required": required, "content": {"application/json": media}}
    if operation.form is not None:
        forms = {
            "multipart/form-data": {"schema": references[operation.form, "validation"]},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        }
        if operation.body is not None:
            forms = {**shown["requestBody"]["content"], "multipart/form-data": forms["multipart/form-data"]}
        shown["requestBody"] = {"required": True, "content": forms}
    responses: dict[str, Any] = {}
    for status, contents in operation.answers.items():
        by_type: dict[str, list[Any]] = {}
        for content in contents:
            if isinstance(content, str):
                by_type.setdefault(content, []).append({})
            else:
                by_type.setdefault("application/json", []).append(references[content, "serialization"])
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if by_type:
            response["content"] = {name: {"schema": _either(schemas)} for name, schemas in by_type.items()}
        responses[str(status)] = response
    for status in errors_of(view, operation):
        responses[str(status)] = _refusal_of(operation, status, references)
    shown["responses"] = dict(sorted(responses.items()))
    return shown


def _example(body: type[BaseModel]) -> dict[str, Any]:
    """A body that works as it stands: what /docs offers to send. Without one it would offer every field there is."""
    extra = cast(dict[str, Any], body.model_config.get("json_schema_extra") or {})
    return {"example": extra["examples"][0]} if "examples" in extra else {}


def _either(schemas: list[Any]) -> Any:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _parameters(model: type[BaseModel] | None, place: Literal["path", "query"]) -> Iterator[dict[str, Any]]:
    if model is None:
        return
    whole = _plain(model.model_json_schema(), None)
    for name, schema in whole["properties"].items():
        shown: dict[str, Any] = {"name": name, "in": place, "required": name in whole.get("required", ())}
        if "description" in schema:
            shown["description"] = schema.pop("description")
        if schema.get("type") == "array":
            shown |= {"style": "form", "explode": False}
        yield {**shown, "schema": schema}


def _statuses(found: Iterable[tuple[Rule, str, Callable[..., Any], Operation]]) -> list[int]:
    return sorted({status for _, _, view, operation in found for status in errors_of(view, operation)})


def _response_name(status: int) -> str:
    return "".join(character for character in HTTPStatus(status).phrase if character.isalpha())


def _refusal_of(operation: Operation, status: int, references: Mapping[tuple[Any, Any], Any]) -> dict[str, Any]:
    """The native shape is told once for all; those of other dialects where they are used."""
    if operation.refusals == (Error,):
        return {"$ref": f"#/components/responses/{_response_name(status)}"}
    schema = _either([references[refusal, "serialization"] for refusal in operation.refusals])
    described = _MEANINGS.get(status, HTTPStatus(status).phrase)
    return {"description": described, "content": {"application/json": {"schema": schema}}}


def _refusal(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _SCHEMAS + Error.__name__}}}
    return {"description": _MEANINGS.get(status, HTTPStatus(status).phrase), "content": content}


_MEANINGS = {
    400: "The request cannot be understood or asks for something that is not allowed; `error` names field and value.",
    401: "Keys are configured (auth.api_keys, auth.keys), and none of them was shown.",
    403: "The Host or Origin header names a place that the configuration does not know, or the key lacks the scope "
    "that this needs (auth.keys).",
    404: "There is no such thing.",
    409: "Not now: the state of things forbids it.",
    413: "The body is larger than limits.body_bytes; a model file: than limits.upload_bytes.",
    415: "The body is compressed in a way, or in a charset, that is not read here; `allowed` names those that are.",
    416: "The file has no such part.",
    422: "The Idempotency-Key came with another request before, or a value is not one of those that are allowed.",
    429: "As many jobs are waiting as limits.pending_jobs allows, the key was used more often than it may be, or too "
    "many logins failed or keys were wrong.",
    500: "It failed, or the server has a fault (then there is an `error_id`).",
    501: "Not available in this version.",
    502: "Another server that this one calls failed, or said what cannot be understood.",
    503: "The engine cannot be had, the server stops, or too many calls are waiting.",
    504: "It took longer than it may.",
    507: "There is no room left on the disk.",
}


def _summary(documented_thing: object) -> tuple[str, str]:
    """A docstring's first sentence, without its full stop, and the rest; backquotes as Markdown has them."""
    text = " ".join((documented_thing.__doc__ or "").split()).replace("``", "`")
    first, _, rest = text.partition(". ")
    return first.removesuffix("."), rest


def _plain(schema: Any, limits: object) -> Any:
    """Without the titles that only repeat the names, with the configured limits as bounds."""
    if isinstance(schema, list):
        return [_plain(inner, limits) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    shown = {
        name: {key: _plain(inner, limits) for key, inner in value.items()}
        if name in ("properties", "$defs")
        else _plain(value, limits)
        for name, value in schema.items()
        if name not in ("title", LIMIT_KEYWORD)
    }
    limit = schema.get(LIMIT_KEYWORD)
    bound = getattr(limits, str(limit), None)
    if bound is not None:
        shown["maxLength" if shown.get("type") == "string" else "maximum"] = bound
    if limit is not None:
        shown["description"] = f"{shown.get('description', '')} The configuration's limits.{limit} bounds it.".strip()
    description = shown.get("description")
    if isinstance(description, str):
        shown["description"] = " ".join(description.split()).replace("``", "`")
    return shown
