"""Hugging Face on loopback: repositories with their API, HEADs that tell LFS sums, redirects to a second host."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.servers.fault_server import Answer, Asked, FaultServer, ServedFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_CODES = {404: "RepoNotFound", 401: "RepoNotFound", 403: "GatedRepo"}


@dataclass
class Repository:
    """``files``: path -> content. ``is_gated``: only with ``token``. ``sums``: told instead of the truth."""

    files: dict[str, bytes]
    licence: str | None = "apache-2.0"
    is_gated: bool = False
    is_private: bool = False
    token: str = "hf_right"
    revisions: tuple[str, ...] = ("main", COMMIT)
    sums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    small: frozenset[str] = frozenset()


class HubServer:
    """``hub`` answers like huggingface.co, ``cdn`` holds the bytes."""

    def __init__(self) -> None:
        self.hub, self.cdn = FaultServer(), FaultServer()
        self.repositories: dict[str, Repository] = {}
        self.broken_status: int | None = None
        self.hub.pages.append(self._page)

    @property
    def url(self) -> str:
        return self.hub.url

    def add(self, name: str, repository: Repository) -> dict[str, ServedFile]:
        """Returns the files as the second host serves them."""
        self.repositories[name] = repository
        return {path: self.cdn.add(f"/{name}/{path}", content) for path, content in repository.files.items()}

    def close(self) -> None:
        self.hub.close()
        self.cdn.close()

    def _page(self, asked: Asked) -> Answer | None:
        if self.broken_status is not None:
            return self.broken_status, {"Content-Type": "text/plain"}, b"broken"
        parts = [part for part in asked.path.split("/") if part]
        is_api = parts[:2] == ["api", "models"]
        parts = parts[2:] if is_api else parts
        name, rest = "/".join(parts[:2]), parts[2:]
        repository = self.repositories.get(name)
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token != "hf_right":
            return _refused(401, "", "Invalid credentials in Authorization header")
        if repository is None or (repository.is_private and token != repository.token):
            return _refused(404 if token else 401, "RepoNotFound", "Repository not found")
        revision = unquote(rest[1]) if len(rest) > 1 else "main"
        if revision not in repository.revisions:
            return _refused(404, "RevisionNotFound", "Revision not found")
        if is_api:
            return _described(name, repository)
        if rest[:1] != ["resolve"]:
            return None
        path = "/".join(rest[2:])
        if path not in repository.files:
            return _refused(404, "EntryNotFound", "Entry not found")
        if repository.is_gated and token != repository.token:
            return _refused(401 if not token else 403, "GatedRepo", "Access to this model is restricted")
        content = repository.files[path]
        told = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(repository.sizes.get(path, len(content))),
            "X-Linked-Etag": f'"{repository.sums.get(path, hashlib.sha256(content).hexdigest())}"',
            "Location": f"{self.cdn.url}/{name}/{path}?signature=abc",
            "ETag": '"hub"',
        }
        if path in repository.small:
            told["X-Linked-Etag"] = f'"{hashlib.sha1(content).hexdigest()}"'
        return 302, told, b""


def _refused(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Message": message, "Content-Type": "application/json"}
    return status, {**headers, **({"X-Error-Code": code} if code else {})}, json.dumps({"error": message}).encode()


def _described(name: str, repository: Repository) -> Answer:
    told = {
        "_id": "1",
        "id": name,
        "modelId": name,
        "sha": COMMIT,
        "private": repository.is_private,
        "gated": "manual" if repository.is_gated else False,
        "tags": [],
        "cardData": {"license": repository.licence} if repository.licence else None,
        "siblings": [{"rfilename": path} for path in repository.files],
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
