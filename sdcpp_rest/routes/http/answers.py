"""What every view shares: reading bodies and queries, checking them against wire models, rendering answers and errors.

The native dialect's manners live here (tolerant of any Content-Type, strict about types, helpful in its refusals).
Knows nothing of any single route.
"""

from __future__ import annotations

import difflib
import json
import logging
import math
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

import annotated_types
from flask import Response, current_app, request
from pydantic import (
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    Strict,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sdcpp_rest.errors import InvalidRequest, NotAuthenticated, SdcppRestError
from sdcpp_rest.routes.http.pools import DEPARTURE as DEPARTURE
from sdcpp_rest.routes.http.pools import Departure as Departure
from sdcpp_rest.routes.http.pools import View as View
from sdcpp_rest.routes.http.pools import blocking as blocking
from sdcpp_rest.routes.http.pools import departure as departure
from sdcpp_rest.routes.http.pools import drawing as drawing
from sdcpp_rest.routes.http.pools import pool_of as pool_of
from sdcpp_rest.routes.http.pools import streaming as streaming
from sdcpp_rest.routes.http.pools import transfer as transfer
from sdcpp_rest.routes.http.pools import uploading as uploading

if TYPE_CHECKING:
    from sdcpp_rest.runtime import Runtime

log = logging.getLogger(__name__)

RUNTIME_KEY = "sdcpp_rest"
MAX_DEPTH = 64
"""Of nested arrays and objects in a body. Nothing legitimate comes near it."""

_SHOWN_CHARACTERS = 80
_SHOWN_WARNINGS = 20
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATES = re.compile("[\ud800-\udfff]")

Model = TypeVar("Model", bound="Wire")


def runtime() -> Runtime:
    """The running server, from within a request."""
    return cast("Runtime", current_app.extensions[RUNTIME_KEY])


# --- answers --------------------------------------------------------------------------------------------------------


def json_text(value: Any) -> str:
    """Compact JSON, keys in the order given. NaN and infinity, which JSON does not have, become ``null``."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


def answer(value: Any, status: int = 200) -> Response:
    return Response(json_text(value), status=status, mimetype="application/json")


def render_native_error(path: str, error: SdcppRestError) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an error, in the dialect that ``path`` belongs to (so far there is one)."""
    said = {"error": error.message, "code": error.code}
    body = {**said, **error.detail, **said}
    headers = [("Content-Type", "application/json")]
    if isinstance(error, NotAuthenticated):
        headers.append(("WWW-Authenticate", 'Bearer realm="sdcpp-rest"'))
    if error.status in (429, 503):
        headers.append(("Retry-After", "1"))
    return error.status, headers, json_text(body).encode()


def shorten(text: str) -> str:
    """A client's own words, cut to a length that may stand in a message."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


class InternalError(SdcppRestError):
    """A fault of ours: the caller gets an id, the log has the traceback under the same id."""


def internal_error(error: BaseException, where: str) -> InternalError:
    error_id = uuid.uuid4().hex[:8]
    log.error("internal error %s in %s", error_id, where, exc_info=error)
    return InternalError("Internal error", error_id=error_id)


# --- bodies and queries ---------------------------------------------------------------------------------------------


def read_body() -> dict[str, Any]:
    """The current request's body; see `parse_body`."""
    return parse_body(request.get_data(cache=False))


def parse_body(raw: bytes) -> dict[str, Any]:
    """A JSON object, whatever the Content-Type said; an empty body is an empty object.

    Half of an emoji (a lone surrogate, left by clients that cut strings) becomes U+FFFD. Raises InvalidRequest for
    anything that is not a JSON object, and for what could only hurt further down: duplicated keys, NaN and infinity,
    NUL characters, nesting deeper than `MAX_DEPTH`.
    """
    try:
        text = raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"request body is not valid {error.encoding.upper()} (byte {error.start})") from None
    if not text.strip():
        return {}
    try:
        body = json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"request body is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}",
            line=error.lineno,
            column=error.colno,
        ) from None
    except RecursionError:
        raise InvalidRequest(f"request body is nested too deeply (more than {MAX_DEPTH} levels)") from None
    except ValueError:
        # The interpreter refuses to convert integers of thousands of digits.
        raise InvalidRequest("request body contains a number with too many digits") from None
    if not isinstance(body, dict):
        raise InvalidRequest(f"request body must be a JSON object, got {show_value(body)}")
    for path, value in _leaves(body):
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest(f"{path} must be a finite number, got {value}", field=path)
        if isinstance(value, str) and "\0" in value:
            raise InvalidRequest(f"{path} must not contain NUL characters", field=path)
    if _SURROGATE_ESCAPE.search(raw):
        body = _without_surrogates(body)
    return cast(dict[str, Any], body)


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


