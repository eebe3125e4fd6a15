"""Reads the table of presets: what each family of models and each well-known variant needs, and the settings it draws
well with.

Read once, from the package's own file; which preset a model has is told by `core.variants`. It must not know any file
of the user's.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.core.architectures import ARCHITECTURES, Architecture
from sdcpp_rest.core.frozen import Frozen

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]


class Preset(Frozen):
    """One family or variant.

    ``family`` is an id of ``ARCHITECTURES``. ``required`` and ``optional`` name parts as ``POST /models/load`` does,
    ``clip`` and ``lora`` besides. ``generation`` holds fields of ImageParams or VideoParams, ``load`` those of
    LoadOptions.
    """

    id: str
    family: str
    display_name: str
    description: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    generation: Mapping[str, Any] = Field(default_factory=dict)
    load: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self.family]

    @property
    def components(self) -> tuple[str, ...]:
        """The parts that are files of their own when they are not inside the model's."""
        return tuple(part for part in (*self.required, *self.optional) if part not in ("clip", "lora", "controlnet"))


def read_presets(text: str) -> dict[str, Preset]:
    """The presets of a table in TOML, by id. Raises ValueError (pydantic's, TOML's) for one that is not well-formed."""
    tables = tomllib.loads(text)
    return {name: Preset.model_validate({"id": name, **_whole(tables, name)}) for name in tables}


def _whole(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The table ``name`` with what it takes over from another filled in."""
    own = dict(tables[name])
    base = own.pop("like", None)
    if base is None:
        return own
    whole = _whole({key: table for key, table in tables.items() if key != name}, base)
    merged = {part: {**whole.get(part, {}), **own.get(part, {})} for part in ("generation", "load")}
    return {**whole, **own, **merged}


PRESETS: dict[str, Preset] = read_presets(
    (importlib.resources.files("sdcpp_rest") / "presets" / "architectures.toml").read_text(encoding="utf-8")
)
