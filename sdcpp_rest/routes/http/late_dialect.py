"""Names a dialect by its paths without importing it: the first request to one of them does that.

Knows no dialect: the table of them is `web.app`'s.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.routes.http.dialect import Dialect


@dataclass(frozen=True)
class LateDialect:
    """A dialect, or a part of one, that is imported when somebody asks for one of its paths.

    Args:
        paths: where it answers, its WebSockets and mounts included: each alone or, where it ends in ``/``, with all
            that is below it (``/`` is the root alone). Several dialects may have a path.
        load: imports it.
        caseless: those paths are meant in whatever case they come, unless another dialect has them as they came.
    """

    paths: tuple[str, ...]
    load: Callable[[], Dialect]
    caseless: bool = False

    def covers(self, path: str) -> bool:
        """Whether it answers at ``path``."""
        return any(_is_at(path, place) for place in self.paths)

    def covers_in_any_case(self, path: str) -> bool:
        """Whether it answers at ``path``, were that spelled as it should be."""
        return self.caseless and any(_is_at(path.casefold(), place.casefold()) for place in self.paths)


def late(place: str, *paths: str, caseless: bool = False) -> LateDialect:
    """The `Dialect` at ``place`` (``module:NAME``), which answers at ``paths``."""
    return LateDialect(paths, lambda: find_object(place), caseless)


def load_dialects(dialects: Iterable[Dialect | LateDialect]) -> tuple[Dialect, ...]:
    """All of ``dialects``, imported."""
    return tuple(one.load() if isinstance(one, LateDialect) else one for one in dialects)


def find_object(place: str) -> Any:
    """What ``module:name`` names, imported."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _is_at(path: str, place: str) -> bool:
    if place == "/":
        return not path.strip("/")
    return path.rstrip("/") == place.rstrip("/") or (place.endswith("/") and path.startswith(place))
