"""Marks places in a text that is still being made: where a section begins, a tag vanished, or trigger words go.

A mark begins with NUL, which no prompt holds. Marks travel with the text through variables and choices, and are
resolved when the whole prompt is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

GONE = "\0-"
"""Left by a tag that says nothing: the blanks before it go with it, where the text goes on without a word."""
TRIGGER = "\0t"

_MARK = re.compile("\0(?:[-t]|s[a-z]*;)")
_SECTION = re.compile("\0s([a-z]*);")
_GOES_ON_WITHOUT_WORD = re.compile(r"[\s,.;:!?)\]]")

MAIN = ""
REFINER = "refiner"


def mark_section(name: str) -> str:
    """The mark from which on a text belongs to the section ``name``."""
    return f"\0s{name};"


def last_section(text: str) -> str | None:
    """The section that ``text`` ends in; ``None`` where it does not change it."""
    at = text.rfind("\0s")
    match = _SECTION.match(text, at) if at >= 0 else None
    return match[1] if match is not None else None


def without_marks(text: str) -> str:
    """``text`` as a name or a value."""
    return _MARK.sub("", text) if "\0" in text else text


def has_words(text: str) -> bool:
    """Whether ``text`` says something; trigger words may yet turn out to be none."""
    return TRIGGER in text or bool(without_marks(text).strip())


def join_texts(texts: Iterable[str], joiner: str) -> str:
    """``texts`` with ``joiner`` between those that say something."""
    made: list[str] = []
    is_first = True
    for text in texts:
        if has_words(text):
            made += [text] if is_first else [joiner, text]
            is_first = False
        else:
            made.append(text)
    return "".join(made)


def resolve_marks(text: str, trigger: str) -> dict[str, str]:
    """The text of each section by its name, the main one's included; a text without any mark stays as it is."""
    if "\0" not in text:
        return {MAIN: text}
    pieces = _SECTION.split(text.replace(TRIGGER, trigger))
    found: dict[str, list[str]] = {MAIN: [pieces[0]]}
    for name, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        found.setdefault(name, []).append(piece)
    # Between two parts of a section is a gap, too.
    return {name: _close_gaps(GONE.join(parts)).strip() for name, parts in found.items()}


def _close_gaps(text: str) -> str:
    first, *rest = text.split(GONE)
    made = [first]
    for piece in [*filter(None, rest[:-1]), *rest[-1:]]:
        if not piece or _GOES_ON_WITHOUT_WORD.match(piece):
            made[-1] = made[-1].rstrip(" \t")
        made.append(piece)
    return "".join(made)
