"""Makes the Flask applications of one server: that of a path has the dialects that answer there, and is made when the
path is first asked for.

A server starts with none of the dialects imported: most speak one or two of them in their life, and each costs memory
and time. Knows no dialect by name.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.answers import InternalError, internal_error
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect, PathIndex
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.web.app import create_app, dialects_of
from sdcpp_rest.web.mounts import Mounts


@dataclass(frozen=True)
class Application:
    """One application: how it is called, and what is asked of it before a request reaches it."""

    call: Callable[..., Iterable[bytes]]
    dialects: DialectTable
    urls: MapAdapter
    views: Mapping[str, Callable[..., Any]]

    def view_at(self, path: str, method: str) -> Callable[..., Any] | None:
        """The view that answers there; ``None`` where there is none."""
        try:
            endpoint, _ = self.urls.match(path, method=method)
        except HTTPException:
            return None
        return self.views.get(endpoint)


class Applications:
    """Finds the application of a path.

    ``mounts``: the ASGI applications of the dialects that are imported.
    """

    def __init__(self, runtime: Runtime, dialects: Sequence[Dialect | LateDialect]) -> None:
        self._runtime = runtime
        self._dialects = tuple(dialects)
        late = [(number, one) for number, one in enumerate(self._dialects) if isinstance(one, LateDialect)]
        self._always = {number for number, one in enumerate(self._dialects) if isinstance(one, Dialect)}
        self._late = PathIndex((number, one.paths) for number, one in late)
        self._late_in_any_case = PathIndex(
            (number, [path.casefold() for path in one.paths]) for number, one in late if one.caseless
        )
        self._made: dict[tuple[int, ...], Application] = {}
        self._lock = threading.Lock()
        self.mounts = Mounts(runtime)
        self.mounts.add(one for one in self._dialects if isinstance(one, Dialect))

    async def at(self, path: str) -> Application:
        """The application that answers at ``path``, and says in its words that there is nothing; its first request
        waits until it is there. Raises InternalError when it cannot be imported."""
        chosen = self._choose(path)
        made = self._made.get(chosen)
        try:
            return made if made is not None else await asyncio.to_thread(self._make, chosen)
        except Exception as error:  # half an installation, say: what else there is goes on
            raise internal_error(error, f"the import of what answers at {path!r}") from None

    async def dialects_at(self, path: str) -> DialectTable:
        """The table that words errors at ``path``; an empty one, whose errors are native, where `at` fails."""
        try:
            return (await self.at(path)).dialects
        except InternalError:
            return DialectTable(())

    def _choose(self, path: str) -> tuple[int, ...]:
        chosen = self._late.at(path) or self._late_in_any_case.at(path.casefold())
        return tuple(sorted(chosen | self._always))

    def _make(self, chosen: tuple[int, ...]) -> Application:
        with self._lock:
            if chosen not in self._made:
                parts = [self._dialects[number] for number in chosen]
                app = create_app(self._runtime, parts, lambda: create_app(None, self._dialects))
                table = dialects_of(app)
                self.mounts.add(table.dialects)
                self._made[chosen] = Application(app.wsgi_app, table, app.url_map.bind("localhost"), app.view_functions)
            return self._made[chosen]
