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
        return bool(PathIndex([(0, self.paths)]).at(path))


class PathIndex:
    """Finds who answers at a path, of those who have places as `LateDialect` has them. Every request asks twice, so it
    looks up what the path begins with, however many places there are.

    Args:
        placed: each one's number, and its places.
    """

    def __init__(self, placed: Iterable[tuple[int, Iterable[str]]]) -> None:
        self._alone: dict[str, set[int]] = {}
        self._below: dict[str, set[int]] = {}
        for number, places in placed:
            for place in places:
                self._alone.setdefault(place.rstrip("/"), set()).add(number)
                if place.endswith("/") and place != "/":
                    self._below.setdefault(place, set()).add(number)
        self._longest = max(map(len, self._below), default=0)

    def at(self, path: str) -> set[int]:
        """The numbers of those who answer at ``path``."""
        found = set(self._alone.get(path.rstrip("/"), ()))
        slash = path.find("/", 1)
        # A client's path may be as long as a head can be.
        while 0 < slash < self._longest:
            found |= self._below.get(path[: slash + 1], set())
            slash = path.find("/", slash + 1)
        return found


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
