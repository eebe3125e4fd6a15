"""Finds the ASGI applications that dialects mount, by path, and stops them with the server.

Knows no dialect; who is let in, and how large a body may be, is settled before.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp

from sdcpp_rest.routes.dialects import find_below
from sdcpp_rest.routes.http.dialect import MakeApp, StoppableApp
from sdcpp_rest.runtime import Runtime


class Mounts:
    """Holds the applications of one server."""

    def __init__(self, runtime: Runtime, makers: Mapping[str, MakeApp]) -> None:
        self._apps = {path: make(runtime) for path, make in makers.items()}

    def app_at(self, path: str) -> ASGIApp | None:
        """What answers at ``path``, where that is a dialect's application."""
        return find_below(self._apps, path)

    async def stop(self) -> None:
        """End what they keep running, on the loop of their requests. Idempotent."""
        for app in self._apps.values():
            if isinstance(app, StoppableApp):
                await app.stop()
