"""Tells and changes the settings of SwarmUI's page: a fixed tree of them, of which the page reads types and values.

The page throws where one that it knows is missing, or has a value of another type. Pure over what was stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["text", "integer", "decimal", "boolean", "dropdown"]
Value = str | int | float | bool

MAX_TEXT = 2_000
STORED = "user_settings"
"""Under which name the settings that differ from their defaults are kept, by their ids."""


class Setting(NamedTuple):
    """One setting. ``id`` is ``group.id`` or an id alone; ``choices`` are the values of a drop-down."""

    id: str
    kind: Kind
    default: Value
    name: str
    description: str
    choices: tuple[str, ...] = ()


THEMES: Mapping[str, Mapping[str, Any]] = {
    "modern_dark": {
        "name": "Modern Dark",
        "is_dark": True,
        "css_paths": ["css/themes/modern.css", "css/themes/modern_dark.css"],
    },
    "modern_light": {
        "name": "Modern Light",
        "is_dark": False,
        "css_paths": ["css/themes/modern.css", "css/themes/modern_light.css"],
    },
}
"""Their files are the page's own."""

LANGUAGES: Mapping[str, tuple[str, str]] = {"en": ("English", "English")}
"""Code -> name, and the name in that language."""

_GROUPS: Mapping[str, tuple[str, str]] = {
    "vaes": ("VAEs", "Autoencoders to use where a model's own is not wanted."),
    "ui": ("UI", "How the page behaves."),
    "audio": ("Audio", "Sounds of the page."),
    "autocomplete": ("AutoComplete", "Completion of words in prompts."),
}

_VAES = (
    ("defaultsdxlvae", "DefaultSDXLVAE"),
    ("defaultsdv1vae", "DefaultSDv1VAE"),
    ("defaultsvdvae", "DefaultSVDVAE"),
    ("defaultfluxvae", "DefaultFluxVAE"),
    ("defaultflux2vae", "DefaultFlux2VAE"),
    ("defaultsd3vae", "DefaultSD3VAE"),
    ("defaultmochivae", "DefaultMochiVAE"),
)

SETTINGS: tuple[Setting, ...] = (
    Setting("theme", "dropdown", "modern_dark", "Theme", "The colours of the page.", tuple(THEMES)),
    Setting("language", "dropdown", "en", "Language", "The language of the page.", tuple(LANGUAGES)),
    Setting("centerimagealwaysgrow", "boolean", False, "CenterImageAlwaysGrow", "Let the picture fill its area."),
    Setting(
        "autoswapimagesincludesfullview",
        "boolean",
        False,
        "AutoSwapImagesIncludesFullView",
        "Show a new picture in the full view as well, while that is open.",
    ),
    Setting(
        "buttonsundermainimages",
        "text",
        "",
        "ButtonsUnderMainImages",
        "Which buttons stand below a picture, separated by commas.",
    ),
    Setting(
        "imagemetadataformat",
        "dropdown",
        "auto",
        "ImageMetadataFormat",
        "Where a picture's parameters are shown.",
        ("auto", "below", "side"),
    ),
    Setting("resetbatchsizetoone", "boolean", False, "ResetBatchSizeToOne", "Load parameters without their batch."),
    Setting(
        "hintformat",
        "dropdown",
        "BUTTON",
        "HintFormat",
        "How the descriptions of parameters are shown.",
        ("BUTTON", "HOVER", "HOVER_DELAY", "NONE"),
    ),
    Setting("hoverdelayseconds", "decimal", 0.5, "HoverDelaySeconds", "Seconds before a hint is shown."),
    Setting("maxpromptlines", "integer", 10, "MaxPromptLines", "Lines of the prompt's box before it scrolls."),
    Setting(
        "maximagesinminigrid", "integer", 1, "MaxImagesInMiniGrid", "Pictures that are shown together as a small grid."
    ),
    Setting("maxsimulpreviews", "integer", 1, "MaxSimulPreviews", "Live previews that may wait at a time."),
    Setting("enterkeygenerates", "boolean", True, "EnterKeyGenerates", "Draw when Enter is pressed in the prompt."),
    Setting(
        "generateforeverdelay", "decimal", 0.1, "GenerateForeverDelay", "Seconds between pictures that go on for ever."
    ),
    Setting(
        "generateforeverqueuesize",
        "integer",
        1,
        "GenerateForeverQueueSize",
        "Pictures that wait while they go on for ever.",
    ),
    Setting(
        "parametermemorydurationhours",
        "decimal",
        6.0,
        "ParameterMemoryDurationHours",
        "Hours for which the browser remembers parameters.",
    ),
    Setting(
        "reuseparamexcludelist",
        "text",
        "wildcardseed",
        "ReuseParamExcludeList",
        "Parameters that are not taken over from a picture, separated by commas.",
    ),
    *(
        Setting(f"vaes.{id}", "dropdown", "None", name, "None: what the model brings along.", ("None",))
        for id, name in _VAES
    ),
    Setting("ui.tagmovehotkeyenabled", "boolean", False, "TagMoveHotkeyEnabled", "Move tags of a prompt with Alt."),
    Setting(
        "ui.checkifsurebeforedelete", "boolean", True, "CheckIfSureBeforeDelete", "Ask before a picture is deleted."
    ),
    Setting(
        "ui.presetlistdetailsfields",
        "text",
        "",
        "PresetListDetailsFields",
        "What is shown of a preset in the list, separated by commas.",
    ),
    Setting(
        "ui.copytriggerphrasewithtrailingcomma",
        "boolean",
        False,
        "CopyTriggerPhraseWithTrailingComma",
        "Copy trigger words with a comma behind them.",
    ),
    Setting(
        "ui.removeinterruptedgens", "boolean", False, "RemoveInterruptedGens", "Take pictures away that were stopped."
    ),
    Setting(
        "ui.hideerrormessages", "text", "", "HideErrorMessages", "Messages that are not shown, separated by commas."
    ),
    Setting(
        "ui.deleteimagebehavior",
        "dropdown",
        "next",
        "DeleteImageBehavior",
        "What is shown when a picture was deleted.",
        ("next", "previous", "nothing"),
    ),
    Setting("ui.imageshiftingcycles", "boolean", True, "ImageShiftingCycles", "Go from the last picture to the first."),
    Setting(
        "ui.defaulthidemetadatainfullview",
        "boolean",
        False,
        "DefaultHideMetadataInFullview",
        "Open the full view without a picture's parameters.",
    ),
    Setting("audio.completionsound", "dropdown", "", "CompletionSound", "Played when a picture is done.", ("",)),
    Setting("audio.volume", "decimal", 0.5, "Volume", "From 0 to 1."),
    Setting(
        "audio.videoaudiobehavior",
        "dropdown",
        "last",
        "VideoAudioBehavior",
        "Whether videos begin with their sound on.",
        ("last", "play", "silent"),
    ),
    Setting("autocomplete.source", "dropdown", "", "Source", "The list of words; there is none here.", ("",)),
    Setting("autocomplete.escapeparens", "boolean", True, "EscapeParens", "Put a backslash before brackets."),
    Setting("autocomplete.suffix", "text", "", "Suffix", "What is written behind a word."),
    Setting(
        "autocomplete.matchmode",
        "dropdown",
        "Bucketed",
        "MatchMode",
        "Which words are offered.",
        ("Bucketed", "Contains", "StartsWith"),
    ),
    Setting(
        "autocomplete.sortmode",
        "dropdown",
        "Active",
        "SortMode",
        "The order of what is offered.",
        ("Active", "Alphabetical", "Frequency", "None"),
    ),
    Setting(
        "autocomplete.spacingmode",
        "dropdown",
        "None",
        "SpacingMode",
        "What becomes of spaces in words.",
        ("None", "Spaces", "Underscores"),
    ),
)
_BY_ID: Mapping[str, Setting] = {setting.id: setting for setting in SETTINGS}


