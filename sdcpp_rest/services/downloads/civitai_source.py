"""Finds files of CivitAI: which file a model's or a version's number means, its sum, and where it is fetched from.

Asks the public API over checked connections. Knows nothing of jobs.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.download_source import DownloadSource, check_address
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.downloads.offered_file import OfferedFile, is_model_name
from sdcpp_rest.services.downloads.source_errors import SourceForbidden, SourceNotFound, SourceWrong
from sdcpp_rest.services.downloads.stop_switch import AddressRule

_SETTING = "downloads.civitai_token"
_TYPES: dict[str, ModelType] = {
    "checkpoint": "checkpoint",
    "lora": "lora",
    "locon": "lora",
    "dora": "lora",
    "textualinversion": "embedding",
    "controlnet": "controlnet",
    "vae": "vae",
    "upscaler": "esrgan",
}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MAX_TEXT = 300


class CivitaiSource:
    """Finds the file that a CivitAI model or version number means, with its sum.

    Thread-safe.
    """

    def __init__(self, config: DownloadsConfig, rule: AddressRule) -> None:
        self._endpoint = config.civitai_endpoint
        self._rule = rule
        self._config = config

    @property
    def host(self) -> str:
        """``name`` or ``name:port`` of the endpoint."""
        return urlsplit(self._endpoint).netloc

    @property
    def token(self) -> str | None:
        configured = self._config.civitai_token.get_secret_value()
        return configured or os.environ.get("CIVITAI_TOKEN", "").strip() or None

    def offer(self, wanted: DownloadSource) -> OfferedFile:
        """What CivitAI says about the version's file: the one that ``filename`` names, else its main one; without a
        version, of the newest one that can be had.

        Raises SourceNotFound, SourceForbidden, InvalidRequest for a file name that the version does not have,
        SourceUnavailable.
        """
        model, version = self._version(wanted)
        file = _choose_file(version, wanted.filename)
        version_id, model_id = str(version.get("id", "")), str(model.get("id") or version.get("modelId") or "")
        size = file.get("sizeKB")
        about = round(size * 1024) if isinstance(size, (int, float)) and 0 <= size < 1 << 40 else None
        hashes = file.get("hashes") if isinstance(file.get("hashes"), dict) else {}
        sha256 = str(hashes.get("SHA256") or "") if isinstance(hashes, dict) else ""
        name = _text(file.get("name"))
        their_type = _text(model.get("type"))
        warnings = []
        if _text(file.get("pickleScanResult")) == "Danger" or _text(file.get("virusScanResult")) == "Danger":
            raise InvalidRequest(f"{self.host} has marked {name} as dangerous; it is not downloaded", field="model_id")
        if not _SHA256.fullmatch(sha256):
            sha256 = ""
            warnings.append(f"{self.host} tells no SHA-256 of {name}: it cannot be checked against one.")
        return OfferedFile(
            url=self._address(file, version_id),
            name=name,
            sha256=sha256.lower() or None,
            about_bytes=about,
            facts={"model_id": model_id, "version_id": version_id, "filename": name},
            shown={
                "model_id": model_id,
                "version_id": version_id,
                "name": _text(model.get("name")),
                "version_name": _text(version.get("name")),
                "type": _TYPES.get(their_type.lower(), their_type.lower()),
                "base_model": _text(version.get("baseModel")),
                "filename": name,
                "file_size": about,
                "sha256": sha256.lower() or None,
                "download_url": self._address(file, version_id),
            },
            warnings=tuple(warnings),
        )

    def describe_sum(self, sha256: str) -> dict[str, Any]:
        """What the API says of the version with a file of that sum. Raises as `offer`."""
        return self._ask(f"model-versions/by-hash/{sha256}", f"a file with the sum {sha256[:10]}")

    def describe_model(self, model_id: int) -> dict[str, Any]:
        """What the API says of a model. Raises as `offer`."""
        return self._ask(f"models/{model_id}", f"a model {model_id}")

    def _version(self, wanted: DownloadSource) -> tuple[dict[str, Any], dict[str, Any]]:
        """The model and its version, as the API describes them."""
        if not wanted.model_id:
            version = self._ask(f"model-versions/{wanted.version_id}", f"a version {wanted.version_id}")
            model = version.get("model")
            return (model if isinstance(model, dict) else {}), version
        model = self._ask(f"models/{wanted.model_id}", f"a model {wanted.model_id}")
        versions = [one for one in model.get("modelVersions") or () if isinstance(one, dict)]
        if wanted.version_id:
            for version in versions:
                if str(version.get("id")) == wanted.version_id:
                    return model, version
            ids = [str(version.get("id")) for version in versions]
            raise SourceNotFound(
                f"Model {wanted.model_id} has no version {wanted.version_id}; it has {', '.join(ids[:10]) or 'none'}",
                field="model_id",
                candidates=ids[:50],
            )
        usable = [
            version
            for version in versions
            if version.get("files") and _text(version.get("availability")) != "EarlyAccess"
        ]
        if not (usable or versions):
            raise SourceNotFound(f"Model {wanted.model_id} has no version that can be downloaded", field="model_id")
        return model, (usable or versions)[0]

    def _ask(self, path: str, what: str) -> dict[str, Any]:
        from sdcpp_rest.services.downloads.checked_connection import CheckedSession

        config = self._config
        url = f"{self._endpoint}/api/v1/{path}"
        with CheckedSession(
            self._rule,
            config.connect_timeout_seconds,
            config.read_timeout_seconds,
            deadline_seconds=2 * config.read_timeout_seconds,
        ) as session:
            try:
                found = session.get_json(url, self.token)
            except SourceNotFound:
                raise SourceNotFound(f"{self.host} does not have {what}", field="model_id") from None
            except SourceForbidden:
                raise self.forbidden() from None
        if not isinstance(found, dict) or found.get("error"):
            raise SourceWrong(f"{self.host} does not answer like CivitAI")
        return found

    def explain_refusal(self, error: SourceForbidden) -> SourceForbidden:
        """A refusal that came with the file."""
        return self.forbidden()

    def forbidden(self) -> SourceForbidden:
        """What a refusal means for whoever can change the configuration."""
        if self.token is None:
            return SourceForbidden(f"{self.host} wants a login for this model: set {_SETTING}", setting=_SETTING)
        return SourceForbidden(f"{self.host} does not let the account of {_SETTING} have this model", setting=_SETTING)

    def _address(self, file: dict[str, Any], version_id: str) -> str:
        """Only ever at the configured endpoint: an address that an answer brings along gets no token."""
        given = _text(file.get("downloadUrl"), 2_000)
        try:
            parts = urlsplit(check_address(given))
        except InvalidRequest:
            parts = urlsplit("")
        path = parts.path if parts.path.startswith("/api/download/") else f"/api/download/models/{version_id}"
        query = f"?{parts.query}" if parts.query and path == parts.path and "token=" not in parts.query else ""
        return f"{self._endpoint}{path}{query}"


def _choose_file(version: dict[str, Any], filename: str) -> dict[str, Any]:
    files = [one for one in version.get("files") or () if isinstance(one, dict) and _text(one.get("name"))]
    usable = [one for one in files if is_model_name(_text(one.get("name")))]
    if filename:
        for one in files:
            if _text(one.get("name")) == filename:
                return one
        names = [_text(one.get("name")) for one in usable]
        raise InvalidRequest(
            f"filename: this version has no file {filename[:80]!r}; it has {', '.join(names[:10]) or 'none'}",
            field="filename",
            value=filename[:200],
            candidates=names[:50],
        )
    models = [one for one in usable if _text(one.get("type")) in ("Model", "Pruned Model", "VAE", "Negative")]
    for one in models or usable:
        if one.get("primary") is True:
            return one
    # Safetensors before files that are run when others read them.
    ordered = sorted(models or usable, key=lambda one: not _text(one.get("name")).endswith((".safetensors", ".gguf")))
    if not ordered:
        raise SourceNotFound("This version has no model files", field="model_id")
    return ordered[0]


def _text(value: Any, most: int = _MAX_TEXT) -> str:
    return value[:most] if isinstance(value, str) else ""
