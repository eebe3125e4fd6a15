"""What several views tell of an engine."""

from __future__ import annotations

from typing import Literal

LONGEST_NAME = 128
"""Of an engine: that of another machine has the name of its machine, which may be a domain's."""
DEVICE_WORDS = "The engine to run on, by its name in `GET /engines` (`cuda:1`). Empty: any."

EngineState = Literal["starting", "idle", "loading", "running", "dead", "stopped", "none"]
