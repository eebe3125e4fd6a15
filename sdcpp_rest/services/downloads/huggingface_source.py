"""Finds files of Hugging Face repositories: their sizes, sums, commits and licences, and what stands in the way of
them.

Asks through `huggingface_hub`, with the token of the configuration and no other; the files themselves are fetched by
others. Knows nothing of jobs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.download_source import DownloadSource
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.downloads.offered_file import OfferedFile, is_model_name
from sdcpp_rest.services.downloads.source_errors import (
    SourceBusy,
    SourceForbidden,
    SourceNotFound,
    SourceTimeout,
    SourceUnavailable,
    SourceWrong,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_SHOWN_FILES = 50
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SETTING = "downloads.huggingface_token"


class HuggingFaceSource:
    """Finds files in Hugging Face repositories, with their sizes, sums and licences.

    Thread-safe.
    """

    def __init__(self, config: DownloadsConfig) -> None:
        self._endpoint = config.huggingface_endpoint
        self._timeout_seconds = config.read_timeout_seconds
        self._configured = config.huggingface_token

    @property
    def host(self) -> str:
        """``name`` or ``name:port`` of the endpoint."""
        return urlsplit(self._endpoint).netloc

    @property
    def token(self) -> str | None:
        return self._configured.get_secret_value() or os.environ.get("HF_TOKEN", "").strip() or None

    def offer(self, wanted: DownloadSource) -> OfferedFile:
        """What the repository says about the file; without a file name, about the only model file in it.

        Raises InvalidRequest when there are several, SourceForbidden (gated, private), SourceNotFound (repository,
        revision, file), SourceUnavailable.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        repo_id, revision = wanted.repo_id, wanted.revision or "main"
        filename = wanted.filename or self._only_file(repo_id, revision)
        url = hf_hub_url(repo_id, filename, revision=revision, endpoint=self._endpoint)
        with self._faults(repo_id, filename, revision):
            found = get_hf_file_metadata(
                url, token=self.token or False, timeout=self._timeout_seconds, endpoint=self._endpoint
            )
        sha256 = found.etag if found.etag and _SHA256.fullmatch(found.etag) else None
        commit = (
            found.commit_hash if found.commit_hash and re.fullmatch(r"[0-9a-f]{40,64}", found.commit_hash) else None
        )
        # The commit, not the branch: the file must stay the same one while it is fetched, today and after a restart.
        fixed = hf_hub_url(repo_id, filename, revision=commit or revision, endpoint=self._endpoint)
        return OfferedFile(
            url=fixed,
            name=filename.rsplit("/", 1)[-1],
            size_bytes=found.size,
            sha256=sha256,
            facts={"repo_id": repo_id, "filename": filename, "revision": commit or revision},
            shown={"repo_id": repo_id, "filename": filename, "revision": revision, "commit": commit},
        )

    def licence(self, repo_id: str, revision: str = "main") -> str:
        """The licence that the repository names; empty where it names none, or does not answer."""
        try:
            found = self._describe_repository(repo_id, revision)
        except (SourceUnavailable, SourceForbidden, SourceNotFound, SourceWrong):
            return ""
        card = found.card_data
        licence = getattr(card, "license_name", None) or getattr(card, "license", None) or ""
        return str(licence)[:100]

    def forbidden(self, repo_id: str, error: SourceForbidden) -> SourceForbidden:
        """What a refusal that came with the file means for whoever can change the configuration."""
        ask = f"its account may lack access to {repo_id}" if self.token else f"set {_SETTING}"
        return SourceForbidden(f"{error.message}: {ask}", repo_id=repo_id, setting=_SETTING)

    def _only_file(self, repo_id: str, revision: str) -> str:
        names = [one.rfilename for one in self._describe_repository(repo_id, revision).siblings or ()]
        models = [name for name in names if is_model_name(name)]
        if not models:
            raise SourceNotFound(f"{repo_id} has no model files", repo_id=repo_id)
        if len(models) > 1:
            raise InvalidRequest(
                f"filename: {repo_id} has {len(models)} model files; say which: "
                f"{', '.join(models[:10])}{', ...' if len(models) > 10 else ''}",
                field="filename",
                candidates=models[:_SHOWN_FILES],
            )
        return models[0]

    def _describe_repository(self, repo_id: str, revision: str) -> ModelInfo:
        from huggingface_hub import HfApi

        with self._faults(repo_id, "", revision):
            return HfApi(endpoint=self._endpoint, token=self.token or False).model_info(
                repo_id, revision=revision, timeout=self._timeout_seconds
            )

    @contextmanager
    def _faults(self, repo_id: str, filename: str, revision: str) -> Iterator[None]:
        """Turns the library's exceptions into ours; their texts tell a token's fate, ours say what to do."""
        from huggingface_hub import errors

        host = urlsplit(self._endpoint).hostname
        has_token = self.token is not None
        try:
            yield
        except errors.GatedRepoError:
            ask = "the token's account has no access" if has_token else f"set {_SETTING}"
            raise SourceForbidden(
                f"{repo_id} is gated: accept its terms at {self._endpoint}/{repo_id}; {ask}",
                repo_id=repo_id,
                setting=_SETTING,
            ) from None
        except errors.DisabledRepoError:
            raise SourceForbidden(f"{repo_id} has been disabled at {host}", repo_id=repo_id) from None
        except errors.RepositoryNotFoundError:
            ask = "is not seen by the token's account" if has_token else f"is private and needs {_SETTING}"
            raise SourceNotFound(f"{repo_id} is not at {host}, or {ask}", repo_id=repo_id) from None
        except errors.RevisionNotFoundError:
            raise SourceNotFound(f"{repo_id} has no revision {revision[:80]!r}", field="revision") from None
        except errors.EntryNotFoundError:
            raise SourceNotFound(
                f"{repo_id} has no file {filename[:200]!r} at {revision[:80]!r}", field="filename"
            ) from None
        except errors.HFValidationError:
            raise InvalidRequest(f"repo_id: {repo_id[:80]!r} is not a repository's name", field="repo_id") from None
        except errors.OfflineModeIsEnabled:
            raise SourceUnavailable("HF_HUB_OFFLINE is set: nothing is asked of Hugging Face") from None
        except errors.HfHubHTTPError as error:
            status = int(getattr(error.response, "status_code", 0))
            if status in (401, 403):
                what = "does not accept the token of" if has_token else "wants"
                raise SourceForbidden(f"{host} {what} {_SETTING} (HTTP {status})", setting=_SETTING) from None
            if status == 429:
                raise SourceBusy(f"{host} wants fewer requests (HTTP 429)") from None
            if status >= 500:
                raise SourceUnavailable(f"{host} fails (HTTP {status})") from None
            raise SourceWrong(f"{host} answers with HTTP {status}") from None
        except errors.FileMetadataError:
            raise SourceWrong(f"{host} tells nothing about {filename[:200]!r}") from None
        except Exception as error:
            # The HTTP library below has exceptions of its own, and another one in each major version.
            if "Timeout" in type(error).__name__:
                raise SourceTimeout(f"{host} does not answer within {self._timeout_seconds:g} s") from None
            if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _HTTP_LIBRARIES:
                raise SourceUnavailable(f"The connection to {host} failed ({type(error).__name__})") from None
            raise SourceWrong(f"{host} does not answer like Hugging Face ({type(error).__name__})") from None


_HTTP_LIBRARIES = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"})
