"""Reads the last lines of a log, from its end, with what nobody is to know taken out.

Reads no more than it needs, however large the file is. Knows no log's meaning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, SecretStr

MAX_BYTES = 4 << 20
"""Of a log that is read; older lines are left out."""

_BLOCK_BYTES = 64 << 10
_LINE_CHARACTERS = 4_000
_SHORTEST_SECRET = 3
_HIDDEN = "***"
_NAMED = re.compile(
    r"(?P<name>(?:authorization|cookie|token|api[_-]?key|secret|password|signature|credential)['\"]?\s*[=:]\s*)"
    r"(?P<scheme>['\"]?(?:(?:bearer|basic|token)\s+)?)[^\s&'\",;}]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(?P<scheme>bearer|basic)\s+[\w+/=.~-]{8,}", re.IGNORECASE)
_KNOWN_SHAPES = re.compile(r"\b(?:hf_|sk-|ghp_)[\w-]{8,}")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class LogTail(NamedTuple):
    """The last lines of a log, the newest last. ``truncated``: there are older ones."""

    lines: tuple[str, ...]
    truncated: bool


class LogReading:
    """Reads logs of the server's own folder. Thread-safe.

    Args:
        secrets: what must never be shown, as it is now.
        redact_paths: takes out of messages what users must not know.
    """

    def __init__(self, folder: Path, secrets: Callable[[], Iterable[str]], redact_paths: Callable[[str], str]) -> None:
        self._folder = folder
        self._secrets = secrets
        self._redact_paths = redact_paths

    def read_tail(self, name: str, count: int) -> LogTail:
        """The last ``count`` lines of the log ``name``, and of the one before it where it has just begun anew; none
        where there is no log."""
        raw: list[bytes] = []
        truncated = False
        # One more than is wanted, to know whether there is one.
        for line in _lines_from_end(self._folder / name):
            if line is None or len(raw) == count:
                truncated = True
                break
            raw.append(line)
        secrets = sorted({one for one in self._secrets() if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True)
        return LogTail(tuple(self._clean(line, secrets) for line in reversed(raw)), truncated)

    def _clean(self, line: bytes, secrets: Iterable[str]) -> str:
        # Bars of progress write over themselves: what they showed last counts.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
        text = _ESCAPES.sub("", shown)
        if not text.isprintable():
            text = "".join(one for one in text if one == "\t" or one.isprintable())
        for secret in secrets:
            text = text.replace(secret, _HIDDEN)
        text = _NAMED.sub(rf"\g<name>\g<scheme>{_HIDDEN}", text[: 2 * _LINE_CHARACTERS])
        text = _KNOWN_SHAPES.sub(_HIDDEN, _SCHEME.sub(rf"\g<scheme> {_HIDDEN}", text))
        text = self._redact_paths(text)
        return text if len(text) <= _LINE_CHARACTERS else f"{text[:_LINE_CHARACTERS]}…"


def secrets_of(settings: BaseModel) -> Iterator[str]:
    """Every secret in ``settings`` and below; of ``user:key`` the key besides."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, SecretStr) and (secret := one.get_secret_value()):
                yield secret
                yield secret.rpartition(":")[2]
            elif isinstance(one, BaseModel):
                yield from secrets_of(one)


def _lines_from_end(path: Path) -> Iterator[bytes | None]:
    """The lines of a log and of the one before it, the last first; ``None`` where `MAX_BYTES` were read and there are
    more."""
    left = MAX_BYTES
    seen: set[tuple[int, int]] = set()
    for one in (path, Path(f"{path}.1")):
        try:
            with one.open("rb") as file:
                status = os.fstat(file.fileno())
                # It was full between the two looks: what was read is the older one by now.
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                at, rest = status.st_size, b""
                while at > 0 and left > 0:
                    size = min(_BLOCK_BYTES, at, left)
                    at, left = at - size, left - size
                    file.seek(at)
                    first, *lines = (file.read(size) + rest).split(b"\n")
                    # What comes before a line's beginning was not read yet; a line may not grow without end.
                    rest = first[: 8 * _LINE_CHARACTERS]
                    yield from (line for line in reversed(lines) if line)
                if at > 0:
                    yield None
                elif rest:
                    yield rest
        except OSError:
            continue
