"""Keeps the record of what changed models, settings and keys: who did it, from where, by which call, and what it was
before and after.

A line of JSON for each call, only ever added to, beside the server's log; bounded. No secret is in it. Knows no route.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sdcpp_rest.config.auth_section import ApiKey
from sdcpp_rest.core.changes import Change

log = logging.getLogger(__name__)

AUDIT_FILE = "audit.log"
MAX_BYTES = 5 << 20
"""Size at which it becomes ``audit.log.1``, in place of the one before, and a new one is begun."""

SERVER = "server"
"""Who changed what nobody asked for over HTTP."""

_NO_SETTINGS = frozenset(
    {
        *("ended_logins", "known_keys", "settings.preferences", "settings.generation-forms", "dialects.swarm"),
        *("models.selected", "upscaler.selected"),
    }
)
"""What the store keeps besides settings: who has logged out, how pages look, sessions; and what is told in short."""


class AuditLog:
    """Writes and reads the record. Thread-safe.

    Args:
        folder: where the file lies.
        now: the moment, for the record.
        max_bytes: size of a file.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._path = folder / AUDIT_FILE
        self._now = now
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._has_failed = False

    def record(
        self,
        call: str,
        changes: Iterable[Change],
        *,
        key: ApiKey | None = None,
        address: str = "",
        status: int | None = None,
        is_change: bool = False,
    ) -> None:
        """Add what a call has done.

        Args:
            call: ``PUT /settings/output``, with the path as it was called.
            changes: what it has noted.
            key: the caller's; ``None``: the server itself.
            status: of the answer, where it has one.
            is_change: worth a line even if nothing was noted.
        """
        told = [change for change in changes if change.name not in _NO_SETTINGS]
        if not told and not is_change:
            return
        entry = {
            "at": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "key": key.shown_name if key is not None else SERVER,
            "address": address,
            "call": call,
            "status": status,
            "changes": [change._asdict() for change in told],
        }
        self._write(json.dumps(entry, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")

    def read(self, count: int) -> tuple[list[dict[str, Any]], bool]:
        """The last ``count`` entries, the newest first, and whether there are older ones."""
        found: list[dict[str, Any]] = []
        with self._lock:
            lines = [line for path in (self._older, self._path) for line in _lines_of(path)]
        for line in reversed(lines):
            if (entry := _entry_of(line)) is None:
                continue
            if len(found) == count:
                return found, True
            found.append(entry)
        return found, False

    @property
    def _older(self) -> Path:
        return self._path.with_name(f"{AUDIT_FILE}.1")

    def _write(self, line: str) -> None:
        with self._lock:
            try:
                # For the server's user alone: it tells who does what.
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                descriptor = os.open(self._path, flags, 0o600)
                try:
                    os.write(descriptor, line.encode("utf-8", "replace"))
                    size = os.fstat(descriptor).st_size
                finally:
                    os.close(descriptor)
                if size >= self._max_bytes:
                    os.replace(self._path, self._older)
            except OSError as error:
                if not self._has_failed:
                    log.warning("%s cannot be written: %s", AUDIT_FILE, error.strerror or error)
                self._has_failed = True
            else:
                self._has_failed = False


def _lines_of(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return []


def _entry_of(line: bytes) -> dict[str, Any] | None:
    """``None`` for a line that was cut off: the machine lost its power, say."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "at" in entry else None
