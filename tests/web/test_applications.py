from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect, PathIndex
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.web.app import DIALECTS, create_app, dialects_of
from sdcpp_rest.web.applications import Application, Applications
from tests.quick_runtime import routes_registered_once

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
WHOLE = create_app(None)
TABLE: DialectTable = dialects_of(WHOLE)


@pytest.fixture(scope="module")
def applications() -> Iterator[Applications]:
    class NoRuntime:
        """Enough for mounts to be made over."""

        def __getattr__(self, name: str) -> NoRuntime:
            return NoRuntime()

    with routes_registered_once():
        yield Applications(cast(Runtime, NoRuntime()), DIALECTS)


def _paths() -> list[str]:
    """Paths of every route, socket, mount and shape of errors; below them, beside them, and in another case."""
    rules = [re.sub(r"<(\w+):\w+>", r"<\1>", rule.rule) for rule in WHOLE.url_map.iter_rules()]
    real = {re.sub(r"<[^>]+>", filled, rule) for rule in rules for filled in ("1", "loras", "a/b")}
    shapes = {path for dialect in TABLE.dialects for path in dialect.error_shapes}
    real |= shapes | {*TABLE.sockets, *TABLE.mounts, "/nothing", "/", "*", ""}
    beside = {f"{path.rstrip('/')}{end}" for path in real for end in ("/", "/nothing", "x", "/a/b/c")}
    aliased = {path.replace("/v1", "/api/v1", 1) for path in real if path.startswith("/v1")}
    return sorted(real | beside | aliased | {path.swapcase() for path in real})


def test_a_path_is_answered_by_its_own_application_as_by_one_of_all_dialects(applications: Applications) -> None:
    whole = WHOLE.url_map.bind("localhost")
    paths = _paths()
    assert len(paths) > 2000
    for asked, path, application in asyncio.run(_find_all(applications, paths)):
        assert path == TABLE.spell_path(asked)
        own = application.dialects
        assert own.shape_of(path) is TABLE.shape_of(path), path
        assert own.key_cookie_at(path) == TABLE.key_cookie_at(path), path
        assert own.socket_at(path) is TABLE.socket_at(path), path
        hooks = [table.dialect_of(path) for table in (own, TABLE)]
        assert getattr(hooks[0], "after_request", None) is getattr(hooks[1], "after_request", None), path
        for method in METHODS:
            expected = _answer(WHOLE.view_functions, whole, path, method)
            assert _answer(application.views, application.urls, path, method) == expected, (method, path)


async def _find_all(applications: Applications, paths: list[str]) -> list[tuple[str, str, Application]]:
    """Each path as it is asked for, how its dialect spells it, and what answers."""
    found = []
    for asked in paths:
        path = (await applications.at(asked)).dialects.spell_path(asked)
        found.append((asked, path, await applications.at(path)))
    return found


def _answer(views: Mapping[str, Callable[..., Any]], urls: MapAdapter, path: str, method: str) -> object:
    try:
        endpoint, values = urls.match(path, method=method)
    except MethodNotAllowed as refused:
        return sorted(refused.valid_methods or ())
    except HTTPException as refused:
        return refused.code
    # What Flask answers to OPTIONS by itself names all methods of the path.
    allowed = sorted(urls.allowed_methods(path)) if method == "OPTIONS" else []
    return views[endpoint], values, allowed


def test_mounts_are_there_when_their_path_is_asked_for(applications: Applications) -> None:
    asyncio.run(applications.at("/mcp"))
    assert applications.mounts.app_at("/mcp") is applications.mounts.app_at("/mcp/below")
    assert applications.mounts.app_at("/mcp") is not None


def test_a_path_has_one_application_for_all_requests_at_once(applications: Applications) -> None:
    async def ask() -> list[object]:
        return list(await asyncio.gather(*(applications.at(f"/queue/{number}") for number in range(20))))

    assert len({id(one) for one in asyncio.run(ask())}) == 1


def test_a_dialect_that_is_there_from_the_start_is_in_every_application() -> None:
    toy = Dialect("toy")
    with routes_registered_once():
        applications = Applications(cast(Runtime, None), (*DIALECTS, toy))
    for path in ("/toy", "/health"):
        assert toy in asyncio.run(applications.at(path)).dialects.dialects


def test_a_look_at_the_queue_brings_no_more_of_comfyui_than_its_own_view_there(applications: Applications) -> None:
    """That dialect is ten times as large as the native listing, and answers at the same address."""
    names = {one.name for one in asyncio.run(applications.at("/queue")).dialects.dialects}
    assert names == {"native", "comfyui's queue at the root"}


def test_no_path_of_the_table_is_without_a_use() -> None:
    """A path that a dialect no longer has would import it for nothing."""
    paths = _paths()
    for one in DIALECTS:
        assert isinstance(one, LateDialect)
        for place in one.paths:
            alone = LateDialect((place,), one.load)
            assert any(alone.covers(path) for path in paths), place


def test_a_place_is_a_path_alone_or_with_all_below_it() -> None:
    index = PathIndex([(1, ["/"]), (2, ["/a", "/a/b/"]), (3, ["/a/"]), (4, ["/abc/def/ghi/"])])
    for path, found in {
        "": {1}, "/": {1}, "//": {1}, "/a": {2, 3}, "/a/": {2, 3}, "/a//": {2, 3}, "/a/x": {3}, "/a/b": {2, 3},
        "/a/b/c/d": {2, 3}, "/ab": set(), "/abc/def/ghi": {4}, "/abc/def/ghi/j": {4}, "/abc/def": set(),
        "a/b/": set(), "*": set(), "/A": set(), "/a" + "/" * 60_000: {2, 3}, "//a/b/c": set(),
    }.items():  # fmt: skip
        assert index.at(path) == found, path
    assert PathIndex([]).at("/a/b") == set()


@pytest.mark.slow
def test_the_table_imports_no_dialect() -> None:
    code = "import sys, sdcpp_rest.web.app as app\nprint(*(name for name in sys.modules if '.routes.' in name))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[2] for name in shown} <= {"http", "dialects", "native"}
    assert [name for name in shown if name.startswith("sdcpp_rest.routes.native.")] == [
        "sdcpp_rest.routes.native.dialect"
    ]
