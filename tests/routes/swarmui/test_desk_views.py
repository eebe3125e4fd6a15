from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.routes.swarmui.conftest import SwarmClient


def test_tokens_are_counted(shared_swarm: SwarmClient) -> None:
    assert shared_swarm.call("CountTokens", text="a photo of a cat") == {"count": 5}
    assert shared_swarm.call("CountTokens", text="") == {"count": 0}
    asked = {"text": "a <random:cat|dog>", "skipPromptSyntax": "true", "tokenset": "clip", "weighting": "false"}
    assert shared_swarm.call("CountTokens", **asked) == {"count": 2}


@for_each_case(
    ("asked", "words"),
    [
        ({}, "Missing required parameter 'text'"),
        ({"text": "x" * 102_401}, "Text too long, refused."),
        ({"text": "x", "tokenset": "../clip"}, "Invalid tokenset (refused characters or format), refused."),
        ({"text": "x", "tokenset": " "}, "Invalid tokenset (refused characters or format), refused."),
        ({"text": "x", "tokenset": "t5"}, "Tokenset 't5' does not exist."),
        ({"text": "x", "weighting": 1}, "Invalid value '1' for parameter 'weighting', must be type 'Boolean'"),
    ],
)
def test_wrong_count_is_refused(shared_swarm: SwarmClient, asked: dict[str, Any], words: str) -> None:
    assert shared_swarm.refusal("CountTokens", **asked) == words


def test_prompt_is_tried(shared_swarm: SwarmClient) -> None:
    for prompt, result in (("a cat", "a cat"), ("", ""), ("a <random:cat> <setvar[x]:y><var:x>", "a cat yy")):
        assert shared_swarm.call("TestPromptFill", prompt=prompt) == {"result": result}
    drawn = {shared_swarm.call("TestPromptFill", prompt="<random:1-1000>")["result"] for _ in range(5)}
    assert len(drawn) > 1
    assert shared_swarm.refusal("TestPromptFill") == "Missing required parameter 'prompt'"


def test_preset_of_a_prompt_is_the_users(swarm: SwarmClient) -> None:
    preset = {"title": "Ink", "description": "", "param_map": {"prompt": "{value}, in ink"}}
    swarm.call("AddNewPreset", **preset)
    assert swarm.call("TestPromptFill", prompt="a cat<preset:ink>") == {"result": "a cat, in ink"}


def test_keys_are_the_configurations(make_house: Any) -> None:
    house: House = make_house(downloads={"civitai_token": "secret"}).start()
    swarm = SwarmClient(house.client)
    said = "set in this server's configuration"
    assert swarm.call("GetAPIKeyStatus", keyType="civitai_api") == {"status": said}
    assert swarm.call("GetAPIKeyStatus", keyType="stability_api") == {"status": "not set"}
    refused = swarm.refusal("SetAPIKey", keyType="civitai_api", key="other")
    assert refused == "Keys are set in this server's configuration: downloads.civitai_token"
    assert swarm.refusal("SetAPIKey", keyType="other", key="x") == "Invalid key type 'other'."
    assert swarm.refusal("SetAPIKey", keyType="civitai_api") == "Missing required parameter 'key'"


def test_nobody_logs_in(shared_swarm: SwarmClient) -> None:
    refused = shared_swarm.call("Login", session_id=None, username="x", password="y")
    assert refused["error_id"] == "invalid_login"
    assert shared_swarm.call("Logout") == {"success": True}


def test_note_stands_in_the_log_on_one_line(shared_swarm: SwarmClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="sdcpp_rest"):
        assert shared_swarm.call("ServerDebugMessage", message="one\ntwo" + "x" * 5000) == {"success": True}
    (note,) = (record.getMessage() for record in caplog.records if "one" in record.getMessage())
    assert "\n" not in note
    assert len(note) < 600


def test_no_window_is_opened(shared_swarm: SwarmClient) -> None:
    assert shared_swarm.refusal("OpenImageFolder", path="raw") == "Cannot open image folder on this OS."


def test_configuration_is_not_shown(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("ListServerSettings", status=400)
    assert shown == {"error": "You lack permissions for this route.", "error_id": "bad_permissions"}
