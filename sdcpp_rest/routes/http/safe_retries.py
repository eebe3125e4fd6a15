"""Marks views whose requests may name themselves, so that they can be sent again without being done twice.

What is done with the name is the shell's business; here is which views take it, and how it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.pools import View

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MOST_CHARACTERS = 200

_ATTRIBUTE = "sdcpp_rest_submits"

PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A name for this request, new for each. Sent again with it within 24 hours, the request is not done "
    f"again: it gets the same answer, with `{REPLAYED}: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS, "pattern": "^[!-~]+$"},
}


def submitting(view: View) -> View:
    """Mark a view that makes jobs: its requests may have an ``Idempotency-Key``. Goes below the route decorator."""
    setattr(view, _ATTRIBUTE, True)
    return view


def takes_key(view: Callable[..., Any] | None) -> bool:
    return getattr(view, _ATTRIBUTE, False)


def read_key(values: list[bytes]) -> str | None:
    """The key that a request names itself with, from all its headers of that name. Raises InvalidRequest."""
    if not values:
        return None
    text = values[0].decode("latin-1").strip()
    printable = all(" " <= character <= "~" for character in text)
    if len(values) > 1 or not printable or not 1 <= len(text) <= MOST_CHARACTERS:
        said = f"{len(values)} of them" if len(values) > 1 else f"{len(text)} characters"
        allowed = f"one key of 1 to {MOST_CHARACTERS} printable ASCII characters"
        raise InvalidRequest(f"{HEADER} must be {allowed}, got {said}", field=HEADER, allowed=allowed)
    return text
