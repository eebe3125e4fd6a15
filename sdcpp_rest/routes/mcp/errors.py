"""How a tool says that something went wrong: as its result, in our own sentence, for the model to read and do better.

Knows errors, and no tool.
"""

from __future__ import annotations

from typing import Any

from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.path_redaction import PathRedaction

_TOLD = ("job_id", "error_id")


def to_refusal(error: SdcppRestError, redact_paths: PathRedaction) -> dict[str, Any]:
    """The result of a tool that was refused or failed."""
    text = redact_paths(error.message)
    nearest = [str(name) for name in error.detail.get("nearest") or ()]
    if nearest:
        text += f"; the nearest names are {', '.join(nearest)}"
    told = {name: error.detail[name] for name in _TOLD if name in error.detail}
    facts = "".join(f"; {name} {value}" for name, value in told.items())
    return {
        "content": [{"type": "text", "text": f"{text} ({error.code}{facts})"}],
        "structuredContent": {"error": text, "code": error.code, **told},
        "isError": True,
    }
