"""Serves the small pictures of SwarmUI's page: previews beside model files, those of presets, and the placeholder."""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.groups.core_groups import ModelServices
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import drawing
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.errors import SwarmError, file_not_found
from sdcpp_rest.routes.swarmui.model_types import WILDCARDS, clean_path, find_card
from sdcpp_rest.routes.swarmui.model_wire import SwarmPreviewPath
from sdcpp_rest.routes.swarmui.wildcard_files import draw_wildcard
from sdcpp_rest.services.pictures.small_pictures import draw_placeholder, shrink_file
from sdcpp_rest.services.settings.parameter_presets import ParameterPresets

swarmui_previews = Blueprint("swarmui_previews", __name__)

PRESETS = "Preset"
_REFUSALS = (SwarmError,)
_CACHED = "private, max-age=30"


@swarmui_previews.get("/ViewSpecial/<path:path>")
@needs("read")
@documents({200: "image/jpeg"}, errors=(404,), path=SwarmPreviewPath, refusals=_REFUSALS)
@drawing
def view_special(path: str) -> Response:
    """Show the preview of a model or of a preset, as SwarmUI does: a small JPEG."""
    running = runtime()
    body = find_preview(path, running.models, running.settings.presets)
    if body is None:
        return file_not_found()
    return _picture(body)


@swarmui_previews.get("/imgs/model_placeholder.jpg")
@needs("read")
@documents({200: "image/jpeg"}, refusals=_REFUSALS)
def model_placeholder() -> Response:
    """Show what stands for a preview where there is none, at the place where SwarmUI's page looks for it."""
    return _picture(draw_placeholder())


def find_preview(path: str, models: ModelServices, presets: ParameterPresets) -> bytes | None:
    """The picture at ``<type>/<name>``; ``None`` where there is none. No path leads anywhere but to a file that the
    catalogue lists."""
    subtype, _, name = clean_path(path).partition("/")
    if subtype == PRESETS:
        return presets.preview(name)
    if subtype == WILDCARDS:
        return draw_wildcard(models.wildcards, name)
    try:
        preview = find_card(subtype, name, models.library, models.cards).preview
    except (ModelNotFound, InvalidRequest):
        return None
    return shrink_file(preview.path, preview.size_bytes, preview.mtime_ns) if preview is not None else None


def _picture(body: bytes) -> Response:
    return Response(body, mimetype="image/jpeg", headers={"Cache-Control": _CACHED})
