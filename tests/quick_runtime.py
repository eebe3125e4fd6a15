"""A runtime whose costly, always equal parts are made once per test process: its tables and the builders of its URLs.

Every house of the tests is opened here. What is spared is tested where it belongs: migrations and durability in
`tests/store`, the start in an empty folder by every test that starts a server process.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule

from sdcpp_rest.config import Config
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.store.database import Database


def quick_runtime(config: Config, **more: Any) -> Runtime:
    """A `Runtime` on a database that is already migrated (unless the folder has one) and never waits for the disk."""
    path = config.paths.data_dir / "sdcpp_rest.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_migrated_database())
    with _unsynced():
        return Runtime(config, **more)


@cache
def _migrated_database() -> bytes:
    """An empty database, made by the real migrations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rest.db"
        Database(path).close()
        return path.read_bytes()


@contextlib.contextmanager
def _unsynced() -> Iterator[None]:
    """Databases that are opened inside write with ``synchronous=OFF``: they survive a crash of the process, not of the
    machine."""
    open_engine = Database._engine

    def open_unsynced(self: Database, begin: str, synchronous: str, **pool: int) -> Any:
        return open_engine(self, begin, "OFF", **pool)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_engine", open_unsynced)
        yield


@contextlib.contextmanager
def url_builders_compiled_once() -> Iterator[None]:
    """Werkzeug compiles two functions for every URL of every application, which is most of what `create_app` costs.
    They depend on nothing but the rule, and all applications have the same rules."""
    compile_builder: Callable[[Rule, bool], Any] = Rule._compile_builder
    compiled: dict[object, Any] = {}

    def compile_once(self: Rule, append_unknown: bool = True) -> Any:
        key = (tuple(self._trace), repr(self.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(self, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        yield
