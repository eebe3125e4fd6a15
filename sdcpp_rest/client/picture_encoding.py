"""Encodes pictures as requests carry them."""

from __future__ import annotations

import base64
from pathlib import Path


def encode_picture(picture: bytes | str | Path) -> str:
    """A picture file's content, or the file at a path, as base64. Raises OSError."""
    content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    return base64.b64encode(content).decode("ascii")
