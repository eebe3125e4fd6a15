"""Lists the methods of the Python client with the routes that they ask, for its page and for the test of both."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdcpp_rest.client.calls import _Marked
from sdcpp_rest.client.native_calls import NativeCalls
from sdcpp_rest.client.steps import Request

_STAND_INS: dict[str, Any] = {"file": Path(__file__), "target": Path(__file__), "fields": {}, "job_ids": []}
"""For what a method must be given and that is no text."""


def methods() -> dict[str, _Marked]:
    """Every method that asks a route, by name; `events`, which listens, is none."""
    found = {name: one for kind in NativeCalls.__mro__ for name, one in vars(kind).items()}
    return {name: one for name, one in found.items() if isinstance(one, _Marked) and name != "events"}


def requests_of(method: _Marked) -> Iterator[Request[Any]]:
    """What a method asks for, with stand-ins for what it must be given; `list_outputs` asks one of two routes."""
    given = inspect.signature(method.describe).parameters
    needed = [
        _STAND_INS.get(name, "x")
        for name, one in list(given.items())[1:]
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD
    ]
    yield _first(method.describe(None, *needed))
    if "path" in given and given["path"].default == "":
        yield _first(method.describe(None, "x"))


def methods_table() -> str:
    """Every method with its route and what it does, in the order of the source."""
    lines = ["| method | route | |", "|---|---|---|"]
    for name, method in methods().items():
        *_, request = requests_of(method)
        words = " ".join((method.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
        lines.append(f"| `{name}` | `{request.method} {request.route}` | {words} |")
    return "\n".join(lines)


def _first(steps: Any) -> Request[Any]:
    if isinstance(steps, Request):
        return steps
    step = next(iter(steps))
    request: Request[Any] = step if isinstance(step, Request) else step.request
    return request
