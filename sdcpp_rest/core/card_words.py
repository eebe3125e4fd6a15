"""Makes plain words of what files beside models say: text without markup, lists of words, links, numbers.

Pure. Nothing it is given is believed to be well formed, or of the right type: these files come from anybody.
"""

from __future__ import annotations

import html
import math
import re
from typing import Any
from urllib.parse import urlsplit

MAX_TEXT = 20_000
MAX_LINE = 500
MAX_WORD = 200
MAX_WORDS = 100
MAX_LINK = 2_000

# Whole tags by name, each within its own brackets: "<lora:x:1>" and "a < b" are no markup.
_TAG = re.compile(
    r"</?(?:p|br|div|span|a|b|i|u|s|em|strong|code|pre|ul|ol|li|h[1-6]|hr|img|table|thead|tbody|tr|td|th|blockquote"
    r"|script|style|iframe|object|embed|svg|link|meta|form|input|button|font|center|small|sub|sup|del|video|source)"
    r"(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
_BREAKS = re.compile(r"<(?:br|/p|/div|/h[1-6]|/tr|/ul|/ol|/blockquote|/pre|hr)(?=[\s/>])[^<>]*>", re.IGNORECASE)
_ITEM = re.compile(r"<li(?=[\s/>])[^<>]*>", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style)(?=[\s/>])", re.IGNORECASE)
_HIDDEN_ENDS = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style")}
_SPACES, _LINES = re.compile(r"[^\S\n]+"), re.compile(r" ?\n ?(?:\n ?)+")
_MOST_MARKUP = 200_000


def plain_text(value: Any, most: int = MAX_TEXT) -> str:
    """A text of several lines without its markup; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    text = value[:_MOST_MARKUP]
    if "<" in text:
        text = _ITEM.sub("\n- ", _BREAKS.sub("\n", _without_hidden(text)))
        text = html.unescape(_TAG.sub("", text))
    text = _LINES.sub("\n\n", _SPACES.sub(" ", _printable(text.replace("\r\n", "\n"))))
    return text.strip()[:most].rstrip()


def one_line(value: Any, most: int = MAX_LINE) -> str:
    """A text of one line, as it stands; empty for what is no text."""
    return " ".join(_printable(value[: most * 4]).split())[:most].rstrip() if isinstance(value, str) else ""


def word_list(value: Any) -> tuple[str, ...]:
    """The words of a list, or between commas, each once; at most `MAX_WORDS`."""
    given = value if isinstance(value, list) else [value]
    texts = (one_line(part, MAX_WORD) for text in given[:MAX_WORDS] if isinstance(text, str) for part in _split(text))
    return tuple(dict.fromkeys(text for text in texts if text))[:MAX_WORDS]


def web_link(value: Any) -> str:
    """An http(s) address of a public kind: with a host, without a user; empty for anything else."""
    if not isinstance(value, str) or len(value) > MAX_LINK:
        return ""
    text = value.strip()
    if any(not one.isprintable() or one.isspace() or one in "<>\"'`\\" for one in text):
        return ""
    try:
        parts = urlsplit(text)
        is_link = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return ""
    return text if is_link else ""


def number(value: Any, low: float, high: float, *, whole: bool = False) -> float | int | None:
    """A number within its limits, also where it is written as text; ``None`` for anything else."""
    if isinstance(value, str) and len(value) <= 30:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return round(value) if whole else value


def _split(text: str) -> list[str]:
    return text[: MAX_WORD * MAX_WORDS].split(",")


def _without_hidden(text: str) -> str:
    """``text`` without what stands in a script or a style sheet; one that never ends hides the rest."""
    kept, at = [], 0
    while (found := _HIDDEN.search(text, at)) is not None:
        kept.append(text[at : found.start()])
        end = _HIDDEN_ENDS[found[1].lower()].search(text, found.end())
        close = text.find(">", end.end()) if end is not None else -1
        if close < 0:
            return "".join(kept)
        at = close + 1
    return "".join([*kept, text[at:]])


def _printable(text: str) -> str:
    """``text`` without control characters and halves of characters."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(one for one in text if one in "\n\t" or one.isprintable() or one == "\u00a0")
