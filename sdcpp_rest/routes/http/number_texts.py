"""Reads numbers that come as text, in any dialect: whole ones, and those with a point or an exponent.

Pure. What is no number is for the dialect to word.
"""

from __future__ import annotations

import math
import re

_LONGEST = 40
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_whole(text: str) -> int | None:
    """The integer that ``text`` is, ``20.0`` too; ``None`` for anything else."""
    stripped = text.strip()
    if len(text) > _LONGEST or not _WHOLE.fullmatch(stripped):
        return None
    return int(stripped.partition(".")[0])


def read_decimal(text: str) -> float | None:
    """The finite number that ``text`` is; ``None`` for anything else."""
    if len(text) > _LONGEST or not _DECIMAL.fullmatch(text.strip()):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
