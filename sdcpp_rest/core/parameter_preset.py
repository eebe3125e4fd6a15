"""Defines a preset: parameters that a user has saved under a title, to be used again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.core.frozen import Frozen


class ParameterPreset(Frozen):
    """One preset. ``parameters`` maps ids of SwarmUI's parameters to texts, ``settings`` holds native fields that none
    of them means (`core.preset_fields`); ``edited_ms`` is when it was last written, in milliseconds since 1970."""

    title: str
    description: str = ""
    parameters: Mapping[str, str] = Field(default_factory=dict)
    settings: Mapping[str, Any] = Field(default_factory=dict)
    is_starred: bool = False
    has_preview: bool = False
    edited_ms: int = 0
