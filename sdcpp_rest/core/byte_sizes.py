"""Writes sizes of memory for people. Knows nothing of whose memory it is."""

from __future__ import annotations


def format_size(size: int) -> str:
    """``size`` bytes in GiB, or in MiB below one GiB, with one decimal."""
    return f"{size / (1 << 30):.1f} GiB" if size >= (1 << 30) else f"{size / (1 << 20):.1f} MiB"
