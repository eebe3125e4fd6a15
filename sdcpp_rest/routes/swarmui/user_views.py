"""SwarmUI's calls about its one user: what was chosen on the page, and the page's settings."""

from __future__ import annotations

import logging

from flask import Blueprint, Response

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import drawing
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui import user_data
from sdcpp_rest.routes.swarmui.calls import arguments, open_view, swarm_options
from sdcpp_rest.routes.swarmui.errors import SwarmError
from sdcpp_rest.routes.swarmui.permissions import PERMISSIONS
from sdcpp_rest.routes.swarmui.presets import PresetRefused, export_presets, preset_object, save_preset
from sdcpp_rest.routes.swarmui.user_settings import STORED, THEMES, change_settings, describe_language, settings_tree
from sdcpp_rest.routes.swarmui.user_wire import (
    SwarmLanguage,
    SwarmPresetRefusal,
    SwarmPresets,
    SwarmSettings,
    SwarmUser,
)
from sdcpp_rest.routes.swarmui.views import USER
from sdcpp_rest.routes.swarmui.wire import SwarmCall, SwarmSuccess

log = logging.getLogger(__name__)

swarmui_user = Blueprint("swarmui_user", __name__)
swarmui_user.before_request(open_view)

_REFUSALS = (SwarmError,)


@swarmui_user.post("/API/GetMyUserData")
@needs("read")
@documents({200: (SwarmUser, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def show_swarm_user() -> Response:
    """Tell what the page keeps for its user, as SwarmUI does."""
    options = swarm_options()
    chosen = settings_tree(user_data.read_object(options, STORED))
    return answer(
        {
            "user_name": USER,
            "presets": [preset_object(preset, USER) for preset in runtime().settings.presets.all()],
            "language": chosen["language"]["value"],
            "permissions": list(PERMISSIONS),
            "starred_models": user_data.read_object(options, user_data.STARRED_MODELS),
            "model_preset_links": user_data.read_object(options, user_data.PRESET_LINKS),
            "autocompletions": None,
        }
    )


@swarmui_user.post("/API/SetStarredModels")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def set_starred_models() -> Response:
    """Replace which models are starred, as SwarmUI does: names by type, at the root of the call."""
    user_data.keep_object(swarm_options(), user_data.STARRED_MODELS, user_data.check_lists(arguments().others()))
    return answer({"success": True})


@swarmui_user.post("/API/SetPresetLinks")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def set_preset_links() -> Response:
    """Replace which presets go with which models, as SwarmUI does: titles by type and name, at the root."""
    user_data.keep_object(swarm_options(), user_data.PRESET_LINKS, user_data.check_links(arguments().others()))
    return answer({"success": True})


@swarmui_user.post("/API/SetParamEdits")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def set_param_edits() -> Response:
    """Replace the user's edits of how parameters are shown, as SwarmUI does."""
    user_data.keep_object(swarm_options(), user_data.PARAM_EDITS, arguments().mapping("edits"))
    return answer({"success": True})


@swarmui_user.post("/API/GetUserSettings")
@needs("read")
@documents({200: (SwarmSettings, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def get_user_settings() -> Response:
    """Tell the page's settings, as SwarmUI does."""
    return answer({"themes": THEMES, "settings": settings_tree(user_data.read_object(swarm_options(), STORED))})


@swarmui_user.post("/API/ChangeUserSettings")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def change_user_settings() -> Response:
    """Change some of the page's settings, as SwarmUI does. What is not known, or does not fit, is left as it is."""
    asked, options = arguments().mapping("settings"), swarm_options()
    kept, left = change_settings(user_data.read_object(options, STORED), asked)
    user_data.keep_object(options, STORED, kept)
    if left:
        log.info("settings were not changed: %s", shorten(", ".join(left)))
    return answer({"success": True})


@swarmui_user.post("/API/GetLanguage")
@needs("read")
@documents({200: (SwarmLanguage, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def get_language() -> Response:
    """Tell a language of the page, as SwarmUI does: English, without translations."""
    found = describe_language(arguments().text("language"))
    if found is None:
        raise InvalidRequest("No such language.", field="language")
    return answer({"language": found})


@swarmui_user.post("/API/AddNewPreset")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmPresetRefusal, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
@drawing
def add_new_preset() -> Response:
    """Keep parameters under a title, as SwarmUI does, or change those that are kept."""
    try:
        save_preset(arguments(), runtime().settings.presets)
    except PresetRefused as error:
        return answer({"preset_fail": error.message})
    return answer({"success": True})


@swarmui_user.post("/API/DuplicatePreset")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmPresetRefusal, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def duplicate_preset() -> Response:
    """Keep a copy of a preset, as SwarmUI does."""
    title, presets = arguments().text("preset"), runtime().settings.presets
    if presets.get(title) is None:
        return answer({"preset_fail": "No such preset."})
    presets.duplicate(title)
    return answer({"success": True})


@swarmui_user.post("/API/DeletePreset")
@needs("generate")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def delete_preset() -> Response:
    """Forget a preset, as SwarmUI does; ``success`` tells whether there was one."""
    return answer({"success": runtime().settings.presets.delete(arguments().text("preset"))})


@swarmui_user.post("/API/ExportUserPresets")
@needs("read")
@documents({200: (SwarmPresets, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def export_user_presets() -> Response:
    """Tell every preset with its picture, as SwarmUI does."""
    return answer({"presets": export_presets(runtime().settings.presets, USER)})
