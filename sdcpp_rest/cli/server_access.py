"""Gives a command the API, wherever it is served, and turns refusals into messages.

Knows nothing of sockets and of runtimes: `RunningServer` and `OwnEngine` do.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sdcpp_rest.client import Client, ClientError


class ServerAccess(ABC):
    """Calls the API of one server with ``client``."""

    place = ""
    """Said after refusals: where they came from."""
    default_model: str | None = None
    """What has to be loaded when no model was named; ``None`` where a model is selected already."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @contextlib.contextmanager
    def plain_refusals(self) -> Iterator[None]:
        """Turn what the client raises into one sentence. Raises ClickException."""
        from sdcpp_rest.client import ClientError

        try:
            yield
        except ClientError as error:
            raise click.ClickException(self.explain(error)) from None

    def explain(self, error: ClientError) -> str:
        """Say why a call failed."""
        from sdcpp_rest.client import ApiError, ConnectionFailed

        if isinstance(error, ConnectionFailed):
            return str(error)
        message = str(error).removeprefix("Internal error: ")
        if isinstance(error, ApiError) and error.nearest:
            message += f"; the nearest names are {', '.join(error.nearest)}"
        return message + self.place

    @abstractmethod
    def kept_at(self, name: str) -> str:
        """The URL of a finished file, when it stays after this command; else empty."""

    @abstractmethod
    def pause(self, job_id: str) -> None:
        """Wait a moment before looking at the job again."""
