"""Writes the words of the wire down as typed dictionaries, for the Python client: `sdcpp_rest/client/wire/`.

The wire models themselves need Flask, and a client that needs no server shall not. What is a body of a request has
fields that may be left out; what an answer always has is there for the type checker.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sdcpp_rest.routes.http.openapi import Answer, Operation, operations, url_of
from sdcpp_rest.routes.http.wire_models import Wire
from sdcpp_rest.web.app import create_app

_WIDTH = 120
_NATIVE = ("sdcpp_rest.routes.native.", "sdcpp_rest.routes.root_pictures")
_MODULES = {
    "pictures": "pictures and videos that are asked for",
    "gallery": "finished pictures",
    "jobs": "jobs, and the lists they stand in",
    "estimates": "what jobs would take",
    "models": "models and their components, and what is loaded of them",
    "model_files": "model files: what is in them, uploads and downloads",
    "model_cards": "what model files are, for people",
    "language": "language models: prompt enhancement and the assistant",
    "upkeep": "what sets the server right",
    "engines": "the engines, one by one",
    "server": "the server, its options and its output folder",
    "settings": "what users choose while the server runs",
    "words": "prompts: styles, presets, wildcards, and what becomes of a prompt",
}
_PLACES = (
    ("routes.native.wire.generation_bodies", "pictures"),
    ("routes.native.wire.video_bodies", "pictures"),
    ("routes.native.files.metadata_routes", "pictures"),
    ("routes.native.wire.generation_defaults", "settings"),
    ("routes.native.wire.upscaling_bodies", "jobs"),
    ("routes.native.wire.conversion_bodies", "jobs"),
    ("routes.native.wire.assistant_wire", "language"),
    ("routes.native.wire.llm_wire", "language"),
    ("routes.native.wire.download_bodies", "model_files"),
    ("routes.native.wire", "models"),
    ("routes.native.files.gallery", "gallery"),
    ("routes.native.jobs.previews", "settings"),
    ("routes.native.jobs.estimate_routes", "estimates"),
    ("routes.native.server.upkeep_routes", "upkeep"),
    ("routes.native.server.audit_routes", "upkeep"),
    ("routes.native.server.engine_routes", "engines"),
    ("routes.native.jobs", "jobs"),
    ("routes.native.models.model_files_routes", "model_files"),
    ("routes.native.models.downloads_routes", "model_files"),
    ("routes.native.models.model_changes_routes", "model_files"),
    ("routes.native.models.card_routes", "model_cards"),
    ("routes.native.models", "models"),
    ("routes.native.language", "language"),
    ("routes.native.server.settings_routes", "settings"),
    ("routes.native.words", "words"),
    ("core.job", "jobs"),
)
_NO_FIELDS = (BaseModel, Wire, Answer)
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

Model = type[BaseModel]


def module_names() -> tuple[str, ...]:
    """The modules below ``sdcpp_rest/client/wire``."""
    return tuple(_MODULES)


def module_text(name: str) -> str:
    """One module of typed dictionaries, as ruff would format it."""
    typed = {model.__name__: _TypedModel(model) for model in _models() if _module_of(model) == name}
    body: list[str] = []
    for one in sorted(typed.values(), key=lambda one: (one.is_class, one.depth)):
        body += ["", "", *one.lines()] if one.is_class else ["", *one.lines()]
    said = "\n".join(body)
    lines = [
        f'"""Types the words of the wire about {_MODULES[name]}.',
        "",
        "Made by `make docs`; edits are overwritten.",
        '"""',
    ]
    lines += ["", "from __future__ import annotations", ""]
    for module, words in (
        ("typing", ("Any", "Literal", "TypeAlias")),
        ("typing_extensions", ("NotRequired", "Required", "TypedDict")),
    ):
        used = [word for word in words if re.search(rf"\b{word}\b", said)]
        lines += [f"from {module} import {', '.join(used)}", ""] if used else []
    others = sorted({(_module_of(model), model.__name__) for one in typed.values() for model in one.refers_to()})
    for module in sorted({module for module, _ in others} - {name}):
        lines += _import_lines(module, [word for place, word in others if place == module])
    return "\n".join([*lines, *(body[1:] if lines[-1] == "" else body), ""])


def native_operations() -> Iterator[tuple[str, str, Operation]]:
    """Method, URL and what the view says about itself, of every route of the native API."""
    for rule, method, view, operation in operations(create_app(None)):
        if view.__module__.startswith(_NATIVE):
            yield method, url_of(rule), operation


