"""Types the words of the wire about prompts: styles, presets, wildcards, and what becomes of a prompt.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, Required, TypedDict


class ExpandBody(TypedDict, total=False):
    """The body of `POST /prompt/expand`."""

    prompt: Required[str]
    negative_prompt: str
    seed: int
    count: int
    styles: list[str]
    mode: Literal["txt2img", "img2img", "txt2vid"]
    model: str


class ExpandedPrompt(TypedDict):
    """What a request with this seed and `expand_prompt` draws."""

    seed: int
    prompt: str
    negative_prompt: str
    loras: list[LoraUsed]
    wildcards: list[str]
    presets: list[str]
    variables: dict[str, str]
    settings: dict[str, Any]
    unknown: list[Unknown]
    warnings: list[str]


class LoraUsed(TypedDict):
    """A part of `ExpandedPrompt`."""

    name: str
    weight: float


class PresetBody(TypedDict, total=False):
    """A whole preset: what is left out is not in it."""

    settings: dict[str, Any]
    swarmui: dict[str, Any]
    description: str
    starred: bool


class PresetImportBody(TypedDict, total=False):
    """The body of `POST /ui/presets/import`."""

    text: Required[str]
    overwrite: bool


class PresetRemoved(TypedDict):
    """The answer of `DELETE /ui/presets/{preset_name}`."""

    success: Literal[True]
    name: str


class PresetSkipped(TypedDict):
    """A part of `PresetsImported`."""

    name: str
    reason: str


class PresetsImported(TypedDict):
    """What became of the presets of a file. Their pictures are not taken over."""

    imported: list[str]
    replaced: list[str]
    skipped: list[PresetSkipped]
    warnings: NotRequired[list[str]]


class PromptsExpanded(TypedDict):
    """The answer of `POST /prompt/expand`."""

    prompts: list[ExpandedPrompt]
    warnings: NotRequired[list[str]]


class StyleBody(TypedDict, total=False):
    """The body of `PUT /styles/{style_name}`."""

    prompt: str
    negative_prompt: str


class StyleImportBody(TypedDict, total=False):
    """The body of `POST /styles/import`."""

    text: Required[str]
    overwrite: bool


class StyleRemoved(TypedDict):
    """The answer of `DELETE /styles/{style_name}`."""

    success: Literal[True]
    name: str


class StyleShown(TypedDict):
    """The answer of `GET /styles/{style_name}`."""

    name: str
    prompt: str
    negative_prompt: str


class StyleSkipped(TypedDict):
    """A part of `StylesImported`."""

    name: str
    reason: str


class StylesImported(TypedDict):
    """What became of the styles of a file."""

    imported: list[str]
    replaced: list[str]
    skipped: list[StyleSkipped]
    warnings: NotRequired[list[str]]


class StylesShown(TypedDict):
    """Every prompt style, in the order of the file."""

    total: int
    styles: list[StyleShown]


class TokensBody(TypedDict, total=False):
    """The body of `POST /prompt/tokens`."""

    prompt: Required[str]
    negative_prompt: str
    model: str


class TokensCounted(TypedDict):
    """The answer of `POST /prompt/tokens`."""

    model: str
    prompt: list[TokensOfEncoder]
    negative_prompt: NotRequired[list[TokensOfEncoder]]
    warnings: NotRequired[list[str]]


class TokensOfEncoder(TypedDict):
    """What one text encoder of the model makes of a prompt."""

    encoder: Literal["clip_l", "clip_g", "t5xxl", "umt5", "llm", "t5"]
    count: int
    chunk: int | None
    chunks: int | None
    limit: int | None
    truncated_at_character: int | None
    exact: bool


class UiPresetShown(TypedDict):
    """The answer of `GET /ui/presets/{preset_name}`."""

    name: str
    description: str
    starred: bool
    settings: dict[str, Any]
    swarmui: dict[str, str]
    has_preview: bool
    edited_at: str


class UiPresetsShown(TypedDict):
    """Every preset, in the order in which they were added."""

    total: int
    presets: list[UiPresetShown]


class Unknown(TypedDict):
    """Something that a tag asks for and that is not there."""

    kind: str
    name: str
    error: str


class WildcardBody(TypedDict, total=False):
    """What the file is to hold: one of the two."""

    text: str
    entries: list[str]


class WildcardListed(TypedDict):
    """A part of `WildcardsShown`."""

    name: str
    entries: int | None


class WildcardRemoved(TypedDict):
    """The answer of `DELETE /wildcards/{wildcard_name}`."""

    success: Literal[True]
    name: str


class WildcardShown(TypedDict):
    """The answer of `GET /wildcards/{wildcard_name}`."""

    name: str
    text: str
    entries: list[str]
    has_preview: bool


class WildcardsQuery(TypedDict, total=False):
    """The query of `GET /wildcards`."""

    counts: bool


class WildcardsShown(TypedDict):
    """All wildcards, by name; the first 20,000 where there are more."""

    total: int
    wildcards: list[WildcardListed]


class PresetKept(UiPresetShown):
    """The answer of `PUT /ui/presets/{preset_name}`."""

    created: bool
    warnings: NotRequired[list[str]]


class StyleKept(StyleShown):
    """The answer of `PUT /styles/{style_name}`."""

    created: bool
    warnings: NotRequired[list[str]]


class WildcardKept(WildcardShown):
    """The answer of `PUT /wildcards/{wildcard_name}`."""

    created: bool
    warnings: NotRequired[list[str]]
