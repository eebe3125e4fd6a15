from __future__ import annotations

from typing import Any

from sdcpp_rest.routes.swarmui.user_settings import SETTINGS, change_settings, describe_language, settings_tree
from tests.cases import for_each_case

JSON_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "dropdown": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "decimal": (int, float),
}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for id, node in tree.items():
        if node["type"] == "group":
            found |= flat(node["value"], f"{prefix}{id}.")
        else:
            found[prefix + id] = node
    return found


NEEDED = [
    "theme", "language", "reuseparamexcludelist", "centerimagealwaysgrow", "autoswapimagesincludesfullview",
    "vaes.defaultsdxlvae", "vaes.defaultsdv1vae", "ui.defaulthidemetadatainfullview", "autocomplete.source",
    "autocomplete.sortmode", "autocomplete.matchmode", "imagemetadataformat", "buttonsundermainimages", "hintformat",
    "maxpromptlines", "resetbatchsizetoone", "parametermemorydurationhours", "generateforeverdelay",
    "generateforeverqueuesize", "ui.checkifsurebeforedelete", "ui.deleteimagebehavior", "ui.hideerrormessages",
    "ui.imageshiftingcycles", "ui.removeinterruptedgens", "ui.presetlistdetailsfields", "audio.completionsound",
    "audio.volume", "audio.videoaudiobehavior",
]  # fmt: skip


@for_each_case("id", NEEDED)
def test_page_finds_what_it_needs(id: str) -> None:
    node = flat(settings_tree({}))[id]
    assert {*node} == {
        "type", "name", "value", "description", "values", "value_names", "is_secret", "default_value",
    }  # fmt: skip


@for_each_case("setting", SETTINGS, ids=lambda setting: setting.id)
def test_values_have_the_json_type_that_their_type_says(setting: Any) -> None:
    node = flat(settings_tree({}))[setting.id]
    for value in (node["value"], node["default_value"]):
        assert isinstance(value, JSON_TYPES[node["type"]])
        assert isinstance(value, bool) == (node["type"] == "boolean")
    assert (node["values"] is not None) == (node["type"] == "dropdown")
    assert node["type"] != "dropdown" or node["value"] in node["values"]


def test_groups_hold_theirs_in_value() -> None:
    group = settings_tree({})["vaes"]
    assert (group["type"], group["name"]) == ("group", "VAEs")
    assert group["value"]["defaultsdxlvae"]["values"] == ["None"]


@for_each_case(
    ("id", "given", "value"),
    [
        ("theme", "modern_light", "modern_light"),
        ("THEME", "modern_light", "modern_light"),
        ("maxpromptlines", 5, 5),
        ("maxpromptlines", "5", 5),
        ("maxpromptlines", 5.0, 5),
        ("audio.volume", 1, 1.0),
        ("audio.volume", "0.25", 0.25),
        ("Audio.Volume", "0.25", 0.25),
        ("ui.removeinterruptedgens", True, True),
        ("ui.removeinterruptedgens", "True", True),
        ("buttonsundermainimages", "Star", "Star"),
        ("buttonsundermainimages", 5, "5"),
    ],
)
def test_setting_is_changed(id: str, given: Any, value: Any) -> None:
    kept, left = change_settings({}, {id: given})
    assert (kept, left) == ({id.lower(): value}, [])
    assert flat(settings_tree(kept))[id.lower()]["value"] == value


@for_each_case(
    ("id", "given"),
    [
        ("nothing", 1),
        ("vaes", {}),
        ("vaes.defaultsdxlvae", "other.safetensors"),
        ("theme", "pink"),
        ("theme", None),
        ("maxpromptlines", "many"),
        ("maxpromptlines", 5.5),
        ("maxpromptlines", True),
        ("maxpromptlines", 2**31),
        ("maxpromptlines", "9" * 5000),
        ("audio.volume", float("nan")),
        ("audio.volume", []),
        ("ui.removeinterruptedgens", "maybe"),
        ("buttonsundermainimages", "x" * 2001),
    ],
)
def test_what_does_not_fit_is_left_as_it_is(id: str, given: Any) -> None:
    assert change_settings({"maxpromptlines": 7}, {id: given}) == ({"maxpromptlines": 7}, [id])


def test_stored_value_of_another_time_is_its_default_again() -> None:
    tree = flat(settings_tree({"theme": "gone", "maxpromptlines": "x", "forgotten": 1}))
    assert (tree["theme"]["value"], tree["maxpromptlines"]["value"]) == ("modern_dark", 10)
    assert change_settings({"forgotten": 1, "theme": "gone"}, {}) == ({}, [])


def test_defaults_take_no_room() -> None:
    assert change_settings({"maxpromptlines": 7}, {"maxpromptlines": 10}) == ({}, [])


def test_languages() -> None:
    assert describe_language("en") == {"code": "en", "name": "English", "local_name": "English", "keys": {}}
    assert describe_language("xx") is None
