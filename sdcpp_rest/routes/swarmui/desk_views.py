"""SwarmUI's small calls around the page: counting tokens, trying prompts, keys, logging in, notes for the log."""

from __future__ import annotations

import logging
import secrets

from flask import Blueprint, Response

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.swarmui.calls import arguments, open_view
from sdcpp_rest.routes.swarmui.errors import LacksPermission, SwarmError
from sdcpp_rest.routes.swarmui.opening import open_wording
from sdcpp_rest.routes.swarmui.token_count import MAX_CHARACTERS, count_tokens
from sdcpp_rest.routes.swarmui.user_wire import SwarmCount, SwarmFilled, SwarmKeyStatus
from sdcpp_rest.routes.swarmui.wire import SwarmCall, SwarmSuccess

log = logging.getLogger(__name__)

swarmui_desk = Blueprint("swarmui_desk", __name__)
swarmui_desk.before_request(open_view)

_REFUSALS = (SwarmError,)
_KEY_SETTINGS = {"civitai_api": "downloads.civitai_token", "huggingface_api": "downloads.huggingface_token"}
"""Kinds of keys that are used here, and the settings that hold them."""


@swarmui_desk.post("/API/CountTokens")
@needs("read")
@documents({200: (SwarmCount, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def count_the_tokens() -> Response:
    """Count the tokens of a prompt, as SwarmUI does for CLIP; here by an estimate."""
    asked = arguments()
    text, tokenset = asked.text("text"), asked.text("tokenset", "clip")
    skips, weighting = asked.switch("skipPromptSyntax", False), asked.switch("weighting", True)
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest("Text too long, refused.", field="text")
    if not tokenset.strip() or len(tokenset) > 128 or {"/", "\\", "."} & {*tokenset}:
        raise InvalidRequest("Invalid tokenset (refused characters or format), refused.", field="tokenset")
    if tokenset != "clip":
        raise InvalidRequest(f"Tokenset '{shorten(tokenset)}' does not exist.", field="tokenset")
    return answer({"count": count_tokens(text, skips_syntax=skips, weighting=weighting)})


@swarmui_desk.post("/API/TestPromptFill")
@needs("read")
@documents({200: (SwarmFilled, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def test_prompt_fill() -> Response:
    """Resolve the tags of a prompt, as SwarmUI does to show what becomes of it."""
    running, prompt = runtime(), arguments().text("prompt")
    wording = open_wording(running.models, running.status, running.settings.presets.parameters)
    return answer({"result": wording.fill(prompt, secrets.randbelow(2**31))})


@swarmui_desk.post("/API/SetAPIKey")
@needs("admin")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def set_api_key() -> Response:
    """Refuse a key of another service: whoever runs this server sets them, in its configuration."""
    kind = arguments().text("keyType")
    arguments().text("key")
    if kind not in _KEY_SETTINGS:
        raise InvalidRequest(f"Invalid key type '{shorten(kind)}'.", field="keyType")
    raise InvalidRequest(f"Keys are set in this server's configuration: {_KEY_SETTINGS[kind]}", field="keyType")


@swarmui_desk.post("/API/GetAPIKeyStatus")
@needs("read")
@documents({200: (SwarmKeyStatus, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def get_api_key_status() -> Response:
    """Tell whether a key of another service is set, as SwarmUI does."""
    kind, downloads = arguments().text("keyType"), runtime().config.downloads
    keys = {"civitai_api": downloads.civitai_token, "huggingface_api": downloads.huggingface_token}
    is_set = kind in keys and bool(keys[kind].get_secret_value())
    return answer({"status": "set in this server's configuration" if is_set else "not set"})


@swarmui_desk.post("/API/Login")
@needs("read")
@documents({200: SwarmError}, body=SwarmCall, refusals=_REFUSALS)
def refuse_login() -> Response:
    """Refuse to log in: there are no accounts here, only keys that every call may carry."""
    arguments().text("username"), arguments().text("password")
    words = "This server has no accounts. Where it wants a key, send it as the cookie swarm_token."
    return answer({"error": words, "error_id": "invalid_login"})


@swarmui_desk.post("/API/Logout")
@needs("read")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def end_login() -> Response:
    """Say that nobody is logged in any more, as SwarmUI does; nobody was."""
    return answer({"success": True})


@swarmui_desk.post("/API/ServerDebugMessage")
@needs("admin")
@documents({200: (SwarmSuccess, SwarmError)}, body=SwarmCall, refusals=_REFUSALS)
def write_debug_message() -> Response:
    """Write a line into the server's log, as SwarmUI does."""
    log.info("a client notes: %r", arguments().text("message")[:500])
    return answer({"success": True})


@swarmui_desk.post("/API/OpenImageFolder")
@needs("admin")
@documents({200: SwarmError}, body=SwarmCall, refusals=_REFUSALS)
def open_image_folder() -> Response:
    """Refuse to open a window on the server's screen."""
    arguments().text("path")
    raise InvalidRequest("Cannot open image folder on this OS.", field="path")


@swarmui_desk.post("/API/ListServerSettings")
@needs("admin")
@documents({200: SwarmError}, body=SwarmCall, refusals=_REFUSALS)
def list_server_settings() -> Response:
    """Refuse to show the server's configuration: no user of the page may see it."""
    raise LacksPermission
