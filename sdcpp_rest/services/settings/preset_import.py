"""Reads presets out of the file that SwarmUI exports. Pure; what cannot be taken over is told with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sdcpp_rest.core.parameter_preset import ParameterPreset
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.settings.import_texts import read_exported
from sdcpp_rest.services.settings.parameter_presets import MAX_PRESETS
from sdcpp_rest.services.settings.style_import import Skipped
from sdcpp_rest.services.settings.titles import check_title


def read_presets(text: str) -> tuple[list[ParameterPreset], list[Skipped]]:
    """The presets of a file, in its order. Raises InvalidRequest for a file that holds none."""
    found: dict[str, ParameterPreset] = {}
    skipped: list[Skipped] = []
    for title, one in _entries(text):
        try:
            preset = _read_preset(title, one)
        except InvalidRequest as error:
            skipped.append(Skipped(title[:200], error.message))
            continue
        if preset.title.casefold() in found:
            skipped.append(Skipped(title[:200], "the file has two presets of this title; the first was taken"))
        elif len(found) >= MAX_PRESETS:
            skipped.append(Skipped(title[:200], f"at most {MAX_PRESETS} presets are kept"))
        else:
            found[preset.title.casefold()] = preset
    return [*found.values()], skipped


def _entries(text: str) -> Iterator[tuple[str, Any]]:
    content = read_exported(text)
    if not isinstance(content, (dict, list)) or not content:
        raise InvalidRequest("text: holds no presets; JSON as SwarmUI exports them is needed", field="text")
    for key, one in content.items() if isinstance(content, dict) else [("", one) for one in content]:
        title = one.get("title", key) if isinstance(one, dict) else key
        yield title if isinstance(title, str) else "", one


def _read_preset(title: str, one: Any) -> ParameterPreset:
    parameters = one.get("param_map") if isinstance(one, dict) else None
    if not isinstance(parameters, dict):
        raise InvalidRequest("it has no param_map")
    texts = {id: text if isinstance(text, str) else json.dumps(text) for id, text in parameters.items()}
    if "\0" in "".join([*texts, *texts.values()]):
        raise InvalidRequest("it holds NUL")
    description = one.get("description")
    return ParameterPreset(
        title=check_title("title", title),
        description=description if isinstance(description, str) else "",
        parameters=texts,
        is_starred=one.get("is_starred") is True,
    )
