"""Finds the server that runs on this machine and calls its API over HTTP.

Reads ``server.json``; knows nothing of what is asked for.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import click

from sdcpp_rest.cli.server_access import ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.config import Config

_LOOK_SECONDS = 0.1


def running_server(config: Config) -> str | None:
    """The URL of the server that holds this data folder, if it answers."""
    from sdcpp_rest.client import Client, ClientError

    try:
        found = json.loads((config.paths.data_dir / "server.json").read_text(encoding="utf-8"))
        url = str(found["url"])
        with Client(url, timeout=2) as client:
            client.health()
    except (OSError, ValueError, KeyError, TypeError, ClientError):
        return None
    return url


class RunningServer(ServerAccess):
    """Calls the API at ``url``; ``key`` is sent along, as ``key`` or ``user:key``."""

    def __init__(self, url: str, key: str | None) -> None:
        from sdcpp_rest.client import Client

        self._url, own_key = _without_key(url.rstrip("/"))
        self.place = f" (from {self._url})"
        try:
            super().__init__(Client(self._url, own_key or key))
        except ValueError:
            raise click.ClickException(f"--url {self._url}: expected an address like http://127.0.0.1:8080") from None

    def check(self) -> None:
        """Raise ApiError or ClickException when it is no server of this API that answers there."""
        from sdcpp_rest.client import ApiError
        from sdcpp_rest.client.steps import Request

        try:
            content = self.client.run(Request(bytes, "GET", "/health"))
        except ApiError as refusal:
            if refusal.code:
                raise
            raise click.ClickException(self._no_server(f"HTTP {refusal.status}")) from None
        try:
            answer = json.loads(content)
        except ValueError:
            raise click.ClickException(self._no_server("HTTP 200 and no JSON")) from None
        # Who shows no key is told the status alone.
        if not isinstance(answer, dict) or "status" not in answer:
            raise click.ClickException(self._no_server("HTTP 200 and other JSON"))

    def _no_server(self, answered: str) -> str:
        return f"{self._url} is no sdcpp-rest server: it answers GET /health with {answered}"

    def close(self) -> None:
        self.client.close()

    def kept_at(self, name: str) -> str:
        return f"{self._url}/output/{quote(name)}"

    def pause(self, job_id: str) -> None:
        time.sleep(_LOOK_SECONDS)


def _without_key(url: str) -> tuple[str, str | None]:
    """The address, and the key that stands in it (``http://user:key@host``) if one does."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, None
    if not parts.password:
        return url, None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), unquote(parts.password)