def settings_tree(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting with its value, as GetUserSettings answers: groups hold theirs in ``value``."""
    tree: dict[str, Any] = {}
    for setting in SETTINGS:
        group, _, own = setting.id.rpartition(".")
        branch = tree
        if group:
            name, description = _GROUPS[group]
            branch = tree.setdefault(group, _node("group", name, {}, description))["value"]
        branch[own] = {
            **_node(setting.kind, setting.name, value_of(setting, stored), setting.description, setting.choices),
            "default_value": setting.default,
        }
    return tree


def change_settings(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[dict[str, Value], list[str]]:
    """What is to be stored when ``asked`` is applied, and the ids that are not known or whose values do not fit: those
    are left as they are."""
    kept: dict[str, Value] = {id: value_of(_BY_ID[id], stored) for id in stored if id in _BY_ID}
    left = []
    for id, given in asked.items():
        setting = _BY_ID.get(id.lower())
        value = _parse(setting, given) if setting is not None else None
        if setting is None or value is None:
            left.append(id)
        else:
            kept[setting.id] = value
    return {id: value for id, value in kept.items() if value != _BY_ID[id].default}, left


def value_of(setting: Setting, stored: Mapping[str, Any]) -> Value:
    """The stored value, where it is one that the setting may have; else the default."""
    if setting.id not in stored:
        return setting.default
    value = _parse(setting, stored[setting.id])
    return setting.default if value is None else value


def describe_language(code: str) -> dict[str, Any] | None:
    """A language as GetLanguage answers; ``None`` for one that is not there. No text of the page is translated."""
    if code not in LANGUAGES:
        return None
    name, local_name = LANGUAGES[code]
    return {"code": code, "name": name, "local_name": local_name, "keys": {}}


def _node(kind: str, name: str, value: Any, description: str, choices: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "value": value,
        "description": description,
        "values": list(choices) or None,
        "value_names": list(choices) or None,
        "is_secret": False,
    }


def _parse(setting: Setting, given: Any) -> Value | None:
    """``given`` as the setting's type, which may come as text; ``None`` where it does not fit."""
    if isinstance(given, dict | list) or given is None:
        return None
    text = ("true" if given else "false") if isinstance(given, bool) else str(given)
    if setting.kind == "boolean":
        return {"true": True, "false": False}.get(text.strip().lower())
    if setting.kind == "text":
        return text if len(text) <= MAX_TEXT else None
    if setting.kind == "dropdown":
        return text if text in setting.choices else None
    try:
        number = float(text) if len(text) <= 40 and not isinstance(given, bool) else math.nan
    except ValueError:
        return None
    if not math.isfinite(number) or abs(number) >= 2**31:
        return None
    if setting.kind == "decimal":
        return number
    return int(number) if number.is_integer() else None
