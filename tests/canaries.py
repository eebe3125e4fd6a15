"""Secrets that the suite's servers are given, and that nothing they write may hold: at the end of a run, every file
that was written below the tests' folders is looked through, and every line of the log as it is written.

A run's secrets are its own, and the same in all of its processes.
"""

from __future__ import annotations

import base64
import logging
import mmap
import os
import secrets
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

_VARIABLE = "SDCPP_TESTS_CANARY"
_MARK = os.environ.setdefault(_VARIABLE, secrets.token_hex(8))

CANARY_KEY = f"canary-key-{_MARK}"
"""A key of every server that asks for keys; sent to those that do not."""
CANARY_TOKEN = f"canary-token-{_MARK}"
"""Every server's token of Hugging Face and of CivitAI."""
SENT_KEY = {"Authorization": f"Bearer {CANARY_KEY}"}

_MOST_BYTES = 64 << 20
"""Of a file that is looked through: what is larger is a model."""


def spellings_of(secret: str) -> tuple[bytes, ...]:
    """How ``secret`` may be written: as it is, or in the middle of what was sent as HTTP Basic."""
    raw = secret.encode()
    # Of the three ways in which four characters hold three bytes, what does not depend on the neighbours.
    inner = [base64.b64encode(b"\0" * shift + raw)[4 * bool(shift) : -4] for shift in range(3)]
    return (raw, *inner)


def find_secrets(folder: Path, wanted: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Files below ``folder`` that hold one of the secrets, and which."""
    spelled = [(secret, spelling) for secret in wanted for spelling in spellings_of(secret)]
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            for secret, spelling in spelled:
                if _holds(path, spelling):
                    yield path, secret
                    break


def _holds(path: Path, wanted: bytes) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or not 0 < path.stat().st_size <= _MOST_BYTES:
            return False
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(wanted) >= 0
    except (OSError, ValueError):
        # Gone meanwhile, or none of ours to read.
        return False


class CanaryWatch(logging.Handler):
    """Keeps lines of the log that hold a canary."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "".join(traceback.format_exception(*record.exc_info))
        if _MARK in text:
            self.leaks.append(f"{record.name}: {text[:500]}")
