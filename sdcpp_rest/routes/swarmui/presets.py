"""From SwarmUI's presets to those that are kept here, and back. Pure but for the pictures, which are made small."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.model_objects import PLACEHOLDER
from sdcpp_rest.services.pictures.input_images import decode_base64
from sdcpp_rest.services.pictures.small_pictures import shrink_picture
from sdcpp_rest.services.settings.parameter_presets import ParameterPresets

_NOT_IN_TITLES = frozenset('<>:"|?*~&@;#$^.')
_OWN_PICTURES = "/ViewSpecial/Preset/"


class PresetRefused(InvalidRequest):
    """A preset was not kept. Two routes say so by ``preset_fail``."""


def clean_title(title: str) -> str:
    """``title`` as it may be kept: a path of folders and a name, without what file names cannot hold. Raises
    PresetRefused where nothing is left."""
    kept = "".join(one for one in title.replace("\\", "/") if one not in _NOT_IN_TITLES and one.isprintable())
    parts = [part.strip() for part in kept.split("/") if part.strip()]
    if not parts:
        raise PresetRefused("Invalid or empty title.", field="title")
    return "/".join(parts)


def save_preset(asked: Arguments, presets: ParameterPresets) -> None:
    """Keep the preset that a call describes, as a new one or in another's place. Raises PresetRefused,
    InvalidRequest."""
    is_edit, editing = asked.switch("is_edit", False), asked.text("editing", "")
    title = clean_title(asked.text("title"))
    preset = ParameterPreset(
        title=title,
        description=asked.text("description"),
        parameters=_parameters(asked.mapping("param_map")),
        is_starred=asked.switch("is_starred", False),
    )
    if not is_edit and presets.get(title) is not None:
        raise PresetRefused("A preset with that title already exists.", field="title")
    edited = editing if is_edit and editing else title
    preview = _preview(asked.text("preview_image", ""), presets)
    if is_edit:
        presets.replace(edited, preset, preview)
    else:
        presets.add(preset, preview)


def preset_object(preset: ParameterPreset, author: str, preview: bytes | None = None) -> dict[str, Any]:
    """A preset as SwarmUI shows it; with ``preview``, the picture itself in place of its address."""
    picture = PLACEHOLDER
    if preview is not None:
        picture = f"data:image/jpeg;base64,{base64.b64encode(preview).decode()}"
    elif preset.has_preview:
        picture = f"{_OWN_PICTURES}{quote(preset.title)}?editid={preset.edited_ms}"
    return {
        "author": author,
        "title": preset.title,
        "description": preset.description,
        "preview_image": picture,
        "is_starred": preset.is_starred,
        "param_map": dict(preset.parameters),
    }


def export_presets(presets: ParameterPresets, author: str) -> list[dict[str, Any]]:
    """Every preset with its picture, for a file that can be read in elsewhere."""
    return [
        preset_object(preset, author, presets.preview(preset.title) if preset.has_preview else None)
        for preset in presets.all()
    ]


def _parameters(given: Mapping[str, Any]) -> dict[str, str]:
    """Texts by id. Raises PresetRefused for what is no text, number or truth value, and no list of these."""
    return {id: _text_of(id, value) for id, value in given.items() if value is not None}


def _text_of(id: str, value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_text_of(id, one) for one in value)
    if isinstance(value, dict) or value is None:
        raise PresetRefused(f"param_map: {id[:80]} must be a text", field="param_map")
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _preview(given: str, presets: ParameterPresets) -> bytes | None:
    """The picture that a call means: one that it brings, the one of a preset, or none. Raises PresetRefused."""
    if not given.strip() or given == PLACEHOLDER:
        return None
    if given.startswith(_OWN_PICTURES):
        # The page sends back the address that it was shown.
        wanted = given.removeprefix(_OWN_PICTURES).partition("?")[0]
        return next((presets.preview(one.title) for one in presets.all() if quote(one.title) == wanted), None)
    if not given.startswith("data:image/"):
        raise PresetRefused("Forbidden preview-image path.", field="preview_image")
    try:
        return shrink_picture("preview_image", decode_base64("preview_image", given))
    except InvalidRequest as error:
        raise PresetRefused(error.message, field="preview_image") from None
