"""Keeps what the one user of SwarmUI's page has chosen: stars, links from models to presets, edits of parameters.

Each is a JSON object of which only the page knows the meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_rest.errors import InvalidRequest, PayloadTooLarge
from sdcpp_rest.services.settings.dialect_options import DialectOptions

STARRED_MODELS = "starred_models"
PRESET_LINKS = "model_preset_links"
PARAM_EDITS = "param_edits"


def read_object(options: DialectOptions, name: str) -> dict[str, Any]:
    """What was kept under ``name``; empty where nothing was."""
    found = options.get().get(name)
    return found if isinstance(found, dict) else {}


def read_param_edits(options: DialectOptions) -> dict[str, Any] | None:
    """The user's edits of parameters; ``None`` where there are none."""
    return read_object(options, PARAM_EDITS) or None


def keep_object(options: DialectOptions, name: str, value: Mapping[str, Any]) -> None:
    """Replace what is kept under ``name``. Raises InvalidRequest where all together would be too much."""
    try:
        options.put({name: dict(value)})
    except PayloadTooLarge as error:
        raise InvalidRequest(error.message, field=name) from None


def check_lists(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """``value`` itself, if it maps types of models to lists of names: what the page reads back. Raises
    InvalidRequest."""
    for kind, names in value.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidRequest(f"{kind[:80]}: must be a list of names", field=kind[:80])
    return value


def check_links(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """``value`` itself, if it maps types of models to lists of titles by the model's name. Raises InvalidRequest."""
    for kind, links in value.items():
        if not isinstance(links, dict):
            raise InvalidRequest(f"{kind[:80]}: must be an object of lists by the model's name", field=kind[:80])
        check_lists(links)
    return value
