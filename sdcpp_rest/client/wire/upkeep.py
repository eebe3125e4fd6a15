"""Types the words of the wire about what sets the server right.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict


class AuditEntry(TypedDict):
    """One call, and what it has changed."""

    at: str
    key: str
    address: str
    call: str
    status: int | None
    changes: list[ChangeShown]


class AuditQuery(TypedDict, total=False):
    """The query of `GET /audit`."""

    tail: int


class AuditShown(TypedDict):
    """The newest entries, the newest first, without the server's folders."""

    entries: list[AuditEntry]
    truncated: bool


class ChangeShown(TypedDict):
    """What was before and after; `null` for nothing. Secrets are stars, long values are cut."""

    name: str
    before: Any
    after: Any


class CheckShown(TypedDict):
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warn", "fail"]
    text: str
    hint: str


class DoctorShown(TypedDict):
    """How the server is."""

    status: Literal["ok", "warn", "fail"]
    checks: list[CheckShown]


class EngineRestarting(TypedDict):
    """What became of it. With `starting` there is no new engine yet: `GET /health` and the WebSocket tell of it."""

    success: Literal[True]
    message: str
    status: Literal["ready", "starting"]
    pid: int | None
    restarts: int
    requeued: list[str]
    warnings: NotRequired[list[str]]


class LogQuery(TypedDict, total=False):
    """The query of `GET /logs/server`."""

    tail: int


class LogShown(TypedDict):
    """The last lines of a log, without the server's folders and without anybody's keys."""

    lines: list[str]
    truncated: bool


class RestartBody(TypedDict, total=False):
    """The body of `POST /engine/restart`."""

    force: bool
    engine: str


class EngineLogQuery(LogQuery, total=False):
    """The query of `GET /logs/engine`."""

    engine: str
