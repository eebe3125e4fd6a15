"""What SwarmUI's calls about its user answer with. Knows no request."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from sdcpp_rest.routes.http.openapi import Answer


class SwarmPreset(BaseModel):
    """Parameters that were kept under a title."""

    author: str
    title: str = Field(description="May hold / between folders.")
    description: str
    preview_image: str = Field(description="An address; a data URL where presets are exported.")
    is_starred: bool
    param_map: dict[str, str]


class SwarmPresets(Answer):
    """Every preset."""

    presets: list[SwarmPreset]


class SwarmPresetRefusal(Answer):
    """A preset was not kept."""

    preset_fail: str


class SwarmUser(Answer):
    """What is kept for the page's user."""

    user_name: str
    presets: list[SwarmPreset]
    language: str
    permissions: list[str]
    starred_models: dict[str, list[str]]
    model_preset_links: dict[str, dict[str, list[str]]]
    autocompletions: list[str] | None


class SwarmTheme(BaseModel):
    """A theme of the page."""

    name: str
    is_dark: bool
    css_paths: list[str]


class SwarmSettings(Answer):
    """The page's settings."""

    themes: dict[str, SwarmTheme]
    settings: dict[str, Any] = Field(
        description="By id: type, name, value, description, values, value_names, is_secret, default_value; the value "
        "of a group is the same for its own."
    )


class SwarmLanguageFound(BaseModel):
    """A language of the page."""

    code: str
    name: str
    local_name: str
    keys: dict[str, str]


class SwarmLanguage(Answer):
    """A language of the page."""

    language: SwarmLanguageFound


class SwarmCount(Answer):
    """How many there are."""

    count: int


class SwarmFilled(Answer):
    """A prompt whose tags were resolved."""

    result: str


class SwarmKeyStatus(Answer):
    """Whether a key is there."""

    status: str
