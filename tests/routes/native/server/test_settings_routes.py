from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case

MODES = ("txt2img", "img2img", "txt2vid")


def put(client: FlaskClient, section: str, body: Any) -> dict[str, Any]:
    answer = client.put(f"/settings/{section}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def test_nothing_is_chosen_at_first(client: FlaskClient) -> None:
    assert client.get("/settings/generation").get_json() == {mode: {} for mode in MODES}
    assert client.get("/settings/generation/txt2img").get_json() == {}
    assert client.get("/settings/preferences").get_json() == {}
    assert client.get("/settings/output").get_json() == {"group_by": "none", "output_group_folders": False}
    assert client.get("/settings/auto-unload").get_json() == {
        "main": {"enabled": False, "timeout_minutes": 30}, "upscaler": {"enabled": False, "timeout_minutes": 30},
        "adetailer": {"enabled": False, "timeout_minutes": 30},
    }  # fmt: skip
    assert client.get("/settings/recycle-bin").get_json() == {"enabled": True, "retention_minutes": 10080}


def test_defaults_of_a_mode_are_replaced_as_a_whole(client: FlaskClient) -> None:
    body = {"steps": 12, "sampler": "euler", "negative_prompt": "blurry", "skip_layers": [1, 2], "vae_tiling": True}
    assert put(client, "generation/txt2img", body) == {"success": True, "mode": "txt2img", "preferences": body}
    assert client.get("/settings/generation/txt2img").get_json() == body
    put(client, "generation/img2img", {"strength": 0.4, "steps": None})
    put(client, "generation/txt2img", {"cfg_scale": 2})
    assert client.get("/settings/generation").get_json() == {
        "txt2img": {"cfg_scale": 2.0}, "img2img": {"strength": 0.4}, "txt2vid": {},
    }  # fmt: skip


def test_defaults_of_several_modes_are_chosen_at_once(client: FlaskClient) -> None:
    put(client, "generation/img2img", {"steps": 4})
    answer = put(client, "generation", {"txt2img": {"steps": 3}, "txt2vid": {"width": 64}, "odd": {}})
    assert answer["settings"] == {"txt2img": {"steps": 3}, "img2img": {"steps": 4}, "txt2vid": {"width": 64}}
    assert "odd" in answer["warnings"][0]
    assert put(client, "generation", {"txt2img": {}})["settings"]["txt2img"] == {}


def test_what_is_no_default_is_told_and_not_kept(client: FlaskClient) -> None:
    body = {"steps": 5, "prompt": "a cat", "title": "t", "init_image_base64": "x", "ref_images": ["x"], "stepps": 1}
    answer = put(client, "generation/img2img", body)
    assert answer["preferences"] == {"steps": 5}
    assert len(answer["warnings"]) == 5
    assert any("stepps" in warning and "did you mean 'steps'" in warning for warning in answer["warnings"])


@for_each_case(
    ("body", "field", "allowed"),
    [
        ({"steps": 0}, "steps", "between 1 and 10000"),
        ({"steps": 10_001}, "steps", "between 1 and 10000"),
        ({"width": 4097}, "width", "between 8 and 4096"),
        ({"cfg_scale": "seven"}, "cfg_scale", "a number"),
        ({"batch_count": 65}, "batch_count", "between 1 and 64"),
        ({"vae_tiling": 1}, "vae_tiling", "true or false"),
        ({"sampler": "eulr"}, "sampler", "one of euler, euler_a"),
        ({"scheduler": "none"}, "scheduler", "one of discrete"),
        ({"negative_prompt": "x" * 16_001}, "negative_prompt", "at most 16000"),
    ],
)
def test_values_are_those_of_the_requests(client: FlaskClient, body: dict[str, Any], field: str, allowed: str) -> None:
    for section, sent, path in (
        ("generation/txt2img", body, field),
        ("generation", {"img2img": body}, f"img2img.{field}"),
    ):
        answer = client.put(f"/settings/{section}", json=sent)
        assert answer.status_code == 400
        assert answer.get_json()["field"] in (path, field)
        assert allowed in answer.get_json()["error"]
    assert client.get("/settings/generation").get_json() == {mode: {} for mode in MODES}


FORM = {
    "width": 512, "steps": 20, "cfgScale": 7.5, "sampler": "no_sampler_of_ours", "cacheMode": "", "seed": -1,
    "hiresEnabled": False, "highNoiseCustomSigmas": "", "vaeTileRelSizeX": 0,
}  # fmt: skip


def test_a_form_in_camel_case_comes_back_as_it_was_put_and_is_no_default(house: Any) -> None:
    client = house.client
    put(client, "generation/txt2img", {"negative_prompt": "blurry"})
    assert put(client, "generation/txt2img", FORM) == {"success": True, "mode": "txt2img", "preferences": FORM}
    assert client.get("/settings/generation/txt2img").get_json() == FORM
    assert client.get("/settings/generation").get_json()["txt2img"] == FORM
    job_id = client.post("/txt2img", json={"prompt": "a cat"}).get_json()["job_id"]
    assert client.get(f"/queue/{job_id}").get_json()["params"]["negative_prompt"] == "blurry"
    again = {"cfg_scale": 2.0}
    assert put(client, "generation/txt2img", again)["preferences"] == again
    assert client.get("/settings/generation/txt2img").get_json() == again


def test_forms_of_several_modes_are_put_at_once(client: FlaskClient) -> None:
    answer = put(client, "generation", {"txt2img": FORM, "img2img": {"strength": 0.5}})
    assert answer == {"success": True, "settings": {"txt2img": FORM, "img2img": {"strength": 0.5}, "txt2vid": {}}}
    assert client.post("/settings/reset").status_code == 200
    assert client.get("/settings/generation").get_json() == {mode: {} for mode in MODES}


def test_a_form_has_its_bounds(client: FlaskClient) -> None:
    assert client.put("/settings/generation/txt2img", json={"cfgScale": "x" * 70_000}).status_code == 413


def test_a_detector_is_kept_and_frees_nothing(client: FlaskClient) -> None:
    rules = {"main": {"enabled": False, "timeout_minutes": 30}, "adetailer": {"enabled": False, "timeout_minutes": 5}}
    assert put(client, "auto-unload", rules).keys() == {"main", "upscaler", "adetailer"}
    shown = put(client, "auto-unload", {"adetailer": {"enabled": True}})
    assert shown["adetailer"] == {"enabled": True, "timeout_minutes": 5}
    assert "no detector" in shown["warnings"][0]


def test_an_unknown_mode_is_told(shared_client: FlaskClient) -> None:
    for answer in (
        shared_client.get("/settings/generation/upscale"),
        shared_client.put("/settings/generation/img2vid", json={}),
    ):
        assert answer.status_code == 404
        assert answer.get_json()["allowed"] == list(MODES)


def test_preferences_are_merged_and_null_removes(client: FlaskClient) -> None:
    put(client, "preferences", {"theme": "dark", "lists": {"txt2img": [1], "img2img": []}})
    answer = put(client, "preferences", {"theme": None, "lists": {"img2img": [2]}, "\u00e4": "\U0001f600"})
    expected = {"lists": {"txt2img": [1], "img2img": [2]}, "\u00e4": "\U0001f600"}
    assert answer == {"success": True, "settings": expected}
    assert client.get("/settings/preferences").get_json() == expected


def test_preferences_are_an_object_of_bounded_size_and_depth(client: FlaskClient) -> None:
    deep: dict[str, Any] = {}
    for _ in range(70):
        deep = {"a": deep}
    for body, status in (([1], 400), ({"a": "x" * 70_000}, 413), (deep | {"b": 1}, 400)):
        assert client.put("/settings/preferences", json=body).status_code == status
    assert client.put("/settings/preferences", data='{"a": NaN}').status_code == 400
    assert client.get("/settings/preferences").get_json() == {}


@pytest.mark.parametrize("body", [{"group_by": "date"}, {"group_by": "x" * 9000}, {"output_group_folders": True}])
def test_output_folders_cannot_be_grouped_yet(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.put("/settings/output", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (501, next(iter(body)))
    assert len(answer.data) < 1000
    assert put(client, "output", {"group_by": "none"})["group_by"] == "none"
    assert put(client, "output", {"output_group_folders": False, "x": 1})["warnings"]


def test_auto_unload_changes_what_is_sent(client: FlaskClient) -> None:
    answer = put(client, "auto-unload", {"main": {"enabled": True, "timeout_minutes": 5}, "detector": {}})
    assert answer["main"] == {"enabled": True, "timeout_minutes": 5}
    assert answer["upscaler"] == {"enabled": False, "timeout_minutes": 30}
    assert "detector" in answer["warnings"][0]
    put(client, "auto-unload", {"upscaler": {"enabled": True}, "main": {"timeout_minutes": 1440}})
    assert client.get("/settings/auto-unload").get_json() == {
        "main": {"enabled": True, "timeout_minutes": 1440}, "upscaler": {"enabled": True, "timeout_minutes": 30},
        "adetailer": {"enabled": False, "timeout_minutes": 30},
    }  # fmt: skip


@for_each_case(
    ("section", "body", "field"),
    [
        ("auto-unload", {"main": {"timeout_minutes": 0}}, "main.timeout_minutes"),
        ("auto-unload", {"upscaler": {"timeout_minutes": 1441}}, "upscaler.timeout_minutes"),
        ("auto-unload", {"main": {"enabled": "yes"}}, "main.enabled"),
        ("auto-unload", {"main": True}, "main"),
        ("recycle-bin", {"retention_minutes": 0}, "retention_minutes"),
        ("recycle-bin", {"retention_minutes": 10**9}, "retention_minutes"),
        ("recycle-bin", {"enabled": 1}, "enabled"),
    ],
)
def test_bad_rules_are_refused_by_name(
    shared_client: FlaskClient, section: str, body: dict[str, Any], field: str
) -> None:
    answer = shared_client.put(f"/settings/{section}", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)


def test_one_section_or_all_are_reset(client: FlaskClient) -> None:
    put(client, "generation/txt2img", {"steps": 3})
    put(client, "preferences", {"theme": "dark"})
    put(client, "recycle-bin", {"enabled": False})
    answer = client.post("/settings/reset", json={"section": "generation"})
    assert answer.get_json()["reset"] == ["generation"]
    assert client.get("/settings/generation/txt2img").get_json() == {}
    assert client.get("/settings/preferences").get_json() == {"theme": "dark"}
    assert client.post("/settings/reset", json={"section": "everything"}).status_code == 400
    answer = client.post("/settings/reset").get_json()
    assert answer["success"] is True
    assert len(answer["reset"]) == 5
    assert client.get("/settings/preferences").get_json() == {}
    assert client.get("/settings/recycle-bin").get_json()["enabled"] is True
