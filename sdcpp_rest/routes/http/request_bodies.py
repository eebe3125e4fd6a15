"""Reads request bodies: JSON objects, whatever the Content-Type said.

Refuses what could only hurt further down. Knows no wire model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from flask import request

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import shorten, show_value

if TYPE_CHECKING:
    pass

MAX_DEPTH = 64
"""Of nested arrays and objects in a body. Nothing legitimate comes near it."""
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATES = re.compile("[\ud800-\udfff]")


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
        # Not the text: somebody may have sent a key alone.
        got = "a text" if isinstance(body, str) else show_value(body)
        raise InvalidRequest(f"request body must be a JSON object, got {got}")
    for path, value in _leaves(body):
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest(f"{path} must be a finite number, got {value}", field=path)
        if isinstance(value, str) and "\0" in value:
            raise InvalidRequest(f"{path} must not contain NUL characters", field=path)
    if _SURROGATE_ESCAPE.search(raw):
        body = _without_surrogates(body)
    return cast(dict[str, Any], body)


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
