"""Reads an engine's log on its machine, and says how it travels to the server.

A node is asked for it, and no engine: one that hangs, or does not start, is one whose log is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sdcpp_rest.engine.log_tail import RawLog, read_log

LOG_FILE = "engine.log"
MOST_BYTES = 1 << 20
"""Of a log that travels; older lines are left out."""
ANSWER_SECONDS = 5.0
"""How long a node may take."""
SILENT = f"its machine has not answered within {ANSWER_SECONDS:g} s"


def read_node_log(folder: Path, folders: Iterable[str], count: int) -> RawLog:
    """The last ``count`` lines of the engine's log in ``folder``; ``folders``: those of this machine."""
    return read_log(folder / LOG_FILE, count, MOST_BYTES)._replace(folders=tuple(folders))


def pack_log(log: RawLog) -> tuple[dict[str, Any], bytes]:
    """A log as the header and the body of a message."""
    return {"truncated": log.truncated, "folders": log.folders}, b"\n".join(log.lines)


def unpack_log(header: Mapping[str, Any], body: bytes) -> RawLog:
    """What `pack_log` was given."""
    return RawLog(tuple(body.split(b"\n")) if body else (), header["truncated"], tuple(header["folders"]))
