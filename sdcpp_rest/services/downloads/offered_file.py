"""Describes one file as its source announces it, before it is fetched.

Pure; made by the sources, used by the submission.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.core.catalog import EXTENSIONS
from sdcpp_rest.core.frozen import Frozen


class OfferedFile(Frozen):
    """A file that can be fetched from ``url``.

    ``name`` is the source's name for it, without folders. ``size_bytes`` (exact) and ``sha256`` (hex) are promises,
    where the source makes them; ``about_bytes`` is for checking the disk only. ``facts`` are fields of DownloadParams
    that the look-up has settled; ``shown`` is what the source's own route tells.
    """

    url: str
    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    about_bytes: int | None = None
    facts: Mapping[str, Any] = Field(default_factory=dict)
    shown: Mapping[str, Any] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def is_model_name(name: str) -> bool:
    """Whether the file's ending is that of a model file."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in EXTENSIONS
