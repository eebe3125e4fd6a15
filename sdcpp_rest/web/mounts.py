"""Finds the ASGI applications that dialects mount, by path, and stops them with the server.

Knows no dialect; who is let in, and how large a body may be, is settled before.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp

from sdcpp_rest.config.auth_section import Scope
from sdcpp_rest.routes.dialects import find_below
from sdcpp_rest.routes.http.dialect import Dialect, StoppableApp
from sdcpp_rest.routes.http.scopes import scope_of
from sdcpp_rest.runtime import Runtime


class Mounts:
    """Holds the applications of one server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._apps: dict[str, ASGIApp] = {}
        self._scopes: dict[str, Scope] = {}

    def add(self, dialects: Iterable[Dialect]) -> None:
        """Make what ``dialects`` mount, unless it is there."""
        for dialect in dialects:
            for path, make in dialect.mounts.items():
                if path not in self._apps:
                    self._apps[path] = make(self._runtime)
                    self._scopes[path] = scope_of(make)

    def app_at(self, path: str) -> ASGIApp | None:
        """What answers at ``path``, where that is a dialect's application."""
        return find_below(self._apps, path)

    def scope_at(self, path: str) -> Scope | None:
        """What a key must be allowed to call that."""
        return find_below(self._scopes, path)

    async def stop(self) -> None:
        """End what they keep running, on the loop of their requests. Idempotent."""
        for app in tuple(self._apps.values()):
            if isinstance(app, StoppableApp):
                await app.stop()
