"""Says which file is to be fetched, and how patiently.

Stands apart from the fetching, whose libraries only a server that downloads needs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileToFetch:
    """What to fetch. ``token`` goes to the address's own host only. ``size_bytes`` and ``sha256`` are what the source
    promises, where it does."""

    url: str
    token: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class TransferLimits:
    """How long to wait for what. ``retries``: attempts in a row that bring nothing."""

    connect_seconds: float = 15.0
    read_seconds: float = 30.0
    retries: int = 8
    pause_seconds: float = 1.0
    max_bytes: int = 128 << 30
