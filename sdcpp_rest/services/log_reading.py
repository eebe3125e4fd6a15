"""Shows the last lines of logs, with what nobody is to know taken out. Knows no log's meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, SecretStr

from sdcpp_rest.engine.log_tail import LINE_CHARACTERS, RawLog, read_log
from sdcpp_rest.services.path_redaction import PathRedaction

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
        return self.clean(read_log(self._folder / name, count))

    def clean(self, log: RawLog) -> LogTail:
        """What may be shown of lines that are read."""
        secrets = sorted({one for one in self._secrets() if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True)
        redact = PathRedaction(map(Path, log.folders))
        return LogTail(tuple(self._clean(line, secrets, redact) for line in log.lines), log.truncated)

    def _clean(self, line: bytes, secrets: Iterable[str], redact: PathRedaction) -> str:
        # Bars of progress write over themselves: what they showed last counts.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
        text = _ESCAPES.sub("", shown)
        if not text.isprintable():
            text = "".join(one for one in text if one == "\t" or one.isprintable())
        for secret in secrets:
            text = text.replace(secret, _HIDDEN)
        text = _NAMED.sub(rf"\g<name>\g<scheme>{_HIDDEN}", text[: 2 * LINE_CHARACTERS])
        text = _KNOWN_SHAPES.sub(_HIDDEN, _SCHEME.sub(rf"\g<scheme> {_HIDDEN}", text))
        text = self._redact_paths(redact(text))
        return text if len(text) <= LINE_CHARACTERS else f"{text[:LINE_CHARACTERS]}…"


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
