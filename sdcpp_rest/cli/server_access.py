"""Calls the API for a command, wherever it is served, and turns refusals into messages.

Knows nothing of sockets and of runtimes: `RunningServer` and `OwnEngine` do.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

import click


class Refused(click.ClickException):
    """A call was answered with an error. ``code`` and ``field`` are the API's, empty where it told none."""

    def __init__(self, status: int, body: bytes, place: str) -> None:
        self.code = self.field = ""
        nearest: list[str] = []
        try:
            said = json.loads(body)
            message, self.code, self.field = str(said["error"]), str(said.get("code", "")), str(said.get("field", ""))
            nearest += [str(name) for name in said.get("nearest") or ()]
        except (ValueError, KeyError, TypeError, AttributeError):
            message = f"HTTP {status}"
        message = message.removeprefix("Internal error: ")
        if nearest:
            message += f"; the nearest names are {', '.join(nearest)}"
        super().__init__(message + place)


class ServerAccess(ABC):
    """Calls the API of one server."""

    place = ""
    """Said after refusals: where they came from."""
    default_model: str | None = None
    """What has to be loaded when no model was named; ``None`` where a model is selected already."""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object of the answer. Raises Refused, ClickException."""
        return dict(json.loads(self.call(method, path, body)))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The body of the answer. Raises Refused, ClickException."""
        status, content = self._answer(method, path, body)
        if status >= 400:
            raise Refused(status, content, self.place)
        return content

    @abstractmethod
    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        """Status and body."""

    @abstractmethod
    def pause(self, job_id: str) -> None:
        """Wait a moment before looking at the job again."""
