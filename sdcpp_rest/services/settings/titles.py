"""Judges the names that users give to what they save: styles and presets. Knows neither."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sdcpp_rest.errors import InvalidRequest

MAX_TITLE_CHARACTERS = 200
_SHOWN = 80


def check_title(field: str, title: str) -> str:
    """``title``, where it can be written in one line and in an address. Raises InvalidRequest naming ``field``."""
    reason = None
    if not title.strip():
        reason = "is empty"
    elif len(title) > MAX_TITLE_CHARACTERS:
        reason = f"has {len(title)} characters"
    elif title != title.strip():
        reason = "begins or ends with a blank"
    elif not title.isprintable() or any("\ud800" <= one <= "\udfff" for one in title):
        reason = "holds a character that cannot be shown"
    elif any(part.strip() in ("", ".", "..") for part in title.split("/")) or "\\" in title:
        reason = "is no name of an address: no backslash, and no part between '/' that is empty, '.' or '..'"
    if reason is None:
        return title
    raise InvalidRequest(
        f"{field}: {title[:_SHOWN]!r} {reason}; 1 to {MAX_TITLE_CHARACTERS} printable characters in one line are "
        "allowed",
        field=field,
        value=title[:_SHOWN].encode("utf-8", "replace").decode(),
        allowed=f"1 to {MAX_TITLE_CHARACTERS} printable characters",
    )


def nearest_titles(title: str, known: Iterable[str]) -> list[str]:
    """Up to three of ``known`` that look like ``title``, whatever their case."""
    by_folded = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(title[:MAX_TITLE_CHARACTERS].casefold(), by_folded, n=3, cutoff=0.6)
    return [by_folded[one] for one in found]