class _TypedModel:
    """A wire model as a typed dictionary."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._schema = _schemas()[model.__name__]
        self.is_class = self._schema.get("additionalProperties") is not True
        self._base = _base_of(model)
        self.depth = _depth(model)
        self._is_body = issubclass(model, Wire)

    def refers_to(self) -> Iterator[Model]:
        """Models that its lines name."""
        by_name = {model.__name__: model for model in _models()}
        if self._base is not None:
            yield self._base
        yield from (by_name[name] for name in _references(dict(self._own_fields())))

    def lines(self) -> list[str]:
        name = self._model.__name__
        if not self.is_class:
            return [f"{name}: TypeAlias = dict[str, Any]"]
        base = self._base.__name__ if self._base is not None else "TypedDict"
        total = ", total=False" if self._is_body else ""
        head = [f"class {name}({base}{total}):"]
        fields = [line for field, schema in self._own_fields() for line in self._field_lines(field, schema)]
        return [*head, *_docstring(self._words()), *([""] if fields else []), *fields]

    def _own_fields(self) -> Iterator[tuple[str, Any]]:
        of_base = _schemas()[self._base.__name__]["properties"] if self._base is not None else {}
        for name, schema in self._schema.get("properties", {}).items():
            if name not in of_base:
                yield name, schema

    def _field_lines(self, name: str, schema: Any) -> list[str]:
        said, is_required = _type_text(schema), name in self._schema.get("required", ())
        if is_required == self._is_body:
            mark = "Required" if self._is_body else "NotRequired"
            said = f"{mark}[{said}]"
        line = f"    {name}: {said}"
        if len(line) <= _WIDTH:
            return [line]
        before, literal, rest = line.partition("Literal[")
        words, bracket, after = rest.partition("]")
        inner = "        " + words
        if len(inner) <= _WIDTH:
            return [before + literal, inner, "    " + bracket + after]
        return [before + literal, *(f"        {word}," for word in words.split(", ")), "    " + bracket + after]

    def _words(self) -> str:
        own = self._model.__dict__.get("__doc__")
        if own:
            return " ".join(own.split()).replace("``", "`")
        return _uses_of()[self._model.__name__]


@functools.cache
def _models() -> tuple[Model, ...]:
    """Every model that a native route reads or answers with, those within it, and those it is made of."""
    found: dict[Model, None] = {}
    waiting: list[Any] = []
    for _, _, operation in native_operations():
        waiting += [operation.body, operation.query]
        waiting += [content for contents in operation.answers.values() for content in contents]
    while waiting:
        one = waiting.pop(0)
        waiting += get_args(one)
        if not (isinstance(one, type) and issubclass(one, BaseModel)) or one in found:
            continue
        if one.__module__.startswith("sdcpp_rest.routes.sdcn"):
            continue
        if one.model_fields or one.model_config.get("extra") == "allow":
            found[one] = None
        base = _base_of(one)
        waiting += [base] if base is not None else []
        waiting += [field.annotation for field in one.model_fields.values()]
    return tuple(sorted(found, key=lambda model: model.__name__))


@functools.cache
def _schemas() -> dict[str, Any]:
    """The schema of every model by its name: bodies as they are read, answers as they are written."""
    asked: list[Any] = [(model, "validation" if issubclass(model, Wire) else "serialization") for model in _models()]
    found: dict[str, Any] = models_json_schema(asked)[1]["$defs"]
    assert {model.__name__ for model in _models()} <= found.keys(), "two models have one name"
    return found


@functools.cache
def _uses_of() -> dict[str, str]:
    """What the models without words of their own are for, by name."""
    found: dict[str, str] = {}
    for model in _models():
        for name in _references(_schemas()[model.__name__].get("properties", {})):
            found[name] = f"A part of `{model.__name__}`."
    for method, url, operation in native_operations():
        for one, words in ((operation.body, "The body of"), (operation.query, "The query of")):
            if one is not None:
                found[one.__name__] = f"{words} `{method} {url}`."
        for contents in operation.answers.values():
            for content in contents:
                if isinstance(content, type):
                    found[content.__name__] = f"The answer of `{method} {url}`."
    return found


@functools.cache
def _base_of(model: Model) -> Model | None:
    """The model it extends, where it repeats none of its fields with another type."""
    for base in model.__mro__[1:]:
        if not issubclass(base, BaseModel) or base in _NO_FIELDS or not base.model_fields:
            continue
        own, inherited = _shape(model), _shape(base)
        return base if all(own.get(name) == shape for name, shape in inherited.items()) else None
    return None


def _shape(model: Model) -> dict[str, tuple[str, bool]]:
    schema = model.model_json_schema(mode="validation" if issubclass(model, Wire) else "serialization")
    required = schema.get("required", ())
    return {name: (_type_text(one), name in required) for name, one in schema.get("properties", {}).items()}


def _depth(model: Model) -> tuple[int, str]:
    base = _base_of(model)
    return (0 if base is None else _depth(base)[0] + 1, model.__name__)


def _module_of(model: Model) -> str:
    place = model.__module__.removeprefix("sdcpp_rest.")
    return next((module for prefix, module in _PLACES if place.startswith(prefix)), "server")


def _type_text(schema: Any) -> str:
    """A JSON schema as a Python type. Limits are the server's business."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type_text(one) for one in schema["anyOf"]))
    if "const" in schema:
        return f"Literal[{_literal(schema['const'])}]"
    if "enum" in schema:
        return f"Literal[{', '.join(_literal(one) for one in schema['enum'])}]"
    kind = schema.get("type")
    if kind == "array":
        return f"list[{_type_text(schema.get('items', {}))}]"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {_type_text(inner) if isinstance(inner, dict) else 'Any'}]"
    return _PLAIN.get(kind, "Any")


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _references(schema: Any) -> Iterator[str]:
    """Names of the models that a schema names."""
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key == "$ref":
                yield inner.rpartition("/")[2]
            else:
                yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _docstring(words: str) -> list[str]:
    line = f'    """{words}"""'
    if len(line) <= _WIDTH:
        return [line]
    return textwrap.wrap(line, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)


def _import_lines(module: str, names: list[str]) -> list[str]:
    line = f"from sdcpp_rest.client.wire.{module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return [line]
    return [f"from sdcpp_rest.client.wire.{module} import (", *(f"    {name}," for name in names), ")"]
