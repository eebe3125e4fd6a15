"""CivitAI on loopback: models, versions, and downloads behind a login or not."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.servers.fault_server import Answer, Asked, FaultServer, ServedFile


class CivitaiServer:
    """``api`` answers like civitai.com, ``cdn`` holds the bytes. Version ids in ``login`` need ``token``."""

    def __init__(self) -> None:
        self.api, self.cdn = FaultServer(), FaultServer()
        self.models: dict[str, dict[str, Any]] = {}
        self.login: set[str] = set()
        self.token = "civitai-right"
        self.api.pages.append(self._page)

    @property
    def url(self) -> str:
        return self.api.url

    def add(self, model_id: int, version_id: int, name: str, content: bytes, **more: Any) -> ServedFile:
        """A version of a model, newest first; ``more`` replaces fields of its file. Returns it as it is served."""
        file = {
            "id": version_id * 10,
            "name": name,
            "type": "Model",
            "primary": True,
            "sizeKB": len(content) / 1024,
            "hashes": {"SHA256": hashlib.sha256(content).hexdigest().upper(), "AutoV2": "0123456789"},
            "pickleScanResult": "Success",
            "virusScanResult": "Success",
            "downloadUrl": f"https://civitai.com/api/download/models/{version_id}",
            **more,
        }
        version = {
            "id": version_id,
            "modelId": model_id,
            "name": f"v{version_id}",
            "baseModel": "SDXL 1.0",
            "files": [file],
        }
        about = {"id": model_id, "name": "A style", "type": "LORA", "modelVersions": []}
        model = self.models.setdefault(str(model_id), about)
        model["modelVersions"].insert(0, version)
        return self.cdn.add(
            f"/{version_id}", content, headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    def close(self) -> None:
        self.api.close()
        self.cdn.close()

    def _page(self, asked: Asked) -> Answer | None:
        kind, _, number = asked.path.strip("/").rpartition("/")
        is_known = asked.headers.get("authorization") == f"Bearer {self.token}"
        if kind == "api/v1/models":
            return _json(self.models.get(number))
        if kind == "api/v1/model-versions":
            for model in self.models.values():
                for version in model["modelVersions"]:
                    if str(version["id"]) == number:
                        return _json({**version, "model": {"name": model["name"], "type": model["type"]}})
            return _json(None)
        if kind == "api/v1/model-versions/by-hash":
            for model in self.models.values():
                for version in model["modelVersions"]:
                    if version["files"][0]["hashes"]["SHA256"] == number.upper():
                        about = {"name": model["name"], "type": model["type"], "nsfw": False}
                        return _json({**version, "trainedWords": ["blue"], "model": about})
            return _json(None)
        if kind == "api/download/models":
            if number in self.login and not is_known:
                return 307, {"Location": f"{self.url}/login?returnUrl=/models/1&reason=download-auth"}, b""
            return 307, {"Location": f"{self.cdn.url}/{number}?X-Amz-Signature=abc"}, b""
        return None


def _json(value: Any) -> Answer:
    headers = {"Content-Type": "application/json"}
    if value is None:
        return 404, headers, b'{"error": "No model with this id"}'
    return 200, headers, json.dumps(value).encode()
