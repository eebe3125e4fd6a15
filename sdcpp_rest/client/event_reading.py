"""Reads the messages of the native WebSocket back into the events that they were."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from sdcpp_rest.core.events import Event, JobPreview, JobProgress, ServerStatus, TransferProgress


def read_event(message: str | bytes) -> tuple[Event, str] | None:
    """The event and the server's time of it; ``None`` for what this version does not know, such as a newer server's.

    Fields that it does not know are left out.
    """
    try:
        said = json.loads(message)
        name, payload, at = said["event"], said["data"], str(said.get("timestamp", ""))
        kind = _progress_kind(payload) if name == JobProgress.name else _kinds()[name]
        return kind.model_validate(_own_fields(kind, payload)), at
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        return None


def progress_of(job_id: str, shown: Mapping[str, Any]) -> JobProgress:
    """The event that a job's ``progress`` stands for."""
    kind = _progress_kind(shown)
    return kind.model_validate(_own_fields(kind, {**shown, "job_id": job_id}))


def _progress_kind(payload: Mapping[str, Any]) -> type[JobProgress]:
    return TransferProgress if "downloaded_bytes" in payload else JobProgress


def _own_fields(kind: type[Event], payload: Mapping[str, Any]) -> dict[str, Any]:
    if kind is ServerStatus:
        return {"status": payload}
    fields = {name: value for name, value in payload.items() if name in kind.model_fields}
    if kind is JobPreview:
        fields["jpeg"] = base64.b64decode(payload["image"].partition(",")[2], validate=True)
    return fields


@cache
def _kinds() -> dict[str, type[Event]]:
    """The events by their words."""
    return {kind.name: kind for kind in Event.__subclasses__()}
