"""The table of dialects: which path speaks which one, and so in what shape its errors, sockets and mounts are.

Knows no dialect by name: `web.app` hands them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from flask import g, has_request_context

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.answers import json_text, render_native_error
from sdcpp_rest.routes.http.dialect import NATIVE_ERROR, Dialect, ErrorShape, Headers, MakeApp, SocketHandler
from sdcpp_rest.routes.http.late_dialect import LateDialect, load_dialects

T = TypeVar("T")


class DialectTable:
    """Finds what belongs to a path. Raises ValueError when two dialects claim the same path for the same thing."""

    def __init__(self, dialects: Iterable[Dialect | LateDialect]) -> None:
        self.dialects = load_dialects(dialects)
        self._shapes = _join("errors", [dialect.error_shapes for dialect in self.dialects])
        self._owners = {path: dialect for dialect in self.dialects for path in dialect.error_shapes}
        self.sockets: dict[str, SocketHandler] = _join("sockets", [dialect.sockets for dialect in self.dialects])
        self._spellings = {path.casefold(): path for dialect in self.dialects for path in dialect.caseless}
        self._aliases = _join("aliases", [dialect.aliases for dialect in self.dialects])
        self.mounts: dict[str, MakeApp] = _join("mounts", [dialect.mounts for dialect in self.dialects])

    def dialect_of(self, path: str) -> Dialect | None:
        """The dialect that ``path`` belongs to; ``None`` for the paths that no dialect has for itself."""
        return find_below(self._owners, path)

    def shape_of(self, path: str) -> ErrorShape:
        """The shape of errors at ``path``, as far as the path tells."""
        return find_below(self._shapes, path) or NATIVE_ERROR

    def spell_path(self, path: str) -> str:
        """``path`` as its dialect spells it, where the dialect leaves the case to its clients, or has an alias."""
        for alias, meant in self._aliases.items():
            if path == alias or path.startswith(f"{alias}/"):
                return meant + path.removeprefix(alias)
        return self._spellings.get(path.casefold().removesuffix("/"), path)

    def key_cookie_at(self, path: str) -> str:
        """In which cookie the dialect of ``path`` sends keys; empty for none."""
        dialect = self.dialect_of(path)
        return dialect.key_cookie if dialect is not None else ""

    def socket_at(self, path: str) -> SocketHandler | None:
        """What serves a WebSocket at ``path``."""
        while path:
            if path in self.sockets:
                return self.sockets[path]
            path = path[: path.rstrip("/").rfind("/") + 1]
            if path == "/":
                return None
        return None

    def render_error(self, path: str, error: SdcppRestError) -> tuple[int, Headers, bytes]:
        """Status, headers and body of an error in the shape of the request that is being answered, or of ``path``."""
        spoken: ErrorShape | None = g.get("sdcpp_rest_error_shape") if has_request_context() else None
        shape = spoken or self.shape_of(path)
        status, headers, body = render_native_error(path, error)
        if shape.body is None:
            return status, headers, body
        return shape.status(error), [*headers, *shape.headers(error)], json_text(shape.body(error)).encode()


def find_below(places: Mapping[str, T], path: str) -> T | None:
    """The value of the longest of ``places`` that ``path`` is, or lies below."""
    while path:
        if path in places:
            return places[path]
        path = path.rpartition("/")[0]
    return None


def _join(what: str, parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    joined: dict[str, T] = {}
    for part in parts:
        twice = joined.keys() & part.keys()
        if twice:
            raise ValueError(f"two dialects have {what} at {', '.join(sorted(twice))}")
        joined |= part
    return joined
