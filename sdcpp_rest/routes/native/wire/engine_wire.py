"""What several views tell of an engine."""

from __future__ import annotations

from typing import Literal

EngineState = Literal["starting", "idle", "loading", "running", "dead", "stopped", "none"]
