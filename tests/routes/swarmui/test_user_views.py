from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.routes.swarmui.conftest import SwarmClient

PLACEHOLDER = "imgs/model_placeholder.jpg"


def data_url(width: int = 600, height: int = 300) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (1, 200, 30)).save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def add(swarm: SwarmClient, title: str = "One", **more: Any) -> dict[str, Any]:
    asked = {"title": title, "description": "d", "param_map": {"steps": "4", "prompt": "a {value}"}, **more}
    return swarm.call("AddNewPreset", **asked)


def presets(swarm: SwarmClient) -> list[dict[str, Any]]:
    return list(swarm.call("GetMyUserData")["presets"])


def test_user_begins_with_nothing(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("GetMyUserData")
    permissions = shown.pop("permissions")
    assert shown == {
        "user_name": "local",
        "presets": [],
        "language": "en",
        "starred_models": {},
        "model_preset_links": {},
        "autocompletions": None,
    }
    assert "manage_presets" in permissions


def test_stars_and_links_are_the_body_without_the_session(swarm: SwarmClient) -> None:
    assert swarm.call("SetStarredModels", LoRA=["one", "two"], VAE=[]) == {"success": True}
    assert swarm.call("SetPresetLinks", LoRA={"one": ["Preset"]}) == {"success": True}
    shown = swarm.call("GetMyUserData")
    assert shown["starred_models"] == {"LoRA": ["one", "two"], "VAE": []}
    assert shown["model_preset_links"] == {"LoRA": {"one": ["Preset"]}}
    swarm.call("SetStarredModels")
    assert swarm.call("GetMyUserData")["starred_models"] == {}


@for_each_case(
    ("route", "body"),
    [
        ("SetStarredModels", {"LoRA": "one"}),
        ("SetStarredModels", {"LoRA": [1]}),
        ("SetStarredModels", {"LoRA": {"x": []}}),
        ("SetPresetLinks", {"LoRA": ["x"]}),
        ("SetPresetLinks", {"LoRA": {"one": "Preset"}}),
        ("SetStarredModels", {"LoRA": ["x" * 300_000]}),
        ("SetParamEdits", {"edits": [1]}),
        ("SetParamEdits", {}),
        ("SetParamEdits", {"edits": {"x": "y" * 300_000}}),
        ("ChangeUserSettings", {"settings": "dark"}),
        ("ChangeUserSettings", {}),
    ],
)
def test_what_the_page_could_not_read_back_is_refused(
    shared_swarm: SwarmClient, route: str, body: dict[str, Any]
) -> None:
    before = shared_swarm.call("GetMyUserData")
    assert shared_swarm.refusal(route, **body)
    assert shared_swarm.call("GetMyUserData") == before


def test_settings_are_changed_and_kept(swarm: SwarmClient, house: House) -> None:
    shown = swarm.call("GetUserSettings")
    assert shown["themes"]["modern_dark"] == {
        "name": "Modern Dark",
        "is_dark": True,
        "css_paths": ["css/themes/modern.css", "css/themes/modern_dark.css"],
    }
    assert shown["settings"]["theme"]["value"] == "modern_dark"
    changed = {"theme": "modern_light", "audio.volume": "0.25", "nothing": 1}
    assert swarm.call("ChangeUserSettings", settings=changed) == {"success": True}
    settings = swarm.call("GetUserSettings")["settings"]
    assert (settings["theme"]["value"], settings["audio"]["value"]["volume"]["value"]) == ("modern_light", 0.25)
    assert settings["theme"]["default_value"] == "modern_dark"
    assert house.runtime.settings.swarm_options.get()["user_settings"] == {
        "theme": "modern_light",
        "audio.volume": 0.25,
    }


def test_language_is_told(shared_swarm: SwarmClient) -> None:
    language = {"code": "en", "name": "English", "local_name": "English", "keys": {}}
    assert shared_swarm.call("GetLanguage", language="en") == {"language": language}
    assert shared_swarm.refusal("GetLanguage", language="../en") == "No such language."
    assert shared_swarm.refusal("GetLanguage") == "Missing required parameter 'language'"


def test_preset_is_kept_as_the_page_shows_it(swarm: SwarmClient) -> None:
    assert add(swarm, is_starred=True) == {"success": True}
    assert presets(swarm) == [
        {
            "author": "local",
            "title": "One",
            "description": "d",
            "preview_image": PLACEHOLDER,
            "is_starred": True,
            "param_map": {"steps": "4", "prompt": "a {value}"},
        }
    ]


def test_values_of_a_preset_become_texts(swarm: SwarmClient) -> None:
    add(swarm, param_map={"steps": 4, "cfgscale": 1.5, "on": True, "loras": ["a", "b"], "none": None})
    assert presets(swarm)[0]["param_map"] == {"steps": "4", "cfgscale": "1.5", "on": "true", "loras": "a,b"}


@pytest.mark.parametrize(
    ("title", "kept"),
    [("  Folder \\ Name  ", "Folder/Name"), ("/a//b/", "a/b"), ('x<>:"|?*~&@;#$^y', "xy"), ("../../etc", "etc")],
)
def test_title_is_a_path_without_what_files_cannot_hold(swarm: SwarmClient, title: str, kept: str) -> None:
    add(swarm, title)
    assert [preset["title"] for preset in presets(swarm)] == [kept]


@for_each_case(
    ("asked", "words"),
    [
        ({"title": "  "}, "Invalid or empty title."),
        ({"title": "..//?"}, "Invalid or empty title."),
        ({"title": "ONE"}, "A preset with that title already exists."),
        ({"preview_image": "/etc/passwd"}, "Forbidden preview-image path."),
        ({"preview_image": "http://other.example/x.jpg"}, "Forbidden preview-image path."),
        ({"preview_image": "data:image/jpeg;base64,!"}, "preview_image is not valid base64"),
        ({"param_map": {"steps": {}}}, "param_map: steps must be a text"),
    ],
)
def test_preset_that_is_none_fails_in_upstreams_words(swarm: SwarmClient, asked: dict[str, Any], words: str) -> None:
    add(swarm)
    title = asked.pop("title", "Two")
    assert add(swarm, title, **asked) == {"preset_fail": words}
    assert len(presets(swarm)) == 1


@for_each_case(
    ("asked", "words"),
    [
        ({"description": "d", "param_map": {}}, "Missing required parameter 'title'"),
        ({"title": "x", "param_map": {}}, "Missing required parameter 'description'"),
        ({"title": "x", "description": "d"}, "Missing required parameter 'param_map'"),
        ({"title": "x", "description": "d", "param_map": []}, "Invalid value '[]' for parameter 'param_map', must be"),
        ({"title": "x" * 300, "description": "d", "param_map": {}}, "title: is 300 long; at most 200 are kept"),
    ],
)
def test_wrong_preset_is_refused(shared_swarm: SwarmClient, asked: dict[str, Any], words: str) -> None:
    assert shared_swarm.refusal("AddNewPreset", **asked).startswith(words)


def test_preset_is_edited_under_its_old_or_a_new_title(swarm: SwarmClient) -> None:
    add(swarm)
    add(swarm, "One", description="new", is_edit="true", editing="One")
    add(swarm, "Two", is_edit=True, editing="one", param_map={"steps": "9"})
    (only,) = presets(swarm)
    assert (only["title"], only["description"], only["param_map"]) == ("Two", "d", {"steps": "9"})


def test_preview_of_a_preset_is_small_and_stays_when_the_page_sends_its_address_back(swarm: SwarmClient) -> None:
    add(swarm, "Folder/Öne", preview_image=data_url(), preview_image_metadata="{}")
    address = presets(swarm)[0]["preview_image"]
    assert address.startswith("/ViewSpecial/Preset/Folder/%C3%96ne?editid=")
    shown = swarm.client.get(address)
    assert (shown.status_code, shown.mimetype) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(shown.data)).size == (256, 128)
    add(swarm, "Folder/Two", is_edit=True, editing="Folder/Öne", preview_image=address)
    kept = presets(swarm)[0]["preview_image"]
    assert swarm.client.get(kept).data == shown.data
    add(swarm, "Folder/Two", is_edit=True, editing="Folder/Two", preview_image=PLACEHOLDER)
    assert presets(swarm)[0]["preview_image"] == PLACEHOLDER
    assert swarm.client.get(kept).status_code == 404


def test_presets_are_exported_with_their_pictures(swarm: SwarmClient) -> None:
    add(swarm, "One", preview_image=data_url())
    add(swarm, "Two")
    one, two = swarm.call("ExportUserPresets")["presets"]
    assert one["preview_image"].startswith("data:image/jpeg;base64,")
    assert (two["title"], two["preview_image"]) == ("Two", PLACEHOLDER)
    for preset in (one, two):
        swarm.call("DeletePreset", preset=preset["title"])
        preset.pop("author")
        assert swarm.call("AddNewPreset", **preset) == {"success": True}
    assert [preset["title"] for preset in presets(swarm)] == ["One", "Two"]


def test_preset_is_copied_and_deleted(swarm: SwarmClient) -> None:
    add(swarm)
    assert swarm.call("DuplicatePreset", preset="One") == {"success": True}
    assert [preset["title"] for preset in presets(swarm)] == ["One", "One (2)"]
    assert swarm.call("DuplicatePreset", preset="gone") == {"preset_fail": "No such preset."}
    assert swarm.call("DeletePreset", preset="One") == {"success": True}
    assert swarm.call("DeletePreset", preset="One") == {"success": False}
    assert swarm.refusal("DeletePreset") == "Missing required parameter 'preset'"
