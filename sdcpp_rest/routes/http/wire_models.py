"""Checks bodies and queries against wire models, and words what is wrong with them.

The manners of every dialect's bodies: ``null`` means "not given", numbers and switches may come as text, unknown fields
are told, a refusal names the field, its value and what is allowed. Knows no single route.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

import annotated_types
from flask import request
from pydantic import (
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    Strict,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sdcpp_rest.core.changes import SECRET_NAMES
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import SHOWN_CHARACTERS, runtime, shorten, show_value
from sdcpp_rest.routes.http.number_texts import read_decimal, read_whole

if TYPE_CHECKING:
    pass

_SHOWN_WARNINGS = 20
Model = TypeVar("Model", bound="Wire")


def read_query(model: type[Model]) -> Model:
    """The current request's query string as an instance of ``model``.

    A list is separated by commas. A parameter that is empty counts as not given, and one that ``model`` does not know
    is nobody's business (caches and browsers add their own). Raises InvalidRequest naming the parameter and what is
    allowed.
    """
    given = {}
    for name, field in model.model_fields.items():
        text = ",".join(request.args.getlist(name)) if _is_list(field) else request.args.get(name, "")
        if text:
            given[name] = _from_text(text, field)
    return examine(model, given, limits=runtime().config.limits)[0]


LIMIT_KEYWORD = "x-limit"
"""In a wire model's JSON schema: the name of the configured limit that bounds the field."""


@dataclass(frozen=True)
class AtMost:
    """Marks a wire field whose upper bound is the configuration's ``limits.<name>`` (for strings: its length)."""

    limit: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, build: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**build(schema), LIMIT_KEYWORD: self.limit}


def optional(description: str, **more: Any) -> Any:
    """A field that may be absent. With a default, its schema would say that it is there and ``null``."""
    return Field(default_factory=lambda: None, description=description, **more)


_SWITCHES = {"true": True, "false": False}


def _read_integer(value: Any) -> Any:
    """JSON has one kind of number: 20.0 is the integer 20, and so are the texts "20" and "20.0", which forms and
    loosely typed languages send. Anything else is left for the strict check to refuse."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    read = read_whole(value) if isinstance(value, str) else None
    return value if read is None else read


def _read_number(value: Any) -> Any:
    """The text "7.5" is the number 7.5. Anything else, "inf" too, is left for the strict check to refuse."""
    read = read_decimal(value) if isinstance(value, str) else None
    return value if read is None else read


def _read_flag(value: Any) -> Any:
    """The texts "true" and "false", in any case. Anything else is left for the strict check to refuse."""
    return _SWITCHES.get(value.strip().lower(), value) if isinstance(value, str) else value


def _read_flag_or_auto(value: Any) -> Any:
    """As `_read_flag`, or "auto" in any case. Raises ValueError."""
    read = _read_flag(value)
    if isinstance(read, str) and read.strip().lower() == "auto":
        return "auto"
    if not isinstance(read, bool):
        raise ValueError("neither a switch nor auto")
    return read


Integer = Annotated[int, Strict(), BeforeValidator(_read_integer)]
Number = Annotated[float, Strict(), AllowInfNan(False), BeforeValidator(_read_number)]
Flag = Annotated[bool, Strict(), BeforeValidator(_read_flag)]
FlagOrAuto = Annotated[
    bool | Literal["auto"],
    PlainValidator(_read_flag_or_auto),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["auto"]}]}),
]
"""A switch that may be left to the server."""
Text = Annotated[str, Strict()]
PictureText = Annotated[
    str,
    Strict(),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "description": "base64, or a data URL."},
                {
                    "type": "object",
                    "description": "A picture that is on the server: a finished one (a path below `/output/`), or one "
                    "that a job was given (`<job_id>/<role>`).",
                    "properties": {"output": {"type": "string"}, "input": {"type": "string"}},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }
    ),
]
"""A picture of a native body: what it names is replaced by base64 before the body is checked."""


class Wire(BaseModel):
    """Base of the models that describe bodies. A field's default is documentation; what counts is what was sent."""

    # Built by the first body that is read with it, not at the start (pydantic lets one thread at a time do that).
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), defer_build=True)

    carried: ClassVar[frozenset[str]] = frozenset()
    """Names that are no fields and that nobody is warned of: what answers tell beside the fields."""

    def sent_fields(self) -> dict[str, Any]:
        """Only the fields that the client really sent."""
        return self.model_dump(exclude_unset=True)


def validate(model: type[Model], body: Mapping[str, Any]) -> tuple[Model, list[str]]:
    """`examine` with the running server's limits and strictness."""
    config = runtime().config
    return examine(model, body, limits=config.limits, strict=config.api.strict)


