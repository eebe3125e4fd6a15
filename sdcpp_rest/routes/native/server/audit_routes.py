"""The record of what changed models, settings and keys, over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from pydantic import Field

from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Integer, Wire, read_query

audit = Blueprint("audit", __name__)


class AuditQuery(Wire):
    tail: Integer = Field(100, ge=1, le=5_000, description="How many entries, the newest.")


class ChangeShown(Answer):
    """What was before and after; `null` for nothing. Secrets are stars, long values are cut."""

    name: str = Field(examples=["settings.output", "models.model", "models.file", "keys.frame"])
    before: Any
    after: Any


class AuditEntry(Answer):
    """One call, and what it has changed."""

    at: str = Field(description="In UTC.", examples=["2026-11-28T07:30:00.000Z"])
    key: str = Field(
        description="The name of the caller's key; `auth.api_keys` for one without a name, `anybody` where no key is "
        "asked for, `server` for what nobody asked for over HTTP."
    )
    address: str = Field(description="The caller's; empty for the server itself.")
    call: str = Field(examples=["PUT /settings/output", "WebSocket /API/SelectModelWS", "tool load_model", "start"])
    status: int | None = Field(description="Of the answer, where it had one.")
    changes: list[ChangeShown] = Field(description="What it has changed, as far as that can be told in short.")


class AuditShown(Answer):
    """The newest entries, the newest first, without the server's folders."""

    entries: list[AuditEntry]
    truncated: bool = Field(description="Whether there are older ones.")


@audit.get("/audit")
@needs("admin")
@documents({200: AuditShown}, query=AuditQuery)
def show_audit() -> Response:
    """Read who changed models, settings and keys. The last 5 to 10 MiB are kept."""
    entries, truncated = runtime().audit.read(read_query(AuditQuery).tail)
    return answer({"entries": runtime().redact_paths.in_values(entries), "truncated": truncated})
