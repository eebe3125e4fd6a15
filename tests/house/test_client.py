"""The client has every route of the native API, in the words of its wire models, and needs nothing of the server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call, _Marked
from sdcpp_rest.client.steps import Request
from sdcpp_rest.client.wire.jobs import QueueQuery, QueueShown
from sdcpp_rest.routes.http.openapi import Operation
from tools.client_methods import methods, requests_of
from tools.client_wire import module_names, module_text, native_operations

FOR_BROWSERS = {
    ("GET", "/docs"),
    ("GET", "/docs/assets/{name}"),
    ("GET", "/favicon.ico"),
    ("GET", "/login"),
    ("GET", "/ui"),
    ("GET", "/ui/{path}"),
}
WORDS = Path(__file__).parents[2] / "sdcpp_rest" / "client" / "wire"


def test_every_route_has_a_method_and_every_method_a_route() -> None:
    routes = operations().keys()
    asked = {(request.method, request.route): name for name, one in methods().items() for request in requests_of(one)}
    assert len(routes) >= 90
    assert routes - asked.keys() == FOR_BROWSERS
    assert asked.keys() - routes == set()


@cache
def operations() -> dict[tuple[str, str], Operation]:
    return {(method, url): operation for method, url, operation in native_operations()}


def complaints(name: str, method: _Marked) -> Iterator[str]:
    """Fields and answers that are typed by another route's models: promises that are not kept."""
    for request in requests_of(method):
        operation = operations()[request.method, request.route]
        answers = {_name(content) for contents in operation.answers.values() for content in contents}
        if request.answer not in (bytes, str, dict[str, Any]) and _name(request.answer) not in answers:
            yield f"{name} promises {_name(request.answer)}, the route {', '.join(answers)}"
        unpacked = re.search(r"Unpack\[(\w+)\]", str(method.describe.__annotations__))
        if unpacked and unpacked[1] not in (_name(operation.body), _name(operation.query)):
            yield f"{name} takes {unpacked[1]}"


def test_methods_speak_the_words_of_their_routes() -> None:
    assert len(methods()) >= 90
    assert [complaint for name, one in methods().items() for complaint in complaints(name, one)] == []


def test_words_of_another_route_are_noticed() -> None:
    @Call
    def health(self: object, **query: Unpack[QueueQuery]) -> Request[QueueShown]:
        return Request(QueueShown, "GET", "/health", query=query)

    assert [text.partition(",")[0] for text in complaints("health", health)] == [
        "health promises QueueShown",
        "health takes QueueQuery",
    ]


def _name(model: Any) -> str:
    # What may hold anything is a plain dictionary for the client.
    is_open = getattr(model, "model_config", {}).get("extra") == "allow" or model == dict[str, Any]
    return "anything" if is_open else getattr(model, "__name__", str(model))


def test_every_method_is_documented() -> None:
    assert [name for name, one in methods().items() if not one.__doc__] == []


def test_words_of_the_wire_are_those_modules() -> None:
    assert {path.stem for path in WORDS.glob("*.py")} == {*module_names(), "__init__"}
    # The texts are compared with the files by the test of all pages that are made.
    assert "class Txt2ImgBody(SamplingBody, total=False):" in module_text("pictures")


@pytest.mark.slow
def test_client_needs_nothing_of_the_server() -> None:
    """In an interpreter of its own: here everything is imported already."""
    code = """
import sys, time
started = time.process_time()
import sdcpp_rest.client
seconds = time.process_time() - started
import sdcpp_rest.client.following
rooms = ("routes", "services", "engine", "native", "store", "web", "runtime", "cli")
others = ("flask", "werkzeug", "starlette", "sqlalchemy", "stable_diffusion_cpp", "numpy", "PIL", "requests")
print([name for name in (*others, *(f"sdcpp_rest.{room}" for room in rooms)) if name in sys.modules], seconds)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, _, seconds = ran.stdout.strip().rpartition(" ")
    assert imported == "[]"
    # A quarter of a second where nobody else computes; most of it is httpx's.
    assert float(seconds) < 1