def examine(
    model: type[Model], body: Mapping[str, Any], *, limits: object = None, strict: bool = False
) -> tuple[Model, list[str]]:
    """``body`` as an instance of ``model``, and warnings about fields that the model does not know.

    ``null`` means "not given". Raises InvalidRequest naming the field, its value and what is allowed; with ``strict``
    for unknown fields too.
    """
    given = _without_nulls(body)
    unknown = list(_unknown_fields(model, given))
    if unknown and strict:
        raise InvalidRequest("; ".join(unknown[:_SHOWN_WARNINGS]))
    try:
        instance = model.model_validate(given)
    except ValidationError as error:
        complaints = [
            _complaint(model, dict(one), limits) for one in error.errors(include_url=False, include_context=False)
        ]
        fields = [field for field, _ in complaints]
        raise InvalidRequest("; ".join(text for _, text in complaints[:5]), field=fields[0]) from None
    _check_limits(instance, limits)
    warnings = [re.sub("^(unknown field '[^']*')", r"\1 ignored", text) for text in unknown[:_SHOWN_WARNINGS]]
    if len(unknown) > _SHOWN_WARNINGS:
        warnings.append(f"{len(unknown) - _SHOWN_WARNINGS} more unknown fields ignored")
    return instance, warnings


def describe_allowed(field: FieldInfo, limits: object = None) -> str:
    """What a field accepts, in words: ``an integer between 1 and 10000``."""
    low, high, short, long = _bounds(field, limits)
    words = _noun(field.annotation)
    if field.annotation is str:
        if long is not None:
            words += f" of at most {long} characters"
        return f"{words} that is not empty" if short else words
    if get_origin(field.annotation) is list:
        return f"{words} with at most {long} items" if long is not None else words
    if low is not None and high is not None:
        return f"{words} between {low} and {high}"
    if low is not None:
        return f"{words} of at least {low}"
    return f"{words} of at most {high}" if high is not None else words


def nearest(name: str, known: list[str]) -> str | None:
    found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return found[0] if found else None


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is list


def _from_text(text: str, field: FieldInfo) -> Any:
    """What a query parameter says where its spelling is a query's own; all else is text, as in bodies."""
    if _is_list(field):
        return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if field.annotation is bool:
        return {"1": True, "0": False}.get(text, text)
    return text


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(inner) if isinstance(inner, dict) else inner
        for name, inner in value.items()
        if inner is not None
    }


def _unknown_fields(model: type[Wire], given: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """``unknown field 'step'; did you mean 'steps'?`` for each field that ``model`` does not have, nested ones too."""
    known = list(model.model_fields)
    for name, value in given.items():
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        if name in model.carried:
            continue
        if name not in model.model_fields:
            # A name is shown whole or cut, and never with a quote that would blur where it ends.
            text = f"unknown field '{prefix}{shorten(name).replace(chr(39), '?')}'"
            like = nearest(name[:SHOWN_CHARACTERS], known)
            yield f"{text}; did you mean '{prefix}{like}'?" if like else text
        elif isinstance(inner, type) and issubclass(inner, Wire) and isinstance(value, dict):
            yield from _unknown_fields(inner, value, f"{prefix}{name}.")


def _complaint(model: type[Wire], error: Mapping[str, Any], limits: object) -> tuple[str, str]:
    """Path of the field and our sentence for one of pydantic's errors."""
    path, fields, field = "", model.model_fields, FieldInfo()
    element = False
    for place in error["loc"]:
        if isinstance(place, int):
            path, element = f"{path}[{place}]", True
            continue
        path, element = f"{path}.{place}" if path else str(place), False
        field = fields[str(place)]
        if isinstance(field.annotation, type) and issubclass(field.annotation, Wire):
            fields = field.annotation.model_fields
    if error["type"] == "missing":
        return path, f"{path} is required"
    if element:
        allowed = _noun(get_args(field.annotation)[0])
    else:
        allowed = describe_allowed(field, limits)
    # What is meant to be a secret is one in the wrong place, too: an error may be printed, or kept.
    got = "another value" if SECRET_NAMES.search(path) else show_value(error["input"])
    return path, f"{path} must be {allowed}, got {got}"


def _check_limits(instance: Wire, limits: object) -> None:
    for name in instance.model_fields_set:
        field = type(instance).model_fields[name]
        value = getattr(instance, name)
        if isinstance(value, Wire):
            _check_limits(value, limits)
            continue
        for mark in field.metadata:
            bound = getattr(limits, mark.limit, None) if isinstance(mark, AtMost) else None
            if bound is not None and (len(value) if isinstance(value, str) else value) > bound:
                got = f"{len(value)} characters" if isinstance(value, str) else show_value(value)
                raise InvalidRequest(f"{name} must be {describe_allowed(field, limits)}, got {got}", field=name)


def _bounds(field: FieldInfo, limits: object) -> tuple[Any, Any, int | None, int | None]:
    """Lowest, highest, shortest, longest; ``None`` where there is no bound."""
    low = high = short = long = None
    for mark in field.metadata:
        if isinstance(mark, annotated_types.Ge):
            low = mark.ge
        elif isinstance(mark, annotated_types.Le):
            high = mark.le
        elif isinstance(mark, annotated_types.MinLen):
            short = mark.min_length
        elif isinstance(mark, annotated_types.MaxLen):
            long = mark.max_length
        elif isinstance(mark, AtMost) and (bound := getattr(limits, mark.limit, None)) is not None:
            if field.annotation is str:
                long = bound
            else:
                high = bound
    return low, high, short, long


def _noun(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is list:
        return "an array of " + _noun(get_args(annotation)[0]).partition(" ")[2] + "s"
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(annotation))
    if annotation == bool | Literal["auto"]:
        return "true, false or 'auto'"
    nouns = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
    return nouns.get(annotation, "an object")
