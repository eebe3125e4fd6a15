"""Finds the server that runs on this machine and calls its API over HTTP.

Reads ``server.json``; knows nothing of what is asked for.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from sdcpp_rest.cli.server_access import ServerAccess

if TYPE_CHECKING:
    from sdcpp_rest.config import Config

_LOOK_SECONDS = 0.1


def running_server(config: Config) -> str | None:
    """The URL of the server that holds this data folder, if it answers."""
    import requests

    try:
        found = json.loads((config.paths.data_dir / "server.json").read_text(encoding="utf-8"))
        url = str(found["url"])
        requests.get(f"{url}/health", timeout=2).raise_for_status()
    except (OSError, ValueError, KeyError, TypeError, requests.RequestException):
        return None
    return url


class RunningServer(ServerAccess):
    """Calls the API at ``url``; ``key`` is sent along, as ``key`` or ``user:key``."""

    def __init__(self, url: str, key: str | None) -> None:
        import requests

        self._url = url.rstrip("/")
        self.place = f" (from {url})"
        self._session = requests.Session()
        if key:
            self._session.headers["Authorization"] = f"Bearer {key.rpartition(':')[2]}"

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        import requests

        try:
            # No limit to the answer's time: a model may take minutes to load.
            answer = self._session.request(method, self._url + path, json=body, timeout=(5, None))
        except requests.RequestException as error:
            raise click.ClickException(f"The server at {self._url} does not answer: {error}") from None
        return answer.status_code, answer.content

    def close(self) -> None:
        self._session.close()

    def pause(self, job_id: str) -> None:
        time.sleep(_LOOK_SECONDS)
