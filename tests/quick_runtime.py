"""A runtime and an application whose costly, always equal parts are made once per test process: tables, statements and
routes. And a server before them that ends as soon as it is told to.

Every house of the tests is opened here. What is spared is tested where it belongs: migrations and durability in
`tests/store`, the start in an empty folder by every test that starts a server process.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import tempfile
from asyncio import sleep
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy
import uvicorn.server
from flask import Flask
from sqlalchemy import Dialect, Engine
from werkzeug.routing import Rule

from sdcpp_rest import durable_files
from sdcpp_rest.config import Config
from sdcpp_rest.routes.http import dialect, openapi
from sdcpp_rest.routes.http.answers import RUNTIME_KEY
from sdcpp_rest.routes.http.late_dialect import LateDialect
from sdcpp_rest.routes.http.openapi import WHOLE_KEY, WholeApp
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.store.database import Database
from sdcpp_rest.web import applications
from sdcpp_rest.web.app import DIALECTS, CompactJson, create_app


def quick_runtime(config: Config, **more: Any) -> Runtime:
    """A `Runtime` on a database that is already migrated (unless the folder has one) and never waits for the disk."""
    path = config.paths.data_dir / "sdcpp_rest.db"
    if not path.exists():
        lay_migrated_database(path)
    with _quick_databases():
        return Runtime(config, **more)


def lay_migrated_database(path: Path) -> None:
    """Put an empty database with all tables at ``path``: making them takes longer than most tests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated_database())


@cache
def _migrated_database() -> bytes:
    """An empty database, made by the real migrations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rest.db"
        Database(path).close()
        return path.read_bytes()


@contextlib.contextmanager
def _quick_databases() -> Iterator[None]:
    """Databases that are opened inside never wait for the disk (``synchronous=OFF``: they survive a crash of the
    process, not of the machine), and have their statements compiled once per test process."""
    open_engine = Database._engine

    def open_quick(self: Database, begin: str, synchronous: str, **pool: int) -> Engine:
        engine = open_engine(self, begin, "OFF", **pool)  # type: ignore[arg-type]
        # SQLAlchemy keeps what it compiles per dialect object.
        engine.dialect = _dialect()
        engine.update_execution_options(compiled_cache=_COMPILED)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_engine", open_quick)
        patch.setattr(durable_files, "_sync", lambda path, flags: None)
        yield


_COMPILED: dict[Any, Any] = {}


@cache
def _dialect() -> Dialect:
    """SQLite's dialect, as it is after a first connection."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect():
        pass
    engine.dispose()
    return engine.dialect


def quick_app(
    runtime: Runtime | None,
    dialects: Sequence[dialect.Dialect | LateDialect] = DIALECTS,
    whole: WholeApp | None = None,
) -> Flask:
    """An application like `create_app`'s. Nothing in one but its runtime depends on the runtime, and registering all
    routes is most of what it costs: those of the server are copies of one."""
    if not all(isinstance(one, LateDialect) for one in dialects):
        return create_app(runtime, dialects, whole)
    original = _registered_app(cast("tuple[LateDialect, ...]", tuple(dialects)))
    app = copy.copy(original)
    app.view_functions = dict(original.view_functions)
    app.extensions = {**original.extensions, RUNTIME_KEY: runtime, WHOLE_KEY: whole or (lambda: app)}
    app.json = CompactJson(app)
    return app


@cache
def _registered_app(dialects: tuple[LateDialect, ...]) -> Flask:
    return create_app(cast(Runtime, "any"), dialects)


@contextlib.contextmanager
def routes_registered_once() -> Iterator[None]:
    """Shells that are made inside have a `quick_app`; whatever application is made, werkzeug compiles what builds the
    addresses of a path once, and pydantic makes one schema of the same models."""
    compile_builder, make_schemas = Rule._compile_builder, openapi.models_json_schema
    builders: dict[object, Any] = {}
    schemas: dict[object, Any] = {}

    def compile_once(self: Rule, append_unknown: bool = True) -> Any:
        if self.defaults:
            return compile_builder(self, append_unknown)
        key = (append_unknown, self.rule, tuple(self._trace))
        if key not in builders:
            builders[key] = compile_builder(self, append_unknown)
        return builders[key]

    def make_once(models: Sequence[Any], *, ref_template: str) -> Any:
        key = (tuple(models), ref_template)
        if key not in schemas:
            schemas[key] = make_schemas(models, ref_template=ref_template)
        return copy.deepcopy(schemas[key][0]), copy.deepcopy(schemas[key][1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applications, "create_app", quick_app)
        patch.setattr(Rule, "_compile_builder", compile_once)
        patch.setattr(openapi, "models_json_schema", make_once)
        yield


@contextlib.contextmanager
def servers_that_stop_at_once() -> Iterator[None]:
    """Uvicorn sleeps a tenth of a second at a time, twice on its way out. Inside, it looks more often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _ShortSleeps())
        yield


class _ShortSleeps:
    """Asyncio, with a sleep that is short."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        # Uvicorn's own polling, not a test that waits for time.
        await sleep(min(seconds, 0.005))
