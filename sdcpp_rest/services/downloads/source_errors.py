"""Defines what can go wrong between us and a source of models, each error with its own status.

Knows nothing of the sources.
"""

from __future__ import annotations

from sdcpp_rest.errors import NotAllowed, NotFound, SdcppRestError


class SourceForbidden(NotAllowed):
    """The source wants a token, another one, or that its terms are accepted."""

    code = "source_forbidden"


class SourceNotFound(NotFound):
    """The source does not have it."""

    code = "source_not_found"


class SourceUnavailable(SdcppRestError):
    """The source cannot be reached, or fails; worth another try later."""

    code = "source_unavailable"
    status = 502


class SourceTimeout(SourceUnavailable):
    """The source is silent."""

    code = "source_timeout"
    status = 504


class SourceBusy(SourceUnavailable):
    """The source wants to be left alone for ``retry_after_seconds``."""

    code = "source_busy"
    status = 503

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SourceWrong(SdcppRestError):
    """The source answered with something that is no model file, or with too much; another try would not help."""

    code = "source_wrong"
    status = 502


class ContentMismatch(SourceWrong):
    """What came is not what the source promised (size or SHA-256)."""

    code = "content_mismatch"


class DownloadStopped(Exception):
    """Somebody asked the transfer to stop. Not an error."""