# --- wire models ----------------------------------------------------------------------------------------------------


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


def _integral(value: Any) -> Any:
    """JSON has one kind of number: 20.0 is the integer 20. Anything else is left for the strict check to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, Strict(), BeforeValidator(_integral)]
Number = Annotated[float, Strict(), AllowInfNan(False)]
Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]


class Wire(BaseModel):
    """Base of the models that describe bodies. A field's default is documentation; what counts is what was sent."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

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


# --- below: how the above is done -----------------------------------------------------------------------------------


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is list


def _from_text(text: str, field: FieldInfo) -> Any:
    """What a query parameter says, in the type of ``field``; left as text, for the check to refuse, where it cannot."""
    if _is_list(field):
        return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if field.annotation is int and len(text) <= 20:
        try:
            return int(text)
        except ValueError:
            return text
    if field.annotation is float and len(text) <= 40:
        try:
            return float(text)
        except ValueError:
            return text
    if field.annotation is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    return text


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        # A silent choice between two values would be right half of the time.
        raise InvalidRequest(f"field {show_value(twice)} is given more than once", field=shorten(twice))
    return made


def _leaves(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value that is no container, with its path (``options.flow_shift``, ``skip_layers[2]``)."""
    waiting: list[tuple[str, Any, int]] = [("", body, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"request body is nested too deeply (more than {MAX_DEPTH} levels)")
        if isinstance(value, dict):
            for name, inner in value.items():
                if "\0" in name:
                    raise InvalidRequest("field names must not contain NUL characters")
                shown = shorten(name)
                waiting.append((f"{path}.{shown}" if path else shown, inner, depth + 1))
        elif isinstance(value, list):
            waiting.extend((f"{path}[{index}]", inner, depth + 1) for index, inner in enumerate(value))
        else:
            yield path, value


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(inner) for name, inner in value.items()}
    return [_without_surrogates(inner) for inner in value] if isinstance(value, list) else value


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(inner) if isinstance(inner, dict) else inner
        for name, inner in value.items()
        if inner is not None
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _unknown_fields(model: type[Wire], given: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """``unknown field 'step'; did you mean 'steps'?`` for each field that ``model`` does not have, nested ones too."""
    known = list(model.model_fields)
    for name, value in given.items():
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        if name not in model.model_fields:
            # A name is shown whole or cut, and never with a quote that would blur where it ends.
            text = f"unknown field '{prefix}{shorten(name).replace(chr(39), '?')}'"
            like = nearest(name[:_SHOWN_CHARACTERS], known)
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
    return path, f"{path} must be {allowed}, got {show_value(error['input'])}"


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
    nouns = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
    return nouns.get(annotation, "an object")


def show_value(value: Any) -> str:
    """A value of a request as it may stand in a message: JSON, cut to a length that a person reads."""
    if isinstance(value, str):
        value = shorten(value)
    elif isinstance(value, dict):
        return "an object"
    elif isinstance(value, list):
        return f"an array of {len(value)} items"
    try:
        return shorten(json.dumps(value))
    except ValueError:
        return "a number with too many digits"
