"""Notes what a call changes, so that whoever keeps the record can tell it: a name, and what was before and after.

Who changes something says so here, and knows nothing of the call; outside of one nobody listens. Secrets are taken out
at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

MOST_CHANGES = 100
"""Of one call."""

_MOST_CHARACTERS = 2000
SECRET_NAMES = re.compile(r"key$|key_|token|secret|password|authorization|cookie|credential|signature", re.IGNORECASE)
"""How secrets are called."""
_HIDDEN = "***"


class Change(NamedTuple):
    """``name``: ``settings.output``, ``models.file``. ``before``, ``after``: JSON values, ``None`` for nothing."""

    name: str
    before: Any
    after: Any


_noted: ContextVar[list[Change] | None] = ContextVar("noted", default=None)


def begin_noting() -> list[Change]:
    """Note from now on, in this context, what is changed; the list fills."""
    noted: list[Change] = []
    _noted.set(noted)
    return noted


def end_noting() -> None:
    """Note no more in this context."""
    _noted.set(None)


def note_change(name: str, before: Any, after: Any) -> None:
    """Something has become something else. Nothing where nobody listens, or both are the same."""
    noted = _noted.get()
    if noted is not None and before != after and len(noted) < MOST_CHANGES:
        noted.append(Change(name, _shorten(hide_secrets(before)), _shorten(hide_secrets(after))))


def is_noting() -> bool:
    """Whether somebody listens: what was before need not be looked up otherwise."""
    return _noted.get() is not None


def hide_secrets(value: Any) -> Any:
    """``value`` with stars in place of what is named like a secret, and is there."""
    if isinstance(value, Mapping):
        return {
            name: _HIDDEN
            if inner and isinstance(inner, str) and SECRET_NAMES.search(str(name))
            else hide_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [hide_secrets(inner) for inner in value]
    return value


def _shorten(value: Any) -> Any:
    """``value``, or the beginning of its text where that is long."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
