"""Defines what an engine process is told when it begins. Imports nothing: it is known before anything else is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class WorkerOptions:
    """How an engine process works. Paths absolute; ``n_threads`` counts where a load spec says -1, and is only the most
    that may compute if the engine ``chooses_threads``; ``environment`` are variables of its own, which show it the
    device that it has for itself. They are set before the library is opened, not before Python starts."""

    runner: str = "native"
    log_path: str = ""
    last_words_path: str = ""
    n_threads: int = -1
    chooses_threads: bool = False
    nice: int = 0
    log_max_bytes: int = 10 * 1024 * 1024
    memory_interval_seconds: float = 2.0
    preview_share: float = 0.05
    environment: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> WorkerOptions:
        fields = json.loads(raw)
        return cls(**{**fields, "environment": tuple((name, value) for name, value in fields["environment"])})
