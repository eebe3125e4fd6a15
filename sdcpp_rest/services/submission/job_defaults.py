"""Fills the fields that a request leaves out: from the model's sidecar, the user's choice, the preset of the model's
variant, and last the API's own table.

Nobody is refused for what they did not ask for: values out of the configured limits are cut to them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.bounds import Marks, marks_of
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import SamplingParams
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.services.models.architecture_presets import preset_of
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.settings.user_settings import Mode, UserSettings
from sdcpp_rest.services.submission.submission_checks import FOUND_HERE, list_names

# Never a default: they are what a request is about.
_ASKED_FOR = frozenset({"prompt", "original_prompt", "original_negative_prompt"}) | FOUND_HERE


class JobDefaults:
    """Fills the fields that a request left out."""

    def __init__(self, limits: LimitsConfig, library: ModelLibrary, settings: UserSettings) -> None:
        self._limits = limits
        self._library = library
        self._settings = settings
        self._cut_defaults: dict[type[SamplingParams], dict[str, Any]] = {}

    def of(self, kind: type[SamplingParams], mode: Mode, spec: LoadSpec, ready: Ready | None) -> dict[str, Any]:
        """Defaults for fields of ``kind``; a seed of -1 is to be drawn. Names that the engine does not know are left
        out, as ``ready`` tells them."""
        preset = preset_of(spec)
        layers = (
            {"seed": -1},
            preset.generation if preset else {},
            self._settings.generation_defaults(mode),
            self._library.generation_defaults(spec),
            _load_time_defaults(spec),
        )
        chosen: dict[str, Any] = {}
        for layer in layers:
            chosen.update(_readable(kind, layer))
        for name in ("sampler", "scheduler"):
            if name in chosen and chosen[name] not in list_names(name, ready):
                del chosen[name]
        if (chosen.get("img_cfg_scale") or 0.0) < 0:
            chosen["img_cfg_scale"] = None  # the API's way of saying "the same as cfg_scale"
        return self._cut(kind, chosen)

    def _cut(self, kind: type[SamplingParams], chosen: dict[str, Any]) -> dict[str, Any]:
        marks = marks_of(kind)
        for name in chosen.keys() & marks.keys():
            chosen[name] = self._cut_value(marks[name], chosen[name])
        if kind not in self._cut_defaults:
            fields = kind.model_fields
            cut = {name: self._cut_value(one, fields[name].default) for name, one in marks.items()}
            # Of each kind the same for every job, as the limits are: mostly none.
            self._cut_defaults[kind] = {name: value for name, value in cut.items() if value is not fields[name].default}
        return {**chosen, **{name: value for name, value in self._cut_defaults[kind].items() if name not in chosen}}

    def _cut_value(self, marks: Marks, wanted: Any) -> Any:
        bounds = marks.bounds
        if wanted is None or bounds is None or bounds.allow(wanted, self._limits):
            return wanted
        return type(wanted)(min(max(wanted, bounds.low), bounds.highest(self._limits)))


def _readable(kind: type[SamplingParams], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that are fields of ``kind`` and of their type: a sidecar is written by anybody."""
    found = {}
    for name, value in values.items():
        if name not in kind.model_fields or name in _ASKED_FOR:
            continue
        try:
            found[name] = field_reader(kind, name).validate_python(value)
        except ValidationError:
            continue
    return found


@functools.cache
def field_reader(kind: type[SamplingParams], name: str) -> TypeAdapter[Any]:
    """Reads a value of a field, whatever it was written as."""
    return TypeAdapter(cast("Any", kind.model_fields[name].annotation))


def _load_time_defaults(spec: LoadSpec) -> dict[str, Any]:
    """Options of ``/models/load`` that the library takes per picture: defaults of the model's jobs."""
    options = spec.options
    defaults: dict[str, Any] = {}
    if options.flow_shift is not None:
        defaults["flow_shift"] = options.flow_shift
    if options.vae_tiling:
        defaults |= {
            "vae_tiling": True,
            "vae_tile_size_x": options.vae_tile_size_x,
            "vae_tile_size_y": options.vae_tile_size_y,
            "vae_tile_overlap": options.vae_tile_overlap,
        }
    return defaults
