"""Finds the server that runs on this machine and calls its API over HTTP.

Reads ``server.json``; knows nothing of what is asked for.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from sdcpp_rest.cli.server_access import Refused, ServerAccess

if TYPE_CHECKING:
    import requests

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
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
            raise click.ClickException(f"--url {self._url}: expected an address like http://127.0.0.1:8080") from None
        except requests.RequestException as error:
            raise click.ClickException(f"The server at {self._url} does not answer: {_reason_of(error)}") from None
        return answer.status_code, answer.content

    def check(self) -> None:
        """Raise Refused or ClickException when it is no server of this API that answers there."""
        status, content = self._answer("GET", "/health", None)
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        # Who shows no key is told the status alone.
        if isinstance(answer, dict) and "status" in answer:
            return
        if isinstance(answer, dict) and "error" in answer and "code" in answer:
            raise Refused(status, content, self.place)
        raise click.ClickException(
            f"{self._url} is no sdcpp-rest server: it answers GET /health with HTTP {status} and "
            f"{'other JSON' if answer is not None else 'no JSON'}"
        )

    def close(self) -> None:
        self._session.close()

    def kept_at(self, name: str) -> str:
        return f"{self._url}/output/{quote(name)}"

    def pause(self, job_id: str) -> None:
        time.sleep(_LOOK_SECONDS)


def _reason_of(error: requests.RequestException) -> str:
    """Why a call failed, for people: what the libraries say names their classes."""
    import requests

    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "no machine of that name is known"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "nothing listens there"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection can be made (an http:// server, or a certificate that is not trusted)"
    if isinstance(error, requests.Timeout):
        return "it takes too long"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not lead there (see http_proxy and no_proxy)"
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno and cause.strerror), None)
    if system is None or isinstance(system, ConnectionResetError | BrokenPipeError):
        return "it has closed the connection"
    return str(system.strerror).lower()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all it came from."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
