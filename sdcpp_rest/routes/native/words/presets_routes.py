"""Presets over HTTP: settings of a user interface under a name, the same ones that SwarmUI's page keeps."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.events import iso_text
from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.core.preset_fields import to_parameters, to_settings
from sdcpp_rest.errors import Conflict, InvalidRequest, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire, optional, validate
from sdcpp_rest.services.settings.parameter_presets import MAX_DESCRIPTION_CHARACTERS
from sdcpp_rest.services.settings.preset_import import read_presets
from sdcpp_rest.services.settings.titles import check_title, nearest_titles

presets = Blueprint("presets", __name__)

_WARNINGS = "What was ignored."
_SETTINGS = (
    "Fields as the routes that draw take them; anything else that a user interface wants to remember may be there too."
)
_SWARMUI = "Parameters of SwarmUI's, as texts by their ids, that no field means."


class PresetPath(Wire):
    preset_name: str = Field(description="Its name, whatever its case.", examples=["Portraits/soft"])


class PresetBody(Wire):
    """A whole preset: what is left out is not in it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"settings": {"steps": 12, "cfg_scale": 2.5, "prompt": "{prompt}, soft light"}}]
        }
    )

    settings: dict[str, Any] = Field({}, description=_SETTINGS)
    swarmui: dict[str, Any] = Field({}, description=_SWARMUI)
    description: Text = Field("", max_length=MAX_DESCRIPTION_CHARACTERS, description="What it is for.")
    starred: Flag = Field(False, description="Whether it is a favourite.")


class UiPresetShown(Answer):
    name: str
    description: str
    starred: bool
    settings: dict[str, Any] = Field(description=_SETTINGS)
    swarmui: dict[str, str] = Field(description=_SWARMUI)
    has_preview: bool
    edited_at: str = Field(examples=["2024-01-01T12:00:00Z"])


class UiPresetsShown(Answer):
    """Every preset, in the order in which they were added."""

    total: int = Field(ge=0)
    presets: list[UiPresetShown]


class PresetKept(UiPresetShown):
    created: bool = Field(description="Whether there was none of this name before.")
    warnings: list[str] = optional(_WARNINGS)


class PresetRemoved(Answer):
    success: Literal[True]
    name: str


class PresetImportBody(Wire):
    text: Text = Field(
        min_length=1,
        max_length=16 << 20,
        description="The content of a file of presets that SwarmUI has exported.",
        examples=['{"Soft": {"title": "Soft", "param_map": {"steps": "12"}}}'],
    )
    overwrite: Flag = Field(False, description="Replace presets that are there under the same names.")


class PresetSkipped(Answer):
    name: str
    reason: str


class PresetsImported(Answer):
    """What became of the presets of a file. Their pictures are not taken over."""

    imported: list[str] = Field(description="Names of presets that are kept now, those that were replaced included.")
    replaced: list[str]
    skipped: list[PresetSkipped]
    warnings: list[str] = optional(_WARNINGS)


@presets.get("/ui/presets")
@needs("read")
@documents({200: UiPresetsShown})
def list_presets() -> Response:
    """List the presets. They are the same that SwarmUI's dialect lists."""
    found = [_show_preset(preset) for preset in runtime().settings.presets.all()]
    return answer({"total": len(found), "presets": found})


@presets.get("/ui/presets/<path:preset_name>")
@needs("read")
@documents({200: UiPresetShown}, errors=(404,), path=PresetPath)
def show_preset(preset_name: str) -> Response:
    """Show one preset: its fields, and what only SwarmUI knows of it."""
    return answer(_show_preset(_find(preset_name)))


@presets.put("/ui/presets/<path:preset_name>")
@needs("generate")
@documents({200: PresetKept, 201: PresetKept}, errors=(404,), body=PresetBody, path=PresetPath)
def keep_preset(preset_name: str) -> Response:
    """Keep settings under a name, in the place of what had it before; a picture that it has stays. A 404 for a name
    with a line end, which no address has."""
    body, warnings = validate(PresetBody, read_body())
    created = runtime().settings.presets.keep(_preset_of(check_title("name", preset_name), body))
    shown = {**_show_preset(_find(preset_name)), "created": created}
    return answer({**shown, "warnings": warnings} if warnings else shown, 201 if created else 200)


@presets.delete("/ui/presets/<path:preset_name>")
@needs("generate")
@documents({200: PresetRemoved}, errors=(404,), path=PresetPath)
def remove_preset(preset_name: str) -> Response:
    """Forget a preset."""
    name = _find(preset_name).title
    runtime().settings.presets.delete(name)
    return answer({"success": True, "name": name})


@presets.post("/ui/presets/import")
@needs("generate")
@documents({200: PresetsImported}, body=PresetImportBody)
def import_presets() -> Response:
    """Take over the presets of a file that SwarmUI has exported. Names that are there already are skipped, unless
    ``overwrite``."""
    body, warnings = validate(PresetImportBody, read_body())
    found, skipped = read_presets(body.text)
    told: list[dict[str, str]] = [one._asdict() for one in skipped]
    imported, replaced = [], []
    for preset in found:
        try:
            is_new = runtime().settings.presets.keep(preset, overwrite=body.overwrite)
        except (Conflict, InvalidRequest) as error:
            told.append({"name": preset.title, "reason": error.message})
            continue
        imported.append(preset.title)
        if not is_new:
            replaced.append(preset.title)
    shown: dict[str, Any] = {"imported": imported, "replaced": replaced, "skipped": told}
    return answer({**shown, "warnings": warnings} if warnings else shown)


def _find(name: str) -> ParameterPreset:
    kept = runtime().settings.presets
    found = kept.get(name)
    if found is None:
        near = nearest_titles(name, [preset.title for preset in kept.all()])
        raise NotFound(f"There is no preset called {shorten(name)!r}", field="name", nearest=near)
    return found


def _show_preset(preset: ParameterPreset) -> dict[str, Any]:
    settings, swarmui = to_settings(preset.parameters)
    return {
        "name": preset.title,
        "description": preset.description,
        "starred": preset.is_starred,
        "settings": {**preset.settings, **settings},
        "swarmui": swarmui,
        "has_preview": preset.has_preview,
        "edited_at": iso_text(datetime.fromtimestamp(preset.edited_ms / 1000, tz=timezone.utc)),
    }


def _preset_of(name: str, body: PresetBody) -> ParameterPreset:
    for id, text in body.swarmui.items():
        if not isinstance(text, str):
            raise InvalidRequest(f"swarmui.{shorten(id)} must be a string", field=f"swarmui.{shorten(id)}")
    parameters, rest = to_parameters(body.settings)
    return ParameterPreset(
        title=name,
        description=body.description,
        parameters={**body.swarmui, **parameters},
        settings=rest,
        is_starred=body.starred,
    )
