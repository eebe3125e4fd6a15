"""Reads the JSON that other programs export presets and styles as."""

from __future__ import annotations

import json
from typing import Any

from sdcpp_rest.errors import InvalidRequest


def read_exported(text: str) -> Any:
    """The content of an exported text, out of the ``presets`` that SwarmUI has around it. Raises InvalidRequest."""
    try:
        content = json.loads(text.lstrip("\ufeff"))
    except RecursionError:
        raise InvalidRequest("text: is nested too deeply", field="text") from None
    except ValueError as error:
        raise InvalidRequest(f"text: is no JSON: {error}", field="text") from None
    return content.get("presets", content) if isinstance(content, dict) else content
