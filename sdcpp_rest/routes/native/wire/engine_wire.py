"""What several views tell of an engine."""

from __future__ import annotations

from typing import Literal

DEVICE_WORDS = "The engine to run on, by its name in `GET /engines` (`cuda:1`). Empty: any."

EngineState = Literal["starting", "idle", "loading", "running", "dead", "stopped", "none"]
