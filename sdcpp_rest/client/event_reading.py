"""Reads the messages of the native WebSocket back into the events that they were."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from sdcpp_rest.core.events import Event, JobPreview, JobProgress, ServerStatus, TransferProgress


@dataclass(frozen=True)
class Message:
    """What the server has said: the event (``None`` for what this version does not know), the server's time of it, and
    its number with the epoch that this counts in, where it has one."""

    event: Event | None
    at: str = ""
    number: tuple[int, str] | None = None


def read_message(message: str | bytes) -> Message:
    """Read a message. Fields that this version does not know are left out."""
    try:
        said = json.loads(message)
        at, number = str(said.get("timestamp", "")), _number_of(said)
    except (ValueError, AttributeError, RecursionError):
        return Message(None)
    try:
        name, payload = said["event"], said["data"]
        kind = _progress_kind(payload) if name == JobProgress.name else _kinds()[name]
        return Message(kind.model_validate(_own_fields(kind, payload)), at, number)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        return Message(None, at, number)


def progress_of(job_id: str, shown: Mapping[str, Any]) -> JobProgress:
    """The event that a job's ``progress`` stands for."""
    kind = _progress_kind(shown)
    return kind.model_validate(_own_fields(kind, {**shown, "job_id": job_id}))


def _number_of(said: Mapping[str, Any]) -> tuple[int, str] | None:
    seq, epoch = said.get("seq"), said.get("epoch")
    return (seq, epoch) if type(seq) is int and isinstance(epoch, str) else None


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
