"""Declares what a key must be allowed to call a view, a WebSocket or a mount: marks on them.

Who has no mark answers nobody: an application with such a view is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from sdcpp_rest.config.auth_section import Scope

_SCOPE = "sdcpp_rest_scope"
Marked = TypeVar("Marked", bound=Callable[..., Any])


def needs(scope: Scope) -> Callable[[Marked], Marked]:
    """Mark what only keys with ``scope`` may call: a view (goes below the route decorator), what serves a WebSocket,
    what makes a mount."""

    def mark(called: Marked) -> Marked:
        setattr(called, _SCOPE, scope)
        return called

    return mark


def scope_of(called: Callable[..., Any]) -> Scope:
    """The scope that ``called`` was marked with. Raises LookupError where it was not."""
    scope = getattr(called, _SCOPE, None)
    if scope is None:
        raise LookupError(
            f"{called.__module__}.{getattr(called, '__qualname__', called)} has no scope; mark it with needs()"
        )
    return cast(Scope, scope)


def check_scopes(called: Iterable[Callable[..., Any]]) -> None:
    """Raises LookupError where one of ``called`` has no scope."""
    for one in called:
        scope_of(one)
