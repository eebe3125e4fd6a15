"""Reads prompt styles out of other programs' files: A1111's CSV, Fooocus' lists of styles, SwarmUI's presets.

Pure. What cannot be taken over is told with the reason, entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sdcpp_rest.core.prompt_language.surroundings import NEGATIVE_ID, PROMPT_ID, parameter_id
from sdcpp_rest.core.prompt_style import PLACE, PromptStyle
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.settings.import_texts import read_exported
from sdcpp_rest.services.settings.prompt_styles import check_style_name
from sdcpp_rest.services.settings.style_file import MAX_STYLES, StyleTable

MAX_TEXT_CHARACTERS = 16_000
"""Of one style's prompt: as long as a prompt may be."""
_VALUE = "{value}"


class Skipped(NamedTuple):
    """An entry that was not taken over, and why."""

    name: str
    reason: str


class ReadStyles(NamedTuple):
    styles: list[PromptStyle]
    skipped: list[Skipped]


def read_styles(text: str) -> ReadStyles:
    """The styles of a file: JSON where it begins like that, else CSV. Raises InvalidRequest for a file that is
    neither."""
    begin = text.lstrip("\ufeff \t\r\n")[:1]
    entries = list(_from_json(text) if begin in ("[", "{") else _from_csv(text))
    if not entries:
        raise InvalidRequest(
            "text: holds no styles; a CSV file with the columns name, prompt and negative_prompt is needed, or JSON as "
            "Fooocus or SwarmUI write it",
            field="text",
        )
    found: dict[str, PromptStyle] = {}
    skipped: list[Skipped] = []
    for name, style, reason in entries:
        reason = reason or (_complaint(style) if style is not None else "it is no style")
        if reason is None and style is not None and name in found:
            reason = "the file has two styles of this name; the first was taken"
        if reason is None and len(found) >= MAX_STYLES:
            reason = f"at most {MAX_STYLES} styles are kept"
        if reason is None and style is not None:
            found[name] = style
        else:
            skipped.append(Skipped(name[:200], reason or ""))
    return ReadStyles([*found.values()], skipped)


Entry = tuple[str, PromptStyle | None, str | None]
"""A name, the style, and why it cannot be one."""


def _complaint(style: PromptStyle) -> str | None:
    try:
        check_style_name(style.name)
    except InvalidRequest as error:
        return error.message.partition(": ")[2]
    for text in (style.prompt, style.negative_prompt):
        if len(text) > MAX_TEXT_CHARACTERS or "\0" in text:
            return f"its text is too long or holds NUL; at most {MAX_TEXT_CHARACTERS} characters are allowed"
    return None if style.prompt or style.negative_prompt else "it has no text"


def _from_csv(text: str) -> Iterator[Entry]:
    try:
        table = StyleTable(text)
    except ValueError as error:
        raise InvalidRequest(f"text: is no file of styles: {error}", field="text") from None
    for style in table.styles().values():
        yield style.name, style, None


def _from_json(text: str) -> Iterator[Entry]:
    content = read_exported(text)
    named = content.items() if isinstance(content, dict) else (("", one) for one in content)
    for key, one in named:
        name = one.get("title", one.get("name", key)) if isinstance(one, dict) else key
        yield _read_entry(name if isinstance(name, str) else "", one)


def _read_entry(name: str, one: Any) -> Entry:
    if not isinstance(one, dict):
        return name, None, "it is no object"
    if "param_map" in one:
        return _from_preset(name, one["param_map"])
    texts = [one.get(field) or "" for field in ("prompt", "negative_prompt")]
    if not all(isinstance(text, str) for text in texts):
        return name, None, "its prompts are no texts"
    return name, PromptStyle(name=name, prompt=texts[0], negative_prompt=texts[1]), None


def _from_preset(name: str, parameters: Any) -> Entry:
    """A preset of SwarmUI's, where it holds nothing but prompts."""
    if not isinstance(parameters, Mapping):
        return name, None, "its param_map is no object"
    texts = {parameter_id(str(id)): text for id, text in parameters.items()}
    more = sorted(id for id in texts if id not in (PROMPT_ID, NEGATIVE_ID))
    if more:
        shown = ", ".join(more[:5])
        return name, None, f"it sets more than prompts ({shown}); import it as a preset"
    prompt, negative = (str(texts.get(id) or "").replace(_VALUE, PLACE) for id in (PROMPT_ID, NEGATIVE_ID))
    return name, PromptStyle(name=name, prompt=prompt, negative_prompt=negative), None
