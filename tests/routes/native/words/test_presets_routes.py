"""Presets over HTTP: one table for the native API and for SwarmUI's page."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from tests.cases import for_each_case

SETTINGS = {"steps": 12, "cfg_scale": 2.5, "prompt": "{prompt}, soft", "hires": {"on": True}, "tags": ["a", 1]}


def call(client: FlaskClient, name: str, **fields: Any) -> Any:
    session = client.post("/API/GetNewSession", json={}).get_json()["session_id"]
    return client.post(f"/API/{name}", json={"session_id": session, **fields}).get_json()


def swarm_presets(client: FlaskClient) -> dict[str, Any]:
    return {one["title"]: one["param_map"] for one in call(client, "GetMyUserData")["presets"]}


def test_a_preset_comes_back_as_it_was_kept(house: Any) -> None:
    kept = house.client.put("/ui/presets/Portraits/soft", json={"settings": SETTINGS, "description": "d"})
    assert kept.status_code == 201
    assert kept.get_json()["settings"] == SETTINGS
    shown = house.client.get("/ui/presets/portraits/SOFT").get_json()
    assert (shown["name"], shown["description"], shown["starred"]) == ("Portraits/soft", "d", False)
    assert shown["swarmui"] == {}
    again = house.client.put("/ui/presets/portraits/soft", json={"settings": {"steps": 3}, "starred": True}).get_json()
    assert (again["created"], again["settings"], again["starred"]) == (False, {"steps": 3}, True)
    assert house.client.get("/ui/presets").get_json()["total"] == 1
    assert house.client.delete("/ui/presets/PORTRAITS/soft").get_json()["name"] == "portraits/soft"
    missing = house.client.get("/ui/presets/portraits/soft")
    assert missing.status_code == 404


def test_swarmui_sees_what_it_has_words_for_and_leaves_the_rest(house: Any) -> None:
    client = house.client
    client.put("/ui/presets/Soft", json={"settings": SETTINGS})
    assert swarm_presets(client) == {"Soft": {"steps": "12", "cfgscale": "2.5", "prompt": "{value}, soft"}}
    changed = {"steps": "20", "loras": "ink"}
    call(client, "AddNewPreset", title="Soft", description="", param_map=changed, is_edit=True, editing="Soft")
    shown = client.get("/ui/presets/Soft").get_json()
    assert shown["settings"] == {"steps": 20, "hires": {"on": True}, "tags": ["a", 1]}
    assert shown["swarmui"] == {"loras": "ink"}


def test_a_preset_of_swarmuis_is_seen_and_may_be_sent_back(house: Any) -> None:
    client = house.client
    param_map = {"steps": "8", "sampler": "dpmpp_2m", "aspectratio": "16:9", "loras": "ink", "cfgscale": "x"}
    call(client, "AddNewPreset", title="Theirs", description="d", param_map=param_map)
    shown = client.get("/ui/presets/Theirs").get_json()
    assert shown["settings"] == {"steps": 8, "sampler": "dpm++2m"}
    assert shown["swarmui"] == {"aspectratio": "16:9", "loras": "ink", "cfgscale": "x"}
    client.put("/ui/presets/Theirs", json={name: shown[name] for name in ("settings", "swarmui", "description")})
    assert swarm_presets(client) == {"Theirs": param_map}


def test_an_export_of_swarmuis_is_imported(house: Any) -> None:
    client = house.client
    client.put("/ui/presets/Soft", json={"settings": SETTINGS})
    text = json.dumps({title: {"title": title, "param_map": {"steps": "5"}} for title in ("Soft", "Hard", "..")})
    first = client.post("/ui/presets/import", json={"text": text}).get_json()
    assert (first["imported"], first["replaced"]) == (["Hard"], [])
    assert [one["name"] for one in first["skipped"]] == ["..", "Soft"]
    second = client.post("/ui/presets/import", json={"text": text, "overwrite": True}).get_json()
    assert second["replaced"] == ["Soft", "Hard"]
    assert client.get("/ui/presets/soft").get_json()["settings"] == {"steps": 5}, "and nothing of what was there"


def test_an_unknown_preset_is_told_with_the_nearest(house: Any) -> None:
    house.client.put("/ui/presets/Soft light", json={})
    answer = house.client.get("/ui/presets/soft ligth")
    assert (answer.status_code, answer.get_json()["nearest"]) == (404, ["Soft light"])


@for_each_case("name", ["..", "a/../b", "a//b", "a\x00b", "a\nb", " a", "x" * 201, "a\\b"])
def test_names_that_cannot_be_one_are_refused(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.put(f"/ui/presets/{quote(name, safe='')}", json={"settings": {}})
    assert answer.status_code in (308, 400, 404), answer.text
    assert shared_client.get("/ui/presets").get_json()["total"] == 0


@for_each_case(
    ("body", "field"),
    [
        ({"settings": []}, "settings"),
        ({"settings": "x"}, "settings"),
        ({"settings": {"a": "x" * 300_000}}, "parameters"),
        ({"settings": {"prompt": "x" * 300_000}}, "parameters"),
        ({"swarmui": {"loras": 5}}, "swarmui.loras"),
        ({"description": "x" * 10_001}, "description"),
        ({"starred": "perhaps"}, "starred"),
    ],
)
def test_bodies_that_cannot_be_one_are_refused(shared_client: FlaskClient, body: Any, field: str) -> None:
    answer = shared_client.put("/ui/presets/a", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert shared_client.get("/ui/presets").get_json()["total"] == 0
