"""Asks about words: prompt styles, presets, wildcards, and what becomes of a prompt."""

from __future__ import annotations

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call
from sdcpp_rest.client.steps import Request
from sdcpp_rest.client.wire.words import (
    ExpandBody,
    PresetBody,
    PresetImportBody,
    PresetKept,
    PresetRemoved,
    PresetsImported,
    PromptsExpanded,
    StyleBody,
    StyleImportBody,
    StyleKept,
    StyleRemoved,
    StyleShown,
    StylesImported,
    StylesShown,
    TokensBody,
    TokensCounted,
    UiPresetShown,
    UiPresetsShown,
    WildcardBody,
    WildcardKept,
    WildcardRemoved,
    WildcardShown,
    WildcardsQuery,
    WildcardsShown,
)


class WordCalls:
    """Keeps what prompts are made of, and looks at what becomes of them."""

    @Call
    def expand_prompt(self, **fields: Unpack[ExpandBody]) -> Request[PromptsExpanded]:
        """Resolve the tags of prompts as a request with ``expand_prompt`` would, and draw nothing."""
        return Request(PromptsExpanded, "POST", "/prompt/expand", body=fields)

    @Call
    def count_prompt_tokens(self, **fields: Unpack[TokensBody]) -> Request[TokensCounted]:
        """Count the tokens of a prompt for each text encoder of a model."""
        return Request(TokensCounted, "POST", "/prompt/tokens", body=fields)

    @Call
    def list_styles(self) -> Request[StylesShown]:
        """List the prompt styles."""
        return Request(StylesShown, "GET", "/styles")

    @Call
    def show_style(self, name: str) -> Request[StyleShown]:
        """Show one prompt style."""
        return Request(StyleShown, "GET", "/styles/{style_name}", {"style_name": name})

    @Call
    def keep_style(self, name: str, **fields: Unpack[StyleBody]) -> Request[StyleKept]:
        """Keep a prompt style under a name, in the place of what had it before."""
        return Request(StyleKept, "PUT", "/styles/{style_name}", {"style_name": name}, body=fields)

    @Call
    def remove_style(self, name: str) -> Request[StyleRemoved]:
        """Forget a prompt style."""
        return Request(StyleRemoved, "DELETE", "/styles/{style_name}", {"style_name": name})

    @Call
    def import_styles(self, **fields: Unpack[StyleImportBody]) -> Request[StylesImported]:
        """Take over the prompt styles of another program's file."""
        return Request(StylesImported, "POST", "/styles/import", body=fields)

    @Call
    def export_styles(self) -> Request[str]:
        """Get all prompt styles as a CSV file."""
        return Request(str, "GET", "/styles/export")

    @Call
    def list_wildcards(self, **query: Unpack[WildcardsQuery]) -> Request[WildcardsShown]:
        """List the wildcards with how many entries each has."""
        return Request(WildcardsShown, "GET", "/wildcards", query=query)

    @Call
    def show_wildcard(self, name: str) -> Request[WildcardShown]:
        """Show one wildcard: its text, and the entries that it stands for."""
        return Request(WildcardShown, "GET", "/wildcards/{wildcard_name}", {"wildcard_name": name})

    @Call
    def keep_wildcard(self, name: str, **fields: Unpack[WildcardBody]) -> Request[WildcardKept]:
        """Write a wildcard, whole or not at all."""
        return Request(WildcardKept, "PUT", "/wildcards/{wildcard_name}", {"wildcard_name": name}, body=fields)

    @Call
    def remove_wildcard(self, name: str) -> Request[WildcardRemoved]:
        """Delete a wildcard, and its preview."""
        return Request(WildcardRemoved, "DELETE", "/wildcards/{wildcard_name}", {"wildcard_name": name})

    @Call
    def list_presets(self) -> Request[UiPresetsShown]:
        """List the presets: settings that are kept under a name."""
        return Request(UiPresetsShown, "GET", "/ui/presets")

    @Call
    def show_preset(self, name: str) -> Request[UiPresetShown]:
        """Show one preset."""
        return Request(UiPresetShown, "GET", "/ui/presets/{preset_name}", {"preset_name": name})

    @Call
    def keep_preset(self, name: str, **fields: Unpack[PresetBody]) -> Request[PresetKept]:
        """Keep settings under a name, in the place of what had it before."""
        return Request(PresetKept, "PUT", "/ui/presets/{preset_name}", {"preset_name": name}, body=fields)

    @Call
    def remove_preset(self, name: str) -> Request[PresetRemoved]:
        """Forget a preset."""
        return Request(PresetRemoved, "DELETE", "/ui/presets/{preset_name}", {"preset_name": name})

    @Call
    def import_presets(self, **fields: Unpack[PresetImportBody]) -> Request[PresetsImported]:
        """Take over the presets of a file that SwarmUI has exported."""
        return Request(PresetsImported, "POST", "/ui/presets/import", body=fields)
